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
SHARPEN = 1.6
"""Factor on the logits: the network is surer than the cross entropy lets it say."""
GUIDE_LIMIT = 1024
"""The guided filter works on at most this many pixels a side; its linear model is then enlarged."""


def mattes(image: ImageArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return person and head mattes, both (h, w) float32 in [0, 1], of the face at ``points``."""
    h, w = image.shape[:2]
    crop = matte_crop(points, SIDE_CM, SIZE)
    both = _spread(_predict(image, crop), crop, (w, h))
    inside = _spread(_window(SIZE), crop, (w, h))[..., None]
    if inside.min() < 0.99:
        far = Crop((w / 2, h / 2), float(max(w, h)), 0.0, SIZE)
        whole = _spread(_predict(image, far), far, (w, h))
        whole[..., 1] = 0
        both = both * inside + whole * (1 - inside)
    fine = guided(image, both, EDGE_CM * crop.side / SIDE_CM)
    fine = np.clip((fine - FAINT) / (1 - 2 * FAINT), 0, 1)
    return fine[..., 0], np.minimum(fine[..., 0], fine[..., 1])


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
    """Return person and head (size, size, 2) in one crop."""
    view = sample(image, crop).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    logits = packaged(NETWORK)({"image": np.ascontiguousarray(view)})[0][0]
    return np.ascontiguousarray(1 / (1 + np.exp(-SHARPEN * logits.transpose(1, 2, 0))), np.float32)


def _window(size: int) -> FloatArray:
    """Return a weight (size, size): 1 inside, falling to 0 over the outer twelfth."""
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (size / 12), 0, 1)
    return np.asarray(np.minimum(ramp[:, None], ramp[None]), np.float32)


def guided(
    image: ImageArray, mattes: FloatArray, radius: float, softness: float = 3e-4
) -> FloatArray:
    """Return ``mattes`` (h, w, k) with their edges moved to those of ``image`` (h, w, 3).

    Guided filter with a colour guide: inside each window of ``radius`` pixels a matte is a linear
    function of the colour; ``softness`` is the variance, of colours in [0, 1], taken for flat.
    """
    h, w = mattes.shape[:2]
    shrink = min(1.0, GUIDE_LIMIT / max(h, w))
    guide = image.astype(np.float32) / 255
    size = (max(1, round(w * shrink)), max(1, round(h * shrink)))
    reach = max(1, round(radius * shrink))
    slope, level = _local_linear(_resized(guide, size), _resized(mattes, size), reach, softness)
    slopes = [_resized(slope[..., c], (w, h)) for c in range(3)]
    fine = sum(guide[..., c : c + 1] * slopes[c] for c in range(3)) + _resized(level, (w, h))
    return np.asarray(np.clip(fine, 0, 1), np.float32)


def _resized(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return values (h, w, k) at ``size`` (w, h)."""
    if values.shape[1::-1] == size:
        return values
    how = cv2.INTER_AREA if size[0] < values.shape[1] else cv2.INTER_LINEAR
    resized = cv2.resize(values, size, interpolation=how)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], -1)


def _local_linear(
    guide: FloatArray, targets: FloatArray, reach: int, softness: float
) -> tuple[FloatArray, FloatArray]:
    """Return slope (h, w, k, 3) and level (h, w, k) of the guided filter's local linear model."""

    def mean_of(values: FloatArray) -> FloatArray:
        return np.reshape(cv2.blur(values, (2 * reach + 1,) * 2), values.shape)

    mean, aim = mean_of(guide), mean_of(targets)
    spread = {
        (i, j): mean_of(guide[..., i] * guide[..., j])
        - mean[..., i] * mean[..., j]
        + np.float32(softness * (i == j))
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    }
    both = [mean_of(guide[..., i : i + 1] * targets) - mean[..., i : i + 1] * aim for i in range(3)]
    inverse = _inverse(spread)
    slope = [sum(inverse[min(i, j), max(i, j)] * both[j] for j in range(3)) for i in range(3)]
    level = aim - sum(slope[i] * mean[..., i : i + 1] for i in range(3))
    smooth = np.stack([mean_of(np.asarray(part, np.float32)) for part in slope], -1)
    return smooth, mean_of(level)


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
    return {key: (value / whole)[..., None] for key, value in cofactors.items()}
