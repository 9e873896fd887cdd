"""Make assets/mouths.npz: the open mouths of a few made-up people, to borrow teeth from.

``python recipes/make_mouths.py --shared ../shared --pairs PAIRS --out mouths.npz`` with the
pictures of ``recipes/make_face_pairs.py``. Each picture with a wide open mouth is laid over that of
the same person with closed lips, so that teeth lie where they belong below the closed lips; all but
the opening is blanked. The persons were chosen by eye among the frontal ones: both rows of teeth in
sight, darkness between, light of all kinds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from visavis.media.image import read_image
from visavis.render.mouth import skin_tone
from visavis.render.patch import make_sketch
from visavis.render.refiner import lip_width, opening
from visavis.render.rig import express, fit_portrait, load_rig
from visavis.render.topology import JAW, density_of
from visavis.train.face_data import label
from visavis.train.laying import Shot, laid_over, patch_of, scaled
from visavis.train.teacher import FaceTeacher
from visavis.types import FloatArray, ImageArray

PERSONS = ("31132", "31219", "31002", "31277")
CLOSED, OPEN = "a0", "a4.5"
DENSITY = 4.0
"""Pixels per mm."""


def shot(teacher: FaceTeacher, path: Path) -> Shot:
    """Return the labelled picture at ``path``."""
    image = read_image(path)
    return Shot(image, label(teacher, image, np.random.default_rng(0)))


def mouth(closed: Shot, wide: Shot) -> tuple[ImageArray, FloatArray, FloatArray, float]:
    """Return the inside of the mouth (h, w, 4), where the jaw is (2,), the skin's colour (3,), and
    how wide the closed lips are (px).

    Raises:
        SystemExit: the head has turned between the pictures.
    """
    source = scaled(closed, DENSITY / density_of(closed.points))
    rig = fit_portrait(load_rig(), source.points)
    rest = rig.pose.project(express(rig, np.zeros(52, np.float32)))[:, :2]
    view = make_sketch(source.image, source.points, rest, DENSITY).views[0]
    found = laid_over(wide, source.points)
    if found is None:
        raise SystemExit("The head has turned between closed and open mouth; choose another one.")
    onto, points = found
    mask = opening(view.into(points), view.size)
    shown = cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0  # a rim, for it is scaled later
    picture = patch_of(wide.image, onto, view) * shown[..., None]
    picture[..., 2] = np.minimum(picture[..., 2], picture[..., 1])  # no mouth is violet inside
    jaw = view.into(points[list(JAW)]).mean(0)
    width = lip_width(view.into(source.points[:, :2]))
    return np.dstack([picture, mask]), jaw, skin_tone(wide.image, wide.points), width


def main() -> None:
    """Write the file from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    teacher = FaceTeacher(args.shared / "data/models")
    made = []
    for name in PERSONS:
        paths = (args.pairs / "jaw" / f"{name}_{state}.webp" for state in (CLOSED, OPEN))
        made.append(mouth(*(shot(teacher, path) for path in paths)))
    names = ("pictures", "jaws", "tones", "widths")
    stacked = {n: np.stack(part) for n, part in zip(names, zip(*made, strict=True), strict=True)}
    numbers = {name: stacked[name].astype(np.float32) for name in names[1:]}
    np.savez_compressed(args.out, pictures=stacked["pictures"], **numbers)


if __name__ == "__main__":
    main()
