"""Pictures of one person laid over each other, skull over skull."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.render.patch import View
from visavis.render.topology import density_of
from visavis.types import FloatArray, ImageArray

RIGID = (
    33, 133, 362, 263, 168, 6, 197, 195, 5, 48, 278, 98, 327, 9, 151, 10, 108, 337, 127, 356, 234,
    454,
)  # fmt: skip
"""Landmarks that the face's muscles hardly move."""
MOST_TURN = 12.0
"""Degrees between two pictures of a pair."""
MOST_MISFIT_MM = 1.6
"""Mean distance of the rigid points of two pictures laid over each other."""


@dataclass(frozen=True)
class Shot:
    """One labelled picture: ``points`` (478, 3) px."""

    image: ImageArray
    points: FloatArray

    @property
    def mouth_gap(self) -> float:
        """Opening of the lips in mm."""
        return _gap(self.points, 13, 14)

    @property
    def eye_gap(self) -> float:
        """Mean opening of the lids in mm."""
        return (_gap(self.points, 159, 145) + _gap(self.points, 386, 374)) / 2


def _gap(points: FloatArray, a: int, b: int) -> float:
    return float(np.linalg.norm(points[a, :2] - points[b, :2])) / density_of(points)


Laid = tuple[NDArray[np.float64], FloatArray]
"""A map (2, 3) from one picture into another, and the first one's points (478, 2) there."""


def laid_over(shot: Shot, onto: FloatArray) -> Laid | None:
    """Return the affine map (2, 3) that lays ``shot`` over landmarks ``onto`` (478, 3), and its
    points there (478, 2); None if the heads are turned too differently.
    """
    a, b = (p[list(RIGID)].astype(np.float64) for p in (shot.points, onto))
    u, _, vt = np.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    tilt = np.degrees(np.arccos(np.clip(rotation[2, 2], -1, 1)))
    flat = np.concatenate([a[:, :2], np.ones((len(a), 1))], 1)
    matrix = np.linalg.lstsq(flat, b[:, :2], rcond=None)[0].T
    moved = flat @ matrix.T - b[:, :2]
    misfit = np.linalg.norm(moved, axis=1).mean() / density_of(onto)
    if tilt > MOST_TURN or misfit > MOST_MISFIT_MM:
        return None
    points = shot.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return matrix, points.astype(np.float32)


def scaled(shot: Shot, factor: float) -> Shot:
    """Return ``shot`` enlarged by ``factor``."""
    h, w = shot.image.shape[:2]
    size = (round(w * factor), round(h * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return Shot(cv2.resize(shot.image, size, interpolation=how), shot.points * factor)


def patch_of(image: ImageArray, onto: NDArray[np.float64], view: View) -> ImageArray:
    """Return the patch of ``image`` after ``onto`` (2, 3) has laid it over the source."""
    full = np.eye(3)
    full[:2] = onto
    place = np.eye(3)
    place[:2] = view.place
    back = np.linalg.inv(full) @ place  # patch -> source picture -> this picture
    shrink = float(np.sqrt(abs(np.linalg.det(back[:2, :2]))))
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    if shrink > 1.2:  # averaged before it is sampled
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * shrink)
    return cv2.warpAffine(image, back[:2], view.size, flags=how, borderMode=cv2.BORDER_REPLICATE)
