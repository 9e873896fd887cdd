"""Putting a drawn crop back into its picture: warped, with feathered borders (ditto-spec 6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np

from visavis.render.geometry import Box
from visavis.render.liveportrait.crop import CROP, FaceSquare
from visavis.types import FloatArray, ImageArray

FEATHER = 25
"""Pixels of the crop over which its border fades."""
EDGE = 3.0
"""The same along the picture's own border: beyond it crops are black, which networks smear."""


@dataclass(frozen=True)
class Paste:
    """Where a crop lies in a picture: ``box`` its part of the picture, ``matrix`` (2, 3) from the
    crop, made ``reduced`` times smaller, to that part, ``mask`` (h, w) what is taken of it.
    """

    box: Box
    matrix: FloatArray
    reduced: int
    mask: FloatArray

    def apply(self, image: ImageArray, crop: FloatArray) -> ImageArray:
        """Return ``image`` (h, w, 3) with ``crop`` (512, 512, 3), 0..255, put in."""
        out = image.copy()
        part = out[self.box.slices]
        drawn = np.clip(crop, 0, 255)
        if self.reduced > 1:
            side = CROP // self.reduced
            drawn = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA)
        front = cv2.convertScaleAbs(_warped(drawn, self.matrix, self.box))
        part[:] = cv2.blendLinear(front, np.ascontiguousarray(part), self.mask, 1 - self.mask)
        return out


@cache
def feather() -> FloatArray:
    """Return the mask (512, 512): 0 on the border, 1 from ``FEATHER`` px inside, round corners."""
    at = np.arange(CROP)
    outside = np.clip(np.maximum(FEATHER - at, at - (CROP - 1 - FEATHER)), 0, None) / FEATHER
    mask = np.clip(1 - np.hypot(outside[:, None], outside), 0, 1)
    return mask.astype(np.float32)


def paste_at(
    square: FaceSquare, source: tuple[int, int], size: tuple[int, int], edge: float = EDGE
) -> Paste:
    """Return how crops of ``square`` go back into a picture.

    ``source`` (width, height) is the picture the square was cut from, ``size`` the picture to put
    it into: the same, scaled. Crops drawn smaller than they are get reduced first. ``edge`` as
    ``EDGE``; 0 is upstream's.
    """
    fx, fy = size[0] / source[0], size[1] / source[1]
    scaled = np.array([[fx, 0, fx / 2 - 0.5], [0, fy, fy / 2 - 0.5], [0, 0, 1]])
    matrix = scaled @ square.back()
    corners = np.array([[0, 0, 1], [CROP, 0, 1], [0, CROP, 1], [CROP, CROP, 1]]) @ matrix[:2].T
    box = Box.around(corners.astype(np.float32), 1, size)
    matrix = np.array([[1, 0, -box.x], [0, 1, -box.y], [0, 0, 1]]) @ matrix
    mask = _warped(feather(), matrix[:2], box)
    if edge:
        mask *= _within(box, size, edge * np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    smaller = 1 / np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    reduced = 2 ** int(np.clip(np.log2(smaller), 0, 6))
    half = (reduced - 1) / 2
    matrix = matrix @ np.array([[reduced, 0, half], [0, reduced, half], [0, 0, 1]])
    return Paste(box, matrix[:2], reduced, mask)


def _within(box: Box, size: tuple[int, int], edge: float) -> FloatArray:
    """Return (h, w): 0 on the border of a picture of ``size``, 1 from ``edge`` px inside."""
    x, y = (
        np.minimum(a, n - 1 - a) for a, n in zip(np.ogrid[: size[0], : size[1]], size, strict=True)
    )
    inside = np.minimum(x, y).T[box.slices] / edge
    return np.clip(inside, 0, 1).astype(np.float32)


def _warped(picture: Any, matrix: FloatArray, box: Box) -> Any:
    """Return ``picture`` (h, w) or (h, w, 3) where ``matrix`` puts it in ``box``."""
    return cv2.warpAffine(picture, matrix, (box.w, box.h), flags=cv2.INTER_LINEAR)
