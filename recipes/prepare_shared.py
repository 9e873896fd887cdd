"""Make the clips of the shared material: all talking videos, and the ARKit takes.

    python recipes/prepare_shared.py ../shared/data OUT

as `visavis prepare` does with ``recipes/shared_labels.json``, but with the teacher's landmarks
(MediaPipe's, see train/teacher.py), which are surer about lips and lids than our own network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.data.prepare import prepare
from visavis.data.report import table
from visavis.faces.landmarks import PRESENT, FaceLandmarks
from visavis.timing import Stopwatch
from visavis.train.teacher import FaceTeacher
from visavis.types import ImageArray

LABELS = Path(__file__).parent / "shared_labels.json"


def main() -> None:
    """Make the clips and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    teacher = FaceTeacher(args.data / "models")

    def follow(image: ImageArray, previous: FaceLandmarks | None) -> FaceLandmarks | None:
        points, presence = None, 0.0
        if previous is not None:
            points, presence = teacher.from_points(image, previous.points)
        if presence < PRESENT:
            points, presence = teacher.locate(image)
        return FaceLandmarks(points, presence) if presence >= PRESENT else None

    watch = Stopwatch()
    folders = [args.data / "talking", args.data / "arkit_takes"]
    report = prepare(list(folders), args.out, LABELS, follow)
    print(table(report))
    print(f"{watch.elapsed_s():.0f} s")


if __name__ == "__main__":
    main()
