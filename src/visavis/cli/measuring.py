"""Commands that measure, judge and train."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from visavis.cli.app import app
from visavis.errors import InputError
from visavis.options import NeuralOption, QualityOption


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON only.")] = False,
) -> None:
    """Tell what this machine can run."""
    from visavis.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([finding.__dict__ for finding in findings]))
    for finding in findings if not as_json else []:
        typer.echo(f"{'ok  ' if finding.is_ok else 'FAIL'}  {finding.subject}: {finding.text}")
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def bench(
    size: Annotated[int, typer.Option(help="Side of the square picture in pixels.")] = 512,
    quality: QualityOption = "standard",
    model: NeuralOption = None,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 25,
    seconds: Annotated[int, typer.Option(help="Seconds of sound for the throughput.")] = 20,
    starts: Annotated[int, typer.Option(help="Live starts for the first-frame delay.")] = 20,
    soak: Annotated[int, typer.Option(help="Also run this many minutes and watch memory.")] = 0,
) -> None:
    """Measure the whole path, sound in to encoded frame out; the last line is JSON."""
    from visavis.bench import measure, table

    figures = measure(
        size=size,
        quality=quality,
        model=model,
        fps=fps,
        seconds=seconds,
        starts=starts,
        soak_minutes=soak,
    )
    typer.echo(table(figures))
    typer.echo(json.dumps(figures))


@app.command()
def evaluate(
    video: Annotated[str, typer.Argument(help="A video of one talking head, ours or any other.")],
    audio: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Its sound, if that is not in the video.", show_default=False),
    ] = None,
    portrait: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The photograph, for identity and sharpness.", show_default=False),
    ] = None,
    phones: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="What is said: JSON, a list of start_s, end_s, ARPAbet. Default: our ear."
        ),
    ] = None,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write a page with curves and frames: a folder or FILE.html."),
    ] = None,
) -> None:
    """Measure lip sync, stillness, motion and picture of VIDEO; the last line is JSON."""
    from visavis.eval.evaluate import evaluate as measure
    from visavis.eval.report import table, write_report

    result = measure(video, audio, portrait, phones)
    typer.echo(table(result.figures))
    for note in result.notes:
        typer.echo(f"visavis: note: {note}", err=True)
    if report is not None:
        typer.echo(f"report: {write_report(report, video, result)}")
    typer.echo(json.dumps(result.figures))


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def train(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to train; see TRAINING.md.")],
) -> None:
    """Train a network: visavis train TASK --data … --out …; TASK --help lists the options."""
    import runpy

    from visavis.train import tasks

    known = sorted(p.stem for p in Path(tasks.__path__[0]).glob("[a-z]*.py"))
    if task not in known:
        raise InputError(f"There is no task {task!r}. Give one of: {', '.join(known)}.")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise InputError('Training needs PyTorch: pip install "visavis[train]".') from error
    sys.argv = [f"visavis train {task}", *context.args]
    runpy.run_module(f"visavis.train.tasks.{task}", run_name="__main__")
