"""Mattes: which pixels are person, and which of those are head and hair.

The network (assets/face_matte.onnx, our own U-Net, see its card) sees an upright crop of 256 pixels
round the face, and, where the picture reaches further, the whole picture; a guided filter (He et
al. 2013) then carries its soft edges to the picture's own resolution, so that the hairline follows
the hair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.faces.crop import Crop, frontal_fit, sample
from visavis.nn.session import packaged
from visavis.types import FloatArray, ImageArray

NETWORK = "face_matte.onnx"
SIZE = 256
SIDE_CM = 40.0
DOWN_CM = 2.0
"""The crop's middle lies this far below the middle of the face."""
EDGE_CM = 0.3
"""Radius of the guided filter: how far an edge may be moved."""
FAINT = 0.04
"""Mattes below this are taken for 0, and above one less this for 1."""
STRIP_PX = 256
"""Rows of the picture worked on at a time, so that large pictures need little memory."""
SHARPEN = 1.6
"""Factor on the logits: the network is surer than the cross entropy lets it say."""
GUIDE_LIMIT = 1024
"""All but the last step works on at most this many pixels a side."""


def mattes(image: ImageArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return person and head mattes, both (h, w) float32 in [0, 1], of the face at ``points``."""
    h, w = image.shape[:2]
    shrink = min(1.0, GUIDE_LIMIT / max(h, w))
    size = (max(1, round(w * shrink)), max(1, round(h * shrink)))
    small = image if shrink == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    crop = matte_crop(points * np.float32(shrink), SIDE_CM, SIZE)
    rough = _rough(np.asarray(small, np.uint8), crop)
    fine = guided(image, rough, EDGE_CM * crop.side / SIDE_CM)
    fine = np.clip((fine - FAINT) / (1 - 2 * FAINT), 0, 1)
    return fine[..., 0], np.minimum(fine[..., 0], fine[..., 1])


def _rough(image: ImageArray, crop: Crop) -> FloatArray:
    """Return both mattes (h, w, 2) as the network sees them, the person's beyond the crop too."""
    h, w = image.shape[:2]
    both = _spread(_predict(image, crop), crop, (w, h))
    inside = _spread(_window(SIZE), crop, (w, h))[..., None]
    if inside.min() > 0.99:
        return both
    far = Crop((w / 2, h / 2), float(max(w, h)), 0.0, SIZE)
    whole = _spread(_predict(image, far), far, (w, h))
    whole[..., 1] = 0
    return both * inside + whole * (1 - inside)


def _spread(values: FloatArray, crop: Crop, size: tuple[int, int]) -> FloatArray:
    """Return values (n, n, ...) of a crop in the picture of ``size`` (w, h), 0 beyond the crop."""
    n = crop.size
    m = crop.matrix.astype(np.float64)
    m[:, 2] += m[:, :2] @ np.full(2, 0.5) - 0.5  # pixel centres
    flags = cv2.INTER_LINEAR if crop.side > n else cv2.INTER_AREA
    return np.asarray(cv2.warpAffine(values, m, size, flags=flags), np.float32)


def matte_crop(points: FloatArray, side_cm: float, size: int) -> Crop:
    """Return the upright crop of head and shoulders for the landmarks."""
    centre, scale, roll = frontal_fit(points)
    turn = np.deg2rad(roll)
    down = DOWN_CM * scale
    moved = (centre[0] - float(np.sin(turn)) * down, centre[1] + float(np.cos(turn)) * down)
    return Crop(moved, side_cm * scale, roll, size)


def _predict(image: ImageArray, crop: Crop) -> FloatArray:
    """Return person and head (size, size, 2) in one crop, seen straight and mirrored."""
    view = sample(image, crop).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    straight = packaged(NETWORK)({"image": np.ascontiguousarray(view)})[0][0]
    mirrored = packaged(NETWORK)({"image": np.ascontiguousarray(view[..., ::-1])})[0][0]
    logits = (straight + mirrored[..., ::-1]).transpose(1, 2, 0) / 2
    return np.ascontiguousarray(1 / (1 + np.exp(-SHARPEN * logits)), np.float32)


def _window(size: int) -> FloatArray:
    """Return a weight (size, size): 1 inside, falling to 0 over the outer twelfth."""
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (size / 12), 0, 1)
    return np.asarray(np.minimum(ramp[:, None], ramp[None]), np.float32)


