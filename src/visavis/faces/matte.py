"""Mattes: which pixels are person, and which of those are head and hair.

The network (assets/face_matte.onnx, our own U-Net, see its card) sees an upright crop of 256 pixels
round the face, and, where the picture reaches further, the whole picture; a guided filter (He et
al. 2013) then carries its soft edges to the picture's own resolution, so that the hairline follows
the hair.
"""

from __future__ import annotations

import cv2
import numpy as np

from visavis.faces.crop import Crop, frontal_fit, sample
from visavis.nn.session import packaged
from visavis.types import FloatArray, ImageArray

NETWORK = "face_matte.onnx"
SIZE = 256
SIDE_CM = 40.0
DOWN_CM = 2.0
"""The crop's middle lies this far below the middle of the face."""
GUIDE_LIMIT = 1024
"""The guided filter works on at most this many pixels a side; its linear model is then enlarged."""


def mattes(image: ImageArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return person and head mattes, both (h, w) float32 in [0, 1], of the face at ``points``."""
    h, w = image.shape[:2]
    crop = matte_crop(points, SIDE_CM, SIZE)
    near = _predict(image, crop)
    person, head = (cv2.warpAffine(m, crop.matrix, (w, h), flags=cv2.INTER_LINEAR) for m in near)
    inside = cv2.warpAffine(_window(SIZE), crop.matrix, (w, h), flags=cv2.INTER_LINEAR)
    if inside.min() < 0.99:
        far = Crop((w / 2, h / 2), float(max(w, h)), 0.0, SIZE)
        whole = cv2.warpAffine(_predict(image, far)[0], far.matrix, (w, h), flags=cv2.INTER_LINEAR)
        person = person * inside + whole * (1 - inside)
        head = head * inside
    scale = crop.side / SIZE
    person, head = (guided(image, m, 2.0 * scale) for m in (person, head))
    return person, np.minimum(head, person)


def matte_crop(points: FloatArray, side_cm: float, size: int) -> Crop:
    """Return the upright crop of head and shoulders for the landmarks."""
    centre, scale, roll = frontal_fit(points)
    turn = np.deg2rad(roll)
    down = DOWN_CM * scale
    moved = (centre[0] - float(np.sin(turn)) * down, centre[1] + float(np.cos(turn)) * down)
    return Crop(moved, side_cm * scale, roll, size)


def _predict(image: ImageArray, crop: Crop) -> FloatArray:
    """Return person and head (2, size, size) in one crop."""
    view = sample(image, crop).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    logits = packaged(NETWORK)({"image": np.ascontiguousarray(view)})[0][0]
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _window(size: int) -> FloatArray:
    """Return a weight (size, size): 1 inside, falling to 0 over the outer twelfth."""
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (size / 12), 0, 1)
    return np.asarray(np.minimum(ramp[:, None], ramp[None]), np.float32)


def guided(
    image: ImageArray, matte: FloatArray, radius: float, softness: float = 3e-4
) -> FloatArray:
    """Return ``matte`` (h, w) with its edges moved to those of ``image`` (h, w, 3).

    Guided filter with a colour guide: inside each window of ``radius`` pixels the matte is a linear
    function of the colour; ``softness`` is the variance, of colours in [0, 1], taken for flat.
    """
    h, w = matte.shape
    shrink = min(1.0, GUIDE_LIMIT / max(h, w))
    size = (max(1, round(w * shrink)), max(1, round(h * shrink)))
    guide = image.astype(np.float32) / 255
    small = cv2.resize(guide, size, interpolation=cv2.INTER_AREA) if shrink < 1 else guide
    target = cv2.resize(matte, size, interpolation=cv2.INTER_AREA) if shrink < 1 else matte
    reach = max(1, round(radius * shrink))
    slope, level = _local_linear(small, target, reach, softness)
    if shrink < 1:
        slope, level = cv2.resize(slope, (w, h)), cv2.resize(level, (w, h))
    return np.clip((slope * guide).sum(-1) + level, 0, 1).astype(np.float32)


def _local_linear(
    guide: FloatArray, target: FloatArray, reach: int, softness: float
) -> tuple[FloatArray, FloatArray]:
    """Return slope (h, w, 3) and level (h, w) of the guided filter's local linear model."""
    box = (2 * reach + 1,) * 2
    mean, aim = cv2.blur(guide, box), cv2.blur(target, box)
    both = cv2.blur(guide * target[..., None], box) - mean * aim[..., None]
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    spread = np.empty((*target.shape, 3, 3), np.float32)
    for i, j in pairs:
        value = cv2.blur(guide[..., i] * guide[..., j], box) - mean[..., i] * mean[..., j]
        spread[..., i, j] = spread[..., j, i] = value + (softness if i == j else 0)
    slope = np.linalg.solve(spread, both[..., None])[..., 0].astype(np.float32)
    level = aim - (slope * mean).sum(-1)
    return cv2.blur(slope, box), cv2.blur(level, box)
