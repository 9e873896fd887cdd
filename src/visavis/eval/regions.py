"""Mouth, eyes and face of a picture as small upright pictures of fixed scale, to be compared.

A region is a box in millimetres (pupils 63 mm apart, the adult mean) round its own landmarks. To
compare a made picture with a true one, the made one is laid over it by the similarity between the
landmarks of the region in both: tracked motion never matches to the pixel, and a mouth that is
right but half a pixel off must not lose to one that is blurred.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.faces.topology import (
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    OVAL,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from visavis.render.topology import PUPILS_MM
from visavis.types import FloatArray, ImageArray


@dataclass(frozen=True)
class Region:
    """A part of the face: ``points`` that place it, its size in mm, and pixels per mm.

    ``up_mm`` is how far the box is moved up from the middle of the points.
    """

    name: str
    points: tuple[int, ...]
    width_mm: float
    height_mm: float
    density: float
    up_mm: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels."""
        return round(self.width_mm * self.density), round(self.height_mm * self.density)


MOUTH = Region("mouth", LIPS_OUTER + LIPS_INNER, 72, 56, 2.0, -2.0)
EYES = Region("eyes", RIGHT_EYE + LEFT_EYE + RIGHT_IRIS + LEFT_IRIS, 108, 40, 2.0, 3.0)
FACE = Region("face", OVAL, 160, 200, 0.8)
REGIONS = (MOUTH, EYES, FACE)


def px_per_mm(points: FloatArray) -> float:
    """Return the scale of the face with landmarks ``points`` (478, 3), depth included."""
    return float(np.linalg.norm(points[RIGHT_IRIS[0]] - points[LEFT_IRIS[0]])) / PUPILS_MM


def place(region: Region, points: FloatArray) -> FloatArray:
    """Return the affine map (2, 3) from the region's pixels to those of the picture.

    ``points`` (478, 3) are the picture's landmarks; rows of the region run along the eyes.
    """
    along = (points[LEFT_IRIS[0]] - points[RIGHT_IRIS[0]])[:2].astype(np.float64)
    along /= np.linalg.norm(along)
    down = np.array([-along[1], along[0]])
    step = px_per_mm(points) / region.density
    upright = np.stack([along, down], axis=1)
    linear = upright * step
    ring = points[list(region.points), :2].astype(np.float64) @ upright
    middle = upright @ (ring.min(0) + ring.max(0)) / 2 - down * region.up_mm * px_per_mm(points)
    w, h = region.size
    return np.column_stack([linear, middle - linear @ (np.array([w - 1, h - 1]) / 2)])


def overlay(
    region: Region, true_place: FloatArray, true_points: FloatArray, points: FloatArray
) -> FloatArray:
    """Return the map (2, 3) from the region's pixels to a made picture's, laid over the true one.

    ``true_place`` is the true picture's ``place``; ``true_points`` and ``points`` (478, 3) are both
    pictures' landmarks.
    """
    rows = list(region.points)
    onto = similarity(true_points[rows, :2], points[rows, :2])
    linear = onto[:, :2] @ true_place[:, :2]
    return np.column_stack([linear, onto[:, :2] @ true_place[:, 2] + onto[:, 2]])


def opening(points: FloatArray, where: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return what lies between the lips, and a rim of them, as (h, w) 0 or 1 of a region.

    ``points`` (478, 3) are the picture's landmarks, ``where`` the region's map and ``size`` its
    pixels. All zero where the lips are shut, or part by less than a tenth of their width.
    """
    ring = points[list(LIPS_INNER), :2].astype(np.float64)
    local = (ring - where[:, 2]) @ np.linalg.inv(where[:, :2]).T
    mask = np.zeros(size[::-1], np.uint8)
    tall, wide = np.ptp(local[:, 1]), np.ptp(local[:, 0])
    if tall > wide / 10:
        cv2.fillPoly(mask, [np.round(local * 16).astype(np.int32)], 1, shift=4)
        mask = np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), np.uint8)
    return mask.astype(np.float32)


def similarity(one: FloatArray, two: FloatArray) -> FloatArray:
    """Return the similarity (2, 3) that brings ``one`` (k, 2) onto ``two`` by least squares."""
    a, b = (p.astype(np.float64) for p in (one, two))
    x, y = a - a.mean(0), b - b.mean(0)
    total = float((x * x).sum())
    c = float((x * y).sum()) / total
    s = float((x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum()) / total
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, b.mean(0) - linear @ a.mean(0)])


def cut_out(image: ImageArray, where: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Return the pixels (h, w, 3) that the map ``where`` (2, 3) leads to in ``image``.

    A large face is first made smaller as a whole, so that nothing aliases.
    """
    step = float(np.sqrt(abs(np.linalg.det(where[:, :2]))))
    if step > 1.25:
        small = (round(image.shape[1] / step), round(image.shape[0] / step))
        shrink = np.array(small) / image.shape[1::-1]
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        where = np.column_stack([where[:, :2] * shrink[:, None], _centred(where[:, 2], shrink)])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    out = cv2.warpAffine(image, where, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def _centred(at: FloatArray, shrink: FloatArray) -> FloatArray:
    """Return pixel-centre coordinates ``at`` (2,) in a picture made smaller by ``shrink`` (2,)."""
    moved: FloatArray = (at + 0.5) * shrink - 0.5
    return moved
