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


def sides(rig: Rig) -> dict[str, Array]:
    """Return how much of a two-sided shape belongs to Left and Right at each point (478, 1)."""
    left = np.clip((rig.neutral[:, :1] + 1) / 2, 0, 1)
    left = left * left * (3 - 2 * left)
    return {"Left": left, "Right": 1 - left}


def learn_photo_shapes(asset: Path, folders: list[Path], models: Path) -> tuple[Array, Array]:
    """Return the learned shapes' numbers (k,) and what they add (k, 478, 3).

    Both sides of a shape are learned as one and shared out by the side of each point.
    """
    rig = read_rig(asset)
    points, persons = landmarks(folders, models)
    members = [[k for k, name in enumerate(ARKIT_NAMES) if plain(name) == n] for n in LEARNED]
    added, share = np.zeros_like(rig.basis), sides(rig)
    for _ in range(ROUNDS):
        seen = with_photo(rig, rig.basis + added)
        faces = [fit_portrait(seen, p) for p in points]
        c = np.array([f.source_coefficients for f in faces])
        rest = np.array([f.source for f in faces]) - rig.neutral
        rest -= np.tensordot(c, seen.photo_basis, 1)
        rest = (rest + rest[:, rig.mirror] * [-1, 1, 1]) / 2
        a = within(np.stack([c[:, m].mean(1) for m in members], 1), persons)
        y = within(rest.reshape(len(a), -1), persons)
        more = np.linalg.solve(a.T @ a + RIDGE * np.eye(len(members)), a.T @ y)
        print(f"{len(points)} pictures: rest {y.std():.4f} -> {(y - a @ more).std():.4f} cm")
        for group, shape in zip(members, more.reshape(-1, 478, 3) * moving_part(rig), strict=True):
            for k in group:
                side = ARKIT_NAMES[k].removeprefix(plain(ARKIT_NAMES[k]))
                added[k] += (shape * share.get(side, 1)).astype(np.float32)
    learned = sorted(sum(members, []))
    return np.array(learned, np.int32), added[learned].astype(np.float16)
