"""Pictures made harder: geometry, light, noise and things in front of the face (NumPy, OpenCV).

Every function takes a random generator, so that a seed fixes the whole training run.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from visavis.faces.crop import Crop
from visavis.faces.topology import LEFT_EYE, RIGHT_EYE
from visavis.types import FloatArray, ImageArray

Rng = np.random.Generator


def degrade(image: ImageArray, rng: Rng) -> ImageArray:
    """Return the picture with random light, colour, sharpness and noise; geometry unchanged."""
    image = _colour(image, rng)
    for chance, change in (
        (0.15, _shade), (0.18, _low_resolution), (0.12, _blur), (0.2, _noise), (0.12, _jpeg),
        (0.04, _paint),
    ):  # fmt: skip
        if rng.random() < chance:
            image = change(image, rng)
    return image


def occlude(image: ImageArray, points: FloatArray, other: ImageArray, rng: Rng) -> ImageArray:
    """Return the picture with, at times, glasses, a blob or a patch of ``other`` over the face."""
    image = image.copy()
    if rng.random() < 0.12:
        _glasses(image, points, rng)
    if rng.random() < 0.18:
        _blob(image, other, rng)
    return image


def bend(
    image: ImageArray, points: FloatArray, crop: Crop, rng: Rng
) -> tuple[ImageArray, FloatArray]:
    """Return the crop of ``image`` and its points with other proportions: another person's face.

    Half of the faces are stretched and slanted a little; a third are bent by a smooth field.
    """
    n = crop.size
    back = crop.matrix.astype(np.float64)
    if rng.random() < 0.5:
        stretch = float(np.exp(rng.normal(0, 0.05)))
        change = np.array([[stretch, rng.normal(0, 0.03)], [0, 1 / stretch]])
        back[:, 2] += back[:, :2] @ (np.full(2, n / 2) - change @ np.full(2, n / 2))
        back[:, :2] = back[:, :2] @ change
    inverse = np.linalg.inv(back[:, :2])
    moved = points.copy()
    moved[:, :2] = (points[:, :2] - back[:, 2]) @ inverse.T
    moved[:, 2] = points[:, 2] * (n / crop.side)
    if rng.random() > 0.35:
        back[:, 2] += back[:, :2] @ np.full(2, 0.5) - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(image, back, (n, n), flags=flags), np.uint8), moved
    cells = int(rng.integers(4, 7))
    field = rng.normal(0, 0.008 * n, (cells, cells, 2)).astype(np.float32)
    field = cv2.resize(field, (n, n), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:n, :n].astype(np.float32) + np.float32(0.5)
    seen = np.stack([x, y], -1) + field
    maps = (seen @ back[:, :2].T + back[:, 2] - 0.5).astype(np.float32)
    # A point p of the picture is seen where q + field(q) = p; two steps of iteration find q.
    wanted, at = moved[:, :2].copy(), moved[:, :2]
    for _ in range(2):
        j, i = np.clip(at.astype(np.int64), 0, n - 1).T[::-1]
        at = wanted - field[j, i]
    moved[:, :2] = at
    view = cv2.remap(image, maps, None, cv2.INTER_LINEAR)
    return np.asarray(view, np.uint8), moved


def _colour(image: ImageArray, rng: Rng) -> ImageArray:
    """Apply gain, gamma and tint by table; now and then grey or pale."""
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma = np.exp(rng.normal(0, 0.25))
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.06, 3))
    table = np.clip((ramp**gamma * gain + rng.normal(0, 0.04)) * 255, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[None]), np.uint8)
    choice = rng.random()
    if choice < 0.25:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 0.0 if choice < 0.1 else rng.uniform(0.2, 1.5)
        image = np.asarray(cv2.addWeighted(image, keep, grey, 1 - keep, 0), np.uint8)
    return image


def _shade(image: ImageArray, rng: Rng) -> ImageArray:
    """Darken along a random direction, as light from one side does."""
    n = image.shape[0]
    y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j].astype(np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    slope = np.tanh((x * np.cos(turn) + y * np.sin(turn)) * rng.uniform(0.5, 4))
    weight = 1 - rng.uniform(0.15, 0.45) * (1 + slope[..., None])
    return np.asarray(image * weight, np.uint8)


def _low_resolution(image: ImageArray, rng: Rng) -> ImageArray:
    """Shrink and enlarge again."""
    n = image.shape[0]
    small = max(24, round(n * rng.uniform(0.25, 0.8)))
    less = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (n, n), interpolation=cv2.INTER_LINEAR), np.uint8)


def _blur(image: ImageArray, rng: Rng) -> ImageArray:
    """Blur all round or, as a moving camera does, along a line."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.8)), np.uint8)
    length = int(rng.integers(3, 9))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return np.asarray(cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-3)), np.uint8)


