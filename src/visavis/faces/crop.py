"""Upright square crops of a face: the similarity transform from picture to crop and back.

A crop is fixed by where the face lies: the least-squares similarity (Umeyama 1991) that carries
MediaPipe's canonical face, seen from the front, onto the landmarks gives centre, size and roll.
Lengths of the crop are centimetres of that canonical face (outer eye corners 8.9 cm apart).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from visavis.faces.topology import canonical
from visavis.types import FloatArray, ImageArray

FACE_CM = 18.0
"""Side of the square that just holds the canonical face, forehead to chin."""
MESH = slice(0, 468)


@dataclass(frozen=True)
class Crop:
    """A square cut out of a picture.

    ``centre`` (x, y) and ``side`` are pixels of the picture, ``roll`` degrees clockwise as the
    viewer sees it, ``size`` the pixels of the cut-out. Pixel (0, 0) covers [0, 1) x [0, 1).
    """

    centre: tuple[float, float]
    side: float
    roll: float
    size: int

    @property
    def matrix(self) -> FloatArray:
        """Return the affine map (2, 3) from crop pixels to picture pixels."""
        turn = np.deg2rad(self.roll)
        c, s = np.cos(turn) * self.side / self.size, np.sin(turn) * self.side / self.size
        linear = np.array([[c, -s], [s, c]])
        shift = np.array(self.centre) - linear @ np.full(2, self.size / 2)
        return np.column_stack([linear, shift]).astype(np.float32)

    def into(self, points: FloatArray) -> FloatArray:
        """Return picture points (n, 2 or 3) in crop pixels; z is scaled alike."""
        m = self.matrix.astype(np.float64)
        out = np.array(points, np.float32)
        out[:, :2] = (points[:, :2] - m[:, 2]) @ np.linalg.inv(m[:, :2]).T
        out[:, 2:] = points[:, 2:] * (self.size / self.side)
        return out

    def back(self, points: FloatArray) -> FloatArray:
        """Return crop points (n, 2 or 3) in picture pixels; z is scaled alike."""
        m = self.matrix
        out = np.array(points, np.float32)
        out[:, :2] = points[:, :2] @ m[:, :2].T + m[:, 2]
        out[:, 2:] = points[:, 2:] * (self.side / self.size)
        return out


def sample(image: ImageArray, crop: Crop, flags: int = cv2.INTER_LINEAR) -> Any:
    """Return the pixels (size, size, 3) of ``crop``; black outside the picture.

    A crop that shrinks the picture by more than two is taken from a reduced copy of the region,
    so that nothing aliases.
    """
    step = crop.side / crop.size
    if step > 1.5:
        image, crop = _reduced(image, crop, step)
    m = crop.matrix.astype(np.float64)
    m[:, 2] += m[:, :2] @ np.full(2, 0.5) - 0.5  # pixel centres
    return cv2.warpAffine(image, m, (crop.size, crop.size), flags=flags | cv2.WARP_INVERSE_MAP)


def _reduced(image: ImageArray, crop: Crop, step: float) -> tuple[ImageArray, Crop]:
    """Return the region of ``crop`` made ``step`` times smaller, and the crop on it."""
    reach = crop.side * 0.75
    x0, y0 = (max(0, int(c - reach)) for c in crop.centre)
    x1, y1 = (int(np.ceil(c + reach)) for c in crop.centre)
    region = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if not region.size:
        region, x0, y0 = image[:1, :1], 0, 0
    h, w = region.shape[:2]
    small_w, small_h = max(1, round(w / step)), max(1, round(h / step))
    small = cv2.resize(region, (small_w, small_h), interpolation=cv2.INTER_AREA)
    centre = ((crop.centre[0] - x0) * small_w / w, (crop.centre[1] - y0) * small_h / h)
    moved = Crop(centre, crop.side * small_w / w, crop.roll, crop.size)
    return np.asarray(small, np.uint8), moved


def upright_crop(points: FloatArray, side_cm: float, size: int) -> Crop:
    """Return the upright crop of ``side_cm`` centimetres round the landmarks (478, 2 or 3)."""
    centre, scale, roll = frontal_fit(points)
    return Crop(centre, side_cm * scale, roll, size)


def frontal_fit(points: FloatArray) -> tuple[tuple[float, float], float, float]:
    """Return where the face lies: centre (x, y), pixels per cm and roll in degrees."""
    model = canonical()[MESH, :2] * np.array([1, -1])
    middle = (model.max(0) + model.min(0)) / 2
    seen = points[MESH, :2].astype(np.float64)
    x, y = model - model.mean(0), seen - seen.mean(0)
    # With points as complex numbers, the similarity is one complex factor: y = a x.
    factor = complex((x * y).sum(), (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum()) / (x**2).sum()
    offset = complex(*(middle - model.mean(0))) * factor
    mean = seen.mean(0)
    centre = (float(mean[0] + offset.real), float(mean[1] + offset.imag))
    return centre, abs(factor), float(np.rad2deg(np.angle(factor)))
