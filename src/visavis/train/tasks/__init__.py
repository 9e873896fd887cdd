"""One file per task, each runnable as `python -m visavis.train.tasks.<name>`."""