def _noise(image: ImageArray, rng: Rng) -> ImageArray:
    """Add sensor noise, fine or coarse."""
    n = image.shape[0]
    cells = n if rng.random() < 0.7 else n // 2
    noise = rng.standard_normal((cells, cells, 3), np.float32) * rng.uniform(2, 16)
    if cells != n:
        noise = cv2.resize(noise, (n, n), interpolation=cv2.INTER_LINEAR)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _jpeg(image: ImageArray, rng: Rng) -> ImageArray:
    """Compress hard."""
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 70))])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


def _paint(image: ImageArray, rng: Rng) -> ImageArray:
    """Flatten into patches of few tones, like a painting or a drawing."""
    image = np.asarray(cv2.medianBlur(image, 2 * int(rng.integers(1, 3)) + 1), np.uint8)
    levels = int(rng.integers(10, 40))
    table = (np.arange(256) // levels * levels + levels // 2).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _glasses(image: ImageArray, points: FloatArray, rng: Rng) -> None:
    """Draw rims, clear or dark lenses, a bridge and temples over the eyes."""
    colour = tuple(int(c) for c in rng.integers(0, 90 if rng.random() < 0.8 else 255, 3))
    centres = [points[list(ring), :2].mean(0) for ring in (RIGHT_EYE, LEFT_EYE)]
    axis = centres[1] - centres[0]
    apart = float(np.linalg.norm(axis))
    angle = float(np.rad2deg(np.arctan2(axis[1], axis[0])))
    half = (apart * rng.uniform(0.32, 0.45), apart * rng.uniform(0.22, 0.4))
    thick = max(1, round(apart * rng.uniform(0.01, 0.07)))
    drawn = image.copy()
    for centre in centres:
        box = (centre.tolist(), (2 * half[0], 2 * half[1]), angle)
        if rng.random() < 0.3:
            cv2.ellipse(drawn, box, tuple(int(c) for c in rng.integers(0, 80, 3)), -1)
        cv2.ellipse(drawn, box, colour, thick, cv2.LINE_AA)
    unit = axis / max(apart, 1e-3)
    for start, end in (
        (centres[0] + unit * half[0], centres[1] - unit * half[0]),
        (centres[0] - unit * half[0], points[127, :2]),
        (centres[1] + unit * half[0], points[356, :2]),
    ):  # fmt: skip
        cv2.line(drawn, _pixel(start), _pixel(end), colour, thick, cv2.LINE_AA)
    weight = rng.uniform(0.6, 1)
    image[:] = cv2.addWeighted(drawn, weight, image, 1 - weight, 0)


def _pixel(point: Any) -> tuple[int, int]:
    """Return a point as whole pixels for OpenCV's drawing functions."""
    return int(round(float(point[0]))), int(round(float(point[1])))


def _blob(image: ImageArray, other: ImageArray, rng: Rng) -> None:
    """Put a soft ellipse or a rectangle of another picture or of one colour over the picture."""
    n = image.shape[0]
    mask = np.zeros((n, n), np.uint8)
    size = rng.uniform(0.08, 0.4, 2) * n
    box = (rng.uniform(0.05, 0.95, 2) * n, size, float(rng.uniform(0, 180)))
    if rng.random() < 0.6:
        cv2.ellipse(mask, (box[0].tolist(), box[1].tolist(), box[2]), 255, -1)
    else:
        corners = cv2.boxPoints((box[0].tolist(), box[1].tolist(), box[2])).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 255)
    fill = other if rng.random() < 0.6 else np.uint8(rng.integers(0, 256, 3))
    np.copyto(image, fill, where=mask[..., None] > 0)
