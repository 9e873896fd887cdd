"""How photographs show the commonest expressions: learned from same-person synthetic pairs.

A shape of the rig says where skin goes; a landmark network sees lips, cheeks and chin of a smiling
photograph slightly elsewhere. For each shape that photographs commonly show, the systematic rest
within one person is found by ridge regression and added. Only fitting uses it, driving does not.

Pairs come from ``../shared/tools/synthetic_faces.py`` (random-face, Apache-2.0; no real person):

    synthetic_faces.py P/smile --count 120 --seed 910000 --edit mouthSmileLeft --amount -4 -2 2
    synthetic_faces.py P/open --count 80 --seed 920000 --edit jawOpen --amount -2 2 4
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.render.rig import Rig, fit_portrait, read_rig
from visavis.render.solve import make_prior
from visavis.train.teacher import FaceTeacher
from visavis.types import ARKIT_NAMES

Array = NDArray[Any]
LEARNED = ("jawOpen", "mouthSmile", "mouthUpperUp", "mouthLowerDown")
RIDGE, ROUNDS = 2.0, 2


def plain(name: str) -> str:
    """Return a shape's name without its side."""
    return name.removesuffix("Left").removesuffix("Right")


def landmarks(folders: list[Path], models: Path) -> tuple[Array, Array]:
    """Return points (n, 478, 3) and the person's number (n,) of pictures ``NNNNNN_aX.webp``."""
    teacher = FaceTeacher(models)
    points, persons = [], []
    for path in sorted(p for folder in folders for p in folder.glob("*_a*.webp")):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        found, presence = teacher.locate(image)
        if presence > 0.5:
            points.append(found)
            persons.append(int(path.stem.split("_")[0]))
    return np.array(points, np.float32), np.array(persons)


def with_photo(rig: Rig, photo: Array) -> Rig:
    """Return the rig that sees photographs through the shapes ``photo`` (52, 478, 3)."""
    lips = rig.contacts[0]
    prior = make_prior(photo, rig.identity, lips.upper, lips.lower)
    return dataclasses.replace(rig, photo_basis=photo, prior=prior)


def moving_part(rig: Rig) -> Array:
    """Return (478, 1): 1 where mouth and jaw move the face, 0 on eyes, brows and forehead."""
    mouth = [k for k, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "jawOpen"))]
    reach = np.linalg.norm(rig.basis[mouth][:, :, :2], axis=2).max(0)
    reach[468:] = 0
    return np.clip((reach - 0.05) / 0.25, 0, 1)[:, None]


def within(values: Array, persons: Array) -> Array:
    """Return ``values`` (n, k) less the mean of their person."""
    _, which, counts = np.unique(persons, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, which, values)
    return values - (means / counts[:, None])[which]


def learn_photo_shapes(asset: Path, folders: list[Path], models: Path) -> tuple[Array, Array]:
    """Return the learned shapes' numbers (k,) and what they add (k, 478, 3)."""
    rig = read_rig(asset)
    points, persons = landmarks(folders, models)
    learned = [k for k, name in enumerate(ARKIT_NAMES) if plain(name) in LEARNED]
    twins = [ARKIT_NAMES.index(swapped(name)) for name in ARKIT_NAMES]
    photo = rig.basis.copy()
    for _ in range(ROUNDS):
        faces = [fit_portrait(with_photo(rig, photo), p) for p in points]
        c = np.array([f.source_coefficients for f in faces])
        shown = np.tensordot(c, photo, 1)
        rest = np.array([f.source for f in faces]) - rig.neutral - shown
        mirrored = rest[:, rig.mirror] * [-1, 1, 1]
        a = within(np.concatenate([c, c[:, twins]]), np.tile(persons, 2))[:, learned]
        y = within(np.concatenate([rest, mirrored]).reshape(len(a), -1), np.tile(persons, 2))
        more = np.linalg.solve(a.T @ a + RIDGE * np.eye(len(learned)), a.T @ y)
        photo[learned] += (more.reshape(-1, 478, 3) * moving_part(rig)).astype(np.float32)
        print(f"{len(points)} pictures: rest {y.std():.4f} -> {(y - a @ more).std():.4f} cm")
    return np.array(learned, np.int32), (photo - rig.basis)[learned].astype(np.float16)


def swapped(name: str) -> str:
    """Return the name of the other side's shape."""
    return name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")
