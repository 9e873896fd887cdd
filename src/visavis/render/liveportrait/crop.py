"""The square of a face that LivePortrait's networks look at.

Two anchors, the middle of the eyes and that of the lips, say which way is down; the square holds
all points, is enlarged about its middle and moved along the face's own axes (ditto-spec 6).
Published weights saw faces marked by 106 and 203 points, which end at the brows. Of MediaPipe's 478
those parts stand in: the outline from temple to temple round the chin, brows, eyes and lips. In
the canonical face they are 15.5 cm wide and 14.5 cm high, all 478 are 17.7 cm high; so no factor is
needed, where the whole mesh with its forehead would make the face smaller by a seventh.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from visavis.faces.topology import LEFT_BROW, LEFT_EYE, LIPS_OUTER, OVAL, RIGHT_BROW, RIGHT_EYE
from visavis.types import FloatArray, ImageArray

CROP = 512
"""Side of the crops that are pasted back."""
INPUT = 256
"""Side of the pictures that F and M are shown."""
SOURCE = (2.3, -0.125)
"""Of a portrait: how much larger than the face the square is, and how far up it moves."""
DRIVING = (2.2, -0.1)
"""The same of a driving video."""
_OUTLINE = OVAL[OVAL.index(356) : OVAL.index(127) + 1]
_EXTENT = (*_OUTLINE, *LEFT_BROW, *RIGHT_BROW, *LEFT_EYE, *RIGHT_EYE, *LIPS_OUTER)
_EYE_ANCHORS = (33, 159, 133, 145, 263, 386, 362, 374)
_LIP_ANCHORS = (61, 291)
_COARSE = 1.5  # pixels of the picture per pixel of the crop from which it is reduced first


@dataclass(frozen=True)
class FaceSquare:
    """A square of a picture: ``centre`` (x, y) and ``side`` px, turned by ``angle`` radians."""

    centre: tuple[float, float]
    side: float
    angle: float

    def into(self, size: int = CROP) -> FloatArray:
        """Return the map (3, 3) from picture to a crop of ``size`` px; pixel centres are whole."""
        scale = size / self.side
        c, s = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        linear = np.array([[c, s], [-s, c]])
        shift = size / 2 - linear @ self.centre
        return np.vstack([np.column_stack([linear, shift]), [0.0, 0.0, 1.0]])

    def back(self, size: int = CROP) -> FloatArray:
        """Return the map (3, 3) from the crop to the picture."""
        return np.linalg.inv(self.into(size))

    def unit(self, points: FloatArray) -> FloatArray:
        """Return picture ``points`` (..., 2) in the crop's -1..1."""
        m = self.into(2)
        return np.asarray(points @ m[:2, :2].T + m[:2, 2] - 1.0, np.float32)


def square_around(
    points: FloatArray, eyes: FloatArray, lips: FloatArray, scale: float, up: float
) -> FaceSquare:
    """Return the upright square of the face with ``points`` (n, 2).

    ``eyes`` and ``lips`` (2,) are the anchors, ``scale`` and ``up`` as in ``SOURCE``: down is
    positive, in sides of the enlarged square.
    """
    down = np.asarray(lips, np.float64) - eyes
    length = np.linalg.norm(down)
    down = down / length if length > 1e-3 else np.array([0.0, 1.0])
    axes = np.array([[down[1], -down[0]], down])
    middle = points.mean(0)
    turned = (points - middle) @ axes.T
    low, high = turned.min(0), turned.max(0)
    side = float((high - low).max()) * scale
    centre = middle + (low + high) / 2 @ axes + up * side * down
    return FaceSquare((float(centre[0]), float(centre[1])), side, float(np.arctan2(*axes[0, ::-1])))


def face_square(landmarks: FloatArray, fit: tuple[float, float] = SOURCE) -> FaceSquare:
    """Return the square of the face with ``landmarks`` (478, 2 or 3) px; ``fit`` as ``SOURCE``."""
    flat = landmarks[:, :2].astype(np.float64)
    eyes, lips = (flat[list(rows)].mean(0) for rows in (_EYE_ANCHORS, _LIP_ANCHORS))
    return square_around(flat[list(_EXTENT)], eyes, lips, *fit)


def cut_out(image: ImageArray, square: FaceSquare, size: int = CROP) -> ImageArray:
    """Return the pixels (size, size, 3) of ``square``, bilinear; black outside the picture.

    Of large faces a reduced copy is sampled, so that nothing aliases: upstream does not.
    """
    step = square.side / size
    if step > _COARSE:
        h, w = image.shape[:2]
        small = (max(1, round(w / step)), max(1, round(h / step)))
        factor = small[0] / w
        centre = tuple((c + 0.5) * factor - 0.5 for c in square.centre)
        square = replace(square, centre=centre, side=square.side * factor)
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    out = cv2.warpAffine(image, square.into(size)[:2], (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(out, np.uint8)


def network_input(crop: ImageArray) -> FloatArray:
    """Return ``crop`` (512, 512, 3) as F and M want it: (256, 256, 3) float32 in 0..1."""
    small = cv2.resize(crop, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255.0
