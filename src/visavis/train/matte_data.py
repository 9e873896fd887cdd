"""Matte training set: head-and-shoulder crops with person and head mattes from two teachers.

`python -m visavis.train.matte_data --data ../shared/data --out DIR` runs MediaPipe's selfie and
hair segmenters on an upright crop of each picture, joins them with the face outline and follows the
picture's edges with the guided filter. It writes `matte_crops.npy` (n, 448, 448, 3) uint8 and
`mattes.npy` (n, 448, 448, 3) uint8 (person, head, inside the picture) for crops of 56 cm, and
`matte_index.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visavis.faces import topology
from visavis.faces.crop import frontal_fit, sample
from visavis.faces.matte import guided, matte_crop
from visavis.train.face_data import clip_frames, portraits
from visavis.train.teacher import FaceTeacher, TFLite
from visavis.types import FloatArray, ImageArray

SIZE = 448
SIDE_CM = 56.0
log = logging.getLogger(__name__)


class MatteTeacher:
    """Person from the selfie segmenter, hair from the hair segmenter."""

    def __init__(self, models: Path) -> None:
        """Load both networks from the folder ``models``."""
        self._selfie = TFLite((models / "selfie_segmentation.tflite").read_bytes())
        self._hair = TFLite((models / "hair_segmentation.tflite").read_bytes())

    def person(self, view: ImageArray) -> FloatArray:
        """Return the person matte (h, w) of a square picture, mean of it and its mirror image."""
        small = cv2.resize(view, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        straight = self._selfie(small[None])[0].reshape(256, 256)
        mirrored = self._selfie(small[None, :, ::-1])[0].reshape(256, 256)[:, ::-1]
        return np.asarray(cv2.resize((straight + mirrored) / 2, view.shape[1::-1]), np.float32)

    def hair(self, view: ImageArray) -> FloatArray:
        """Return the hair matte (h, w) of a square picture."""
        small = cv2.resize(view, (512, 512), interpolation=cv2.INTER_LINEAR)
        x = np.zeros((1, 512, 512, 4), np.float32)
        x[0, ..., :3] = small / 255.0
        out = self._hair(x)[0][0]
        hair = 1 / (1 + np.exp(out[..., 0] - out[..., 1]))
        return np.asarray(cv2.resize(hair, view.shape[1::-1]), np.float32)


def label(teacher: MatteTeacher, image: ImageArray, points: FloatArray) -> Any:
    """Return the crop (SIZE, SIZE, 3) and its mattes (SIZE, SIZE, 3) uint8."""
    crop = matte_crop(points, SIDE_CM, SIZE)
    view = sample(image, crop, cv2.INTER_LINEAR)
    near = matte_crop(points, SIDE_CM * 0.62, 512)
    close = sample(image, near, cv2.INTER_LINEAR)
    moved = _between(near, crop)
    person = teacher.person(view)
    fine = cv2.warpAffine(teacher.person(close), moved, (SIZE, SIZE))
    hair = cv2.warpAffine(teacher.hair(close), moved, (SIZE, SIZE))
    inside = cv2.warpAffine(np.pad(np.ones((480, 480), np.float32), 16), moved, (SIZE, SIZE))
    inside = cv2.blur(inside, (9, 9))
    person = person * (1 - inside) + fine * inside
    seen = crop.into(points)
    face = np.zeros((SIZE, SIZE), np.float32)
    cv2.fillPoly(face, [seen[list(topology.OVAL), :2].round().astype(np.int32)], 1.0)
    person = np.maximum(person, np.maximum(face, hair * (person > 0.1)))
    person = guided(view, person[..., None], 4.0)[..., 0]
    head = np.maximum(np.maximum(face, np.minimum(hair, person)), person * _above(seen))
    head = guided(view, cv2.blur(head, (3, 3))[..., None], 4.0)[..., 0]
    visible = cv2.warpAffine(np.ones(image.shape[:2], np.float32), _inverse(crop), (SIZE, SIZE))
    both = np.stack([person, np.minimum(head, person), visible], -1)
    return view, np.round(both * 255).astype(np.uint8)


def _above(seen: FloatArray) -> FloatArray:
    """Return 1 above the lobes of the ears and below the jaw line's reach 0, softly."""
    _, scale, _ = frontal_fit(seen)
    lobes = float(seen[[132, 361], 1].mean())
    rows = np.arange(SIZE, dtype=np.float32)[:, None]
    return np.asarray(np.clip((lobes - rows) / scale + 0.5, 0, 1) * np.ones((1, SIZE)), np.float32)


def _between(source: Any, target: Any) -> FloatArray:
    """Return the map (2, 3) from pixels of one crop to those of another."""
    full = [np.vstack([c.matrix, [0, 0, 1]]) for c in (source, target)]
    return np.asarray((np.linalg.inv(full[1]) @ full[0])[:2], np.float32)


def _inverse(crop: Any) -> FloatArray:
    """Return the map (2, 3) from picture pixels to crop pixels."""
    return np.asarray(np.linalg.inv(np.vstack([crop.matrix, [0, 0, 1]]))[:2], np.float32)


def prepare(data: Path, out: Path) -> None:
    """Label every fourth portrait and every 16th frame of the real clips."""
    faces, teacher = FaceTeacher(data / "models"), MatteTeacher(data / "models")
    views, mattes, index = [], [], []
    for source, every in ((clip_frames(data, 16, 25), 1), (portraits(data), 4)):
        for i, (name, is_validation, image) in enumerate(source):
            points = faces.locate(image)[0] if i % every == 0 else None
            if points is None:
                continue
            view, both = label(teacher, image, points)
            views.append(view)
            mattes.append(both)
            index.append({"name": name, "validation": is_validation})
        log.info("%d rows", len(views))
    np.save(out / "matte_crops.npy", np.stack(views))
    np.save(out / "mattes.npy", np.stack(mattes))
    (out / "matte_index.json").write_text(json.dumps(index))


def main() -> None:
    """Run `prepare` from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prepare(args.data, args.out)


if __name__ == "__main__":
    main()
