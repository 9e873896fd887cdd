"""Landmarks for shards of clips, which teach the codec how faces move.

``python -m visavis.train.video_points --shards FOLDER`` adds shards beside those that are there,
with one field a clip: points.npy (t + 1, 478, 2) float16, in shares of the side; the last row is
the portrait's. Clips in which the face is lost get none. Runs with different ``--part`` share the
work.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from visavis.faces.landmarks import track
from visavis.train.shards import ShardWriter
from visavis.train.video_data import VideoData, stored
from visavis.types import FloatArray, ImageArray

log = logging.getLogger(__name__)


def points_of(pictures: Iterable[ImageArray]) -> FloatArray | None:
    """Return the landmarks (t, 478, 2) of square ``pictures`` in shares of their side.

    None if one of them shows no face.
    """
    found, rows = None, []
    for picture in pictures:
        found = track(picture, found)
        if found is None:
            return None
        rows.append(found.points[:, :2] / len(picture))
    return np.stack(rows)


def add_points(folder: Path, part: int = 0, parts: int = 1) -> int:
    """Add the landmarks of every clip in ``folder`` that has none; return how many got them.

    ``part`` is which of ``parts`` alike it does.
    """
    data = VideoData(folder, None)
    count = 0
    with ShardWriter(folder, f"points{part}") as writer:
        for number in range(part, len(data), parts):
            if data.has(number, "points"):
                continue
            rows = points_of(
                data.picture(number, name) for name in (*range(data.frames(number)), "portrait")
            )
            if rows is None:
                continue
            writer.write(data.key(number), {"points.npy": stored(rows)})
            count += 1
    return count


def main() -> None:
    """Add landmarks from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--part", default="0/1", help="as 1/4: the second of four runs")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    part, parts = (int(n) for n in args.part.split("/"))
    log.info("%d clips", add_points(args.shards, part, parts))


if __name__ == "__main__":
    main()
