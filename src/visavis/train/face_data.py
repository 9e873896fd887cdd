"""Face training set: pictures, teacher landmarks and upright crops as flat arrays on disk.

`python -m visavis.train.face_data --data ../shared/data --out DIR` reads the synthetic portraits
and frames of the real clips, labels each with the teacher (mean of several jittered passes, which
halves the teacher's own jitter) and writes `crops.npy` (n, 256, 256, 3) uint8, `points.npy`
(n, 478, 3) float32 in crop pixels, `frames.npy` (n, 320, 320, 3) letterboxed pictures,
`frame_points.npy`, `frame_sizes.npy` (n, 2) and `index.json` (source and split of every row).
Persons in `HELD_OUT` and every tenth portrait are the validation split.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from visavis.faces.crop import Crop, sample, upright_crop
from visavis.train.teacher import FaceTeacher
from visavis.types import FloatArray, ImageArray

CROP = 256
CROP_CM = 36.0
"""Side of a stored crop, in centimetres of the canonical face (the networks see 24)."""
FRAME = 320
PASSES = 6
HELD_OUT = (
    "mead-emotion/W011", "hdtf/WDA_AndyKim", "latentsync/demo3", "voxceleb/00067",
    "voxceleb/517600055", "expressive/d12", "expressive/d19", "silent/b.", "grid/lwbsza",
)  # fmt: skip
"""Starts of the clips whose persons are only for validation."""

log = logging.getLogger(__name__)


def portraits(root: Path) -> Iterator[tuple[str, bool, ImageArray]]:
    """Yield name, is-validation and picture of every synthetic portrait."""
    for kind in ("neutral", "open"):
        for path in sorted((root / "portraits" / kind).glob("*.webp")):
            picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            yield f"{kind}/{path.stem}", int(path.stem) % 10 == 0, np.asarray(picture, np.uint8)


def clip_frames(root: Path, stride: int, most: int) -> Iterator[tuple[str, bool, ImageArray]]:
    """Yield name, is-validation and picture of every `stride`-th frame of the real clips."""
    folder = root / "talking"
    for path in sorted(folder.glob("*/*.m*")):
        name = str(path.relative_to(folder))
        with av.open(str(path)) as clip:
            for i, frame in enumerate(islice(clip.decode(video=0), 0, stride * most, stride)):
                picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                yield f"{name}#{i * stride}", name.startswith(HELD_OUT), picture


def label(teacher: FaceTeacher, image: ImageArray, rng: np.random.Generator) -> Any:
    """Return the teacher's points (478, 3) averaged over jittered crops, or None without a face."""
    faces = teacher.detect(image)
    if not len(faces):
        return None
    points, presence = teacher.from_face(image, faces[0])
    if presence < 0.5:
        return None
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = float((high - low).max())
    eyes = points[263, :2] - points[33, :2]
    passes = []
    for _ in range(PASSES):
        centre = (low + high) / 2 + rng.normal(0, 0.025, 2) * side
        roll = np.arctan2(eyes[1], eyes[0]) + rng.normal(0, 0.05)
        passes.append(teacher.mesh(image, centre, 1.5 * side * rng.uniform(0.93, 1.07), roll))
    if min(p for _, p in passes) < 0.5:
        return None
    return np.mean([p for p, _ in passes], 0).astype(np.float32)


def _shrink(image: ImageArray, points: FloatArray) -> tuple[ImageArray, FloatArray, Any]:
    """Return the picture in a FRAME x FRAME canvas, its points there and its (h, w)."""
    scale = FRAME / max(image.shape[:2])
    h, w = (round(s * scale) for s in image.shape[:2])
    canvas = np.zeros((FRAME, FRAME, 3), np.uint8)
    canvas[:h, :w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    return canvas, points * scale, (h, w)


def _upright(image: ImageArray, points: FloatArray) -> tuple[ImageArray, FloatArray]:
    """Return the upright crop of CROP_CM and the points in it."""
    crop: Crop = upright_crop(points, CROP_CM, CROP)
    return sample(image, crop), crop.into(points)


def prepare(data: Path, out: Path, stride: int, most: int) -> None:
    """Label every picture under `data` and write the arrays to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    teacher, rng = FaceTeacher(data / "models"), np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    index: list[dict[str, Any]] = []
    for source in (clip_frames(data, stride, most), portraits(data)):
        for name, is_validation, image in source:
            points = label(teacher, image, rng)
            if points is None:
                log.info("no face: %s", name)
                continue
            index.append({"name": name, "validation": is_validation})
            rows.append((*_upright(image, points), *_shrink(image, points)))
        log.info("%d rows", len(rows))
    names = ("crops", "points", "frames", "frame_points", "frame_sizes")
    for i, name in enumerate(names):
        np.save(out / f"{name}.npy", np.stack([np.asarray(r[i]) for r in rows]))
    (out / "index.json").write_text(json.dumps(index))


def main() -> None:
    """Run `prepare` from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--most", type=int, default=110)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prepare(args.data, args.out, args.stride, args.most)


if __name__ == "__main__":
    main()
