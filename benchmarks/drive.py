"""Does a portrait follow a driving video? Held-out clips of real talkers -> ``--drive`` -> judged.

``python benchmarks/drive.py --shared ../shared`` animates the embedded portrait with the first
seconds of clips of people, and looks at clip and result with MediaPipe's landmarks
(ai-edge-litert), which share nothing with ours. Per clip and in the mean: correlation of
lip gap and lids, slope of the lip gap (1: opened as wide, in distances of the eye corners), degrees
between the heads' turns from where each usually is, offset in time. JSON last.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from talk import REAL, teacher

import visavis
from visavis.eval.evaluate import Follow, evaluate
from visavis.eval.track import Curves
from visavis.opening import DEMO_PORTRAIT
from visavis.timing import Stopwatch
from visavis.types import FloatArray

REACH = 15
"""Rows of 10 ms by which the result may be early or late."""


def offset(a: FloatArray, b: FloatArray) -> tuple[int, float]:
    """Return by how many rows ``b`` is later than ``a``, and the correlation there."""
    best = [
        (float(np.corrcoef(a[REACH:-REACH], np.roll(b, -k)[REACH:-REACH])[0, 1]), k)
        for k in range(-REACH, REACH + 1)
    ]
    value, late = max(best)
    return late, value


def compared(asked: Curves, made: Curves) -> dict[str, float]:
    """Return how the curves of a result follow those of its driving video."""
    n = min(len(asked), len(made))
    both = asked.seen[:n] & made.seen[:n]
    gaps, eyes = ([c.gap[:n][both], c.eyes[:n][both]] for c in (asked, made))
    turns = [c.rotation[:n][both] - np.median(c.rotation[:n][both], axis=0) for c in (asked, made)]
    off = np.abs(turns[0] - turns[1]).mean(axis=0)
    late, lips = offset(gaps[0], eyes[0])
    centred = [g - g.mean() for g in (gaps[0], eyes[0])]
    return {
        "lips": lips,
        "lips_slope": float(centred[0] @ centred[1] / (centred[0] @ centred[0])),
        "lids": float(np.corrcoef(gaps[1], eyes[1])[0, 1]),
        "pitch_deg": float(off[0]),
        "yaw_deg": float(off[1]),
        "roll_deg": float(off[2]),
        "late_ms": 10.0 * late,
    }


def driven(clip: Path, args: argparse.Namespace, follow: Follow, folder: Path) -> dict[str, float]:
    """Return the figures of one clip."""
    out, watch = folder / "out.mp4", Stopwatch()
    result = visavis.animate(
        args.portrait, None, out, drive=clip, trim=(0, args.seconds), model=args.model
    )
    seen = compared(evaluate(clip, follow=follow).curves, evaluate(out, follow=follow).curves)
    return seen | {"frames_per_s": result.frames / watch.elapsed_s()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--portrait", type=Path, default=DEMO_PORTRAIT)
    parser.add_argument("--model", help="ditto, liveportrait or a folder, as of animate")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--every", type=int, default=2, help="of the clips")
    args = parser.parse_args()
    follow, rows = teacher(args.shared), []
    clips = [p for s in REAL for p in sorted((args.shared / "data/talking" / s).iterdir())]
    for clip in clips[:: args.every]:
        with TemporaryDirectory(prefix="visavis-drive-") as folder:
            rows.append(driven(clip, args, follow, Path(folder)))
        print(clip.stem[:28].ljust(28), {k: round(v, 2) for k, v in rows[-1].items()}, flush=True)
    mean = {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}
    print(json.dumps({"clips": len(rows), **mean}))


if __name__ == "__main__":
    main()
