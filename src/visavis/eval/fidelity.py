"""What the picture itself does: sharpness beside the portrait, flicker, and a still background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.eval.track import Sight
from visavis.faces.crop import Crop, sample
from visavis.types import FloatArray, ImageArray

Share = tuple[tuple[float, float], tuple[float, float]]

LARGEST = 400
"""Side of the largest face that is compared, pixels; larger ones are reduced to it."""
UPPER = ((0.18, 0.62), (0.22, 0.78))
"""Rows and columns of the face's square that hold eyes, nose and cheeks, but not the mouth."""
FOREHEAD = ((0.10, 0.22), (0.35, 0.65))
FINEST_PX = 0.6
"""Detail finer than this is left out: it depends on where the pixels fall, and is not seen."""
THUMB_PX = 160
AWAY = 0.75
"""Farther than this from the face's centre, in sides of its square, and above the chin, there is
background (or, in a tight picture, hair)."""


@dataclass(frozen=True)
class Looks:
    """One frame: ``detail`` is the standard deviation of the Laplacian in the upper face.

    Against the last frame, ``flicker`` is the change of the forehead's mean grey level and
    ``background`` the mean absolute change of the background, both of 0..255; NaN in the first
    frame and where there is none.
    """

    detail: float
    flicker: float
    background: float


@dataclass(frozen=True)
class LastSeen:
    """What is kept of a frame for the next: forehead grey level and a small grey picture."""

    forehead: float
    thumb: FloatArray


def look(image: ImageArray, sight: Sight, last: LastSeen | None) -> tuple[Looks, LastSeen]:
    """Return the looks of ``image`` (h, w, 3) and what the next call needs."""
    grey = cv2.cvtColor(face(image, sight.crop), cv2.COLOR_RGB2GRAY)
    height, width = image.shape[:2]
    share = THUMB_PX / max(height, width)
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    thumb = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = LastSeen(float(_part(grey, FOREHEAD).mean()), thumb)
    if last is None or last.thumb.shape != thumb.shape:
        return Looks(_detail(grey), np.nan, np.nan), seen
    away = _is_background(thumb.shape, sight.crop, share)
    change = float(np.abs(thumb - last.thumb)[away].mean()) if away.sum() > 100 else np.nan
    return Looks(_detail(grey), abs(seen.forehead - last.forehead), change), seen


def face(image: ImageArray, crop: Crop, size: int | None = None) -> ImageArray:
    """Return the square round the face at ``size`` pixels, by default its own, at most LARGEST.

    The picture is first brought to that scale as a whole, without aliasing, so that faces of any
    resolution lose the same to the turning of the square.
    """
    side = min(LARGEST, crop.size) if size is None else size
    share = side / crop.side
    if abs(share - 1) < 0.03:
        return np.asarray(sample(image, crop, cv2.INTER_CUBIC), np.uint8)
    x, y = (max(0, int(c - crop.side)) for c in crop.centre)
    near = image[y : y + int(2 * crop.side), x : x + int(2 * crop.side)]
    kind = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(near, None, fx=share, fy=share, interpolation=kind), np.uint8)
    centre = ((crop.centre[0] - x) * share, (crop.centre[1] - y) * share)
    return np.asarray(
        sample(scaled, Crop(centre, side, crop.roll, side), cv2.INTER_CUBIC), np.uint8
    )


def detail(image: ImageArray, crop: Crop, size: int) -> float:
    """Return the standard deviation of the Laplacian in the upper face at ``size`` pixels."""
    return _detail(cv2.cvtColor(face(image, crop, size), cv2.COLOR_RGB2GRAY))


def _detail(grey: ImageArray) -> float:
    smooth = cv2.GaussianBlur(_part(grey, UPPER).astype(np.float32), (0, 0), FINEST_PX)
    return float(cv2.Laplacian(smooth, cv2.CV_32F).std())


def _part(grey: ImageArray, where: Share) -> ImageArray:
    """Return the part of the square ``grey`` between shares ``where`` of its sides."""
    rows, columns = (slice(round(a * len(grey)), round(b * len(grey))) for a, b in where)
    return grey[rows, columns]


def _is_background(shape: tuple[int, ...], crop: Crop, share: float) -> FloatArray:
    """Tell for each pixel of the small picture whether it is far from the face, above the chin."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    right, down = x - crop.centre[0] * share, y - crop.centre[1] * share
    side = crop.side * share
    away: FloatArray = (np.hypot(right, down) > AWAY * side) & (down < 0.3 * side)
    return away


def sharpness(looks: list[Looks], portrait_detail: float) -> float:
    """Return the median detail of the frames over that of the portrait: 1 is as sharp.

    Both are taken at the size of the face in the video. A still copy scores 1.0 to 1.1, moved by
    half a pixel (bilinear) 0.70 to 0.82, blurred by 1 pixel 0.44 to 0.55.
    """
    return float(np.median([one.detail for one in looks]) / max(portrait_detail, 1e-6))


def steady(values: list[float]) -> float | None:
    """Return the mean of ``values`` without NaN, or None if nothing is left."""
    known = np.array(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None