def guided(
    image: ImageArray, mattes: FloatArray, radius: float, softness: float = 3e-4
) -> FloatArray:
    """Return ``mattes`` (a, b, k) at the size of ``image`` (h, w, 3), edges moved to its edges.

    Guided filter with a colour guide: inside each window of ``radius`` pixels of the mattes, a
    matte is a linear function of the colour; ``softness`` is the variance, of colours in [0, 1],
    taken for flat. The mattes may be smaller than the picture: their linear model is enlarged.
    """
    (a, b, k), (h, w) = mattes.shape, image.shape[:2]
    small = image if (a, b) == (h, w) else cv2.resize(image, (b, a), interpolation=cv2.INTER_AREA)
    guide = np.asarray(small, np.float32) / 255
    planes = _local_linear(guide, mattes, max(1, round(radius)), softness)
    fine = np.empty((h, w, k), np.float32)
    for top in range(0, h, STRIP_PX):
        rows = image[top : top + STRIP_PX].astype(np.float32)
        colours = [np.ascontiguousarray(rows[..., c]) for c in range(3)]
        for matte, own in enumerate(planes):
            *slopes, part = (_enlarged(plane, (h, w), top, len(rows)) for plane in own)
            for colour, factor in zip(colours, slopes, strict=True):
                part += colour * (factor / 255)
            fine[top : top + STRIP_PX, :, matte] = np.clip(part, 0, 1)
    return fine


def _enlarged(plane: FloatArray, size: tuple[int, int], top: int, count: int) -> FloatArray:
    """Return ``count`` rows from ``top`` of ``plane`` (a, b) enlarged to ``size`` (h, w)."""
    (a, b), (h, w) = plane.shape, size
    if (a, b) == (h, w):
        return plane[top : top + count].copy()
    at = np.clip((np.arange(top, top + count, dtype=np.float32) + 0.5) * (a / h) - 0.5, 0, a - 1)
    above = np.minimum(at.astype(int), max(a - 2, 0))
    share = (at - above).astype(np.float32)[:, None]
    rows = plane[above] * (1 - share) + plane[np.minimum(above + 1, a - 1)] * share
    return cv2.resize(rows, (w, count), interpolation=cv2.INTER_LINEAR)


def _local_linear(
    guide: FloatArray, targets: FloatArray, reach: int, softness: float
) -> list[list[FloatArray]]:
    """Return the guided filter's local linear model of each of ``targets`` (h, w, k).

    Three slopes, one per colour, and a level, each (h, w).
    """

    def mean_of(values: FloatArray) -> FloatArray:
        return cv2.blur(values, (2 * reach + 1,) * 2)

    colours = [np.ascontiguousarray(guide[..., c]) for c in range(3)]
    mean = [mean_of(colour) for colour in colours]
    spread = {
        (i, j): mean_of(colours[i] * colours[j])
        - mean[i] * mean[j]
        + np.float32(softness * (i == j))
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    }
    inverse = _inverse(spread)
    models = []
    for k in range(targets.shape[2]):
        target = np.ascontiguousarray(targets[..., k], np.float32)
        aim = mean_of(target)
        both = [mean_of(colours[i] * target) - mean[i] * aim for i in range(3)]
        slope = [sum(inverse[min(i, j), max(i, j)] * both[j] for j in range(3)) for i in range(3)]
        level = aim - sum(slope[i] * mean[i] for i in range(3))
        models.append([mean_of(np.asarray(part, np.float32)) for part in (*slope, level)])
    return models


def _inverse(m: Mapping[tuple[int, int], NDArray[Any]]) -> dict[tuple[int, int], NDArray[Any]]:
    """Return the inverses of symmetric 3 x 3 matrices, each entry an array (h, w) -> (h, w, 1)."""
    cofactors = {
        (0, 0): m[1, 1] * m[2, 2] - m[1, 2] ** 2,
        (0, 1): m[0, 2] * m[1, 2] - m[0, 1] * m[2, 2],
        (0, 2): m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1],
        (1, 1): m[0, 0] * m[2, 2] - m[0, 2] ** 2,
        (1, 2): m[0, 1] * m[0, 2] - m[0, 0] * m[1, 2],
        (2, 2): m[0, 0] * m[1, 1] - m[0, 1] ** 2,
    }
    whole = sum(m[0, j] * cofactors[0, j] for j in range(3))
    return {key: value / whole for key, value in cofactors.items()}
