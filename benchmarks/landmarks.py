"""Faces against the teacher: detector misses, landmark error, speed and memory.

`python benchmarks/landmarks.py --shared ../shared` needs the development extras and
`pip install ai-edge-litert`. It looks at every tenth synthetic portrait and at the clips of persons
that no network was trained on (`visavis.train.face_data.HELD_OUT`). Errors are mean distances of
points in percent of the distance of the outer eye corners; the reference is the teacher's mean of
six jittered passes, and the teacher's own plain answer (detector, two passes) stands beside it as
the noise floor. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from visavis.faces import topology
from visavis.faces.detect import detect
from visavis.faces.landmarks import locate, refine, track
from visavis.train.face_data import clip_frames, label, portraits
from visavis.train.teacher import FaceTeacher

PARTS = {
    "all": range(478),
    "lips": topology.LIPS_INNER + topology.LIPS_OUTER,
    "lids": topology.RIGHT_EYE + topology.LEFT_EYE,
    "irises": range(468, 478),
    "oval": topology.OVAL,
}


def error(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the mean error of each part in percent of the outer eye distance."""
    eyes = truth[topology.RIGHT_OUTER, :2] - truth[topology.LEFT_OUTER, :2]
    off = np.linalg.norm(found[:, :2] - truth[:, :2], axis=1) / np.linalg.norm(eyes) * 100
    return {name: float(off[list(rows)].mean()) for name, rows in PARTS.items()}


def summary(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every part, and median and 95th percentile over faces."""
    every = [r["all"] for r in rows]
    out = {name: round(float(np.mean([r[name] for r in rows])), 3) for name in PARTS}
    p50, p95 = np.percentile(every, [50, 95])
    return out | {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "faces": len(rows)}


def measure(source, teacher: FaceTeacher, times: dict[str, list[float]]) -> dict:
    """Return errors of the photo path, the tracking path and the teacher itself, and the misses."""
    rng = np.random.default_rng(0)
    photo, video, floor = [], [], []
    seen = missed = extra = 0
    previous, clip = None, ""
    for name, is_validation, image in source:
        truth = label(teacher, image, rng) if is_validation else None
        if truth is None:
            continue
        seen += 1
        boxes = clock(times, "detect_ms", detect, image)
        near = [b for b in boxes if np.hypot(*(np.array(b.centre) - truth[:468, :2].mean(0)))
                < 0.35 * b.side]  # fmt: skip
        missed += not near
        extra += len(boxes) - len(near)
        if not near:
            print("missed:", name)
            continue
        face = clock(times, "locate_ms", locate, image, near[0])
        face = clock(times, "refine_ms", refine, image, face)
        photo.append(error(face.points, truth))
        previous = previous if name.split("#")[0] == clip else None
        clip = name.split("#")[0]
        previous = clock(times, "track_ms" if previous else "found_ms", track, image, previous)
        if previous is not None:
            video.append(error(previous.points, truth))
        floor.append(error(teacher.locate(image)[0], truth))
    return {
        "photo": summary(photo), "video": summary(video), "teacher_itself": summary(floor),
        "faces": seen, "missed": missed, "extra": extra,
    }  # fmt: skip


def clock(times: dict[str, list[float]], name: str, call, *args):
    """Return what ``call`` returns; note its milliseconds."""
    start = time.perf_counter()
    result = call(*args)
    times.setdefault(name, []).append((time.perf_counter() - start) * 1e3)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--stride", type=int, default=5, help="of the frames of a clip")
    args = parser.parse_args()
    data = args.shared / "data"
    teacher, times = FaceTeacher(data / "models"), {}
    result = {}
    for name, source in (
        ("real", clip_frames(data, args.stride, 10_000)),
        ("synthetic", (row for row in portraits(data) if row[1])),
    ):
        result[name] = measure(source, teacher, times)
        for path in ("photo", "video", "teacher_itself"):
            print(name, path, result[name][path])
    result["ms_p50"] = {k: round(float(np.median(v)), 2) for k, v in times.items()}
    result["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
