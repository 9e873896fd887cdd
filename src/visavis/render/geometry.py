"""Fields and meshes on the picture plane: rasterised mesh warps, smooth field inversion, fills.

Positions are pixels (x right, y down). A *field* is a displacement in pixels on a regular grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.types import FloatArray

SHIFT = 4
"""Fractional bits of cv2's polygon coordinates."""


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: left, top, width, height."""

    x: int
    y: int
    w: int
    h: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the rectangle."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)

    @staticmethod
    def around(points: FloatArray, margin: float, size: tuple[int, int]) -> Box:
        """Return the box of ``points`` (k, 2) widened by ``margin``, inside ``size`` (w, h)."""
        low = np.floor(points.min(0) - margin).astype(int)
        high = np.ceil(points.max(0) + margin).astype(int) + 1
        x0, y0 = np.clip(low, 0, np.array(size) - 2)
        x1, y1 = np.clip(high, (x0 + 2, y0 + 2), size)
        return Box(int(x0), int(y0), int(x1 - x0), int(y1 - y0))

    def part(self, points: FloatArray, margin: float) -> Box:
        """Return the box of ``points`` (k, 2) widened by ``margin``, inside this one."""
        inner = Box.around(points - (self.x, self.y), margin, (self.w, self.h))
        return Box(self.x + inner.x, self.y + inner.y, inner.w, inner.h)


def grid(box: Box, step: int = 1) -> FloatArray:
    """Return pixel positions (rows, columns, 2) of every ``step``-th pixel of ``box``."""
    xs = np.arange(0, box.w, step, dtype=np.float32) + box.x
    ys = np.arange(0, box.h, step, dtype=np.float32) + box.y
    return np.stack(np.meshgrid(xs, ys), axis=-1)


def smoothstep(x: NDArray[np.floating], low: float, high: float) -> FloatArray:
    """Return 0 below ``low``, 1 above ``high`` and a smooth ramp between (either order)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def ramp(x: float, low: float, high: float) -> float:
    """Return ``smoothstep`` of one number."""
    return float(smoothstep(np.array(x), low, high))


def subpixel(points: FloatArray) -> NDArray[np.int32]:
    """Return ``points`` in cv2's fixed-point coordinates of ``SHIFT`` fractional bits."""
    return np.round(points * (1 << SHIFT)).astype(np.int32)


def outline(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """Return the closed polygon between two curves (k, 2) that run the same way."""
    return np.concatenate([upper, lower[::-1]])


def polygon_mask(box: Box, polygon: FloatArray) -> NDArray[np.uint8]:
    """Return (h, w) uint8 coverage of ``polygon`` (k, 2) in picture pixels, antialiased."""
    mask = np.zeros((box.h, box.w), np.uint8)
    cv2.fillPoly(mask, [subpixel(polygon - (box.x, box.y))], 255, cv2.LINE_AA, SHIFT)
    return mask


def smooth_curve(points: FloatArray, per_segment: int = 4) -> FloatArray:
    """Return a Catmull-Rom curve through ``points`` (k, 2) with ``per_segment`` points each."""
    return (_curve_weights(len(points), per_segment) @ points).astype(np.float32)


@cache
def _curve_weights(count: int, per_segment: int) -> FloatArray:
    """Return how much each of ``count`` points weighs in each point of a curve (n, count)."""
    points = np.eye(count, dtype=np.float32)
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = (np.arange(per_segment, dtype=np.float32) / per_segment)[:, None]
    basis = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )
    windows = np.stack([p[i : len(p) - 3 + i] for i in range(4)], 1)  # (count - 1, 4, count)
    curve = np.einsum("sb,kbd->ksd", basis, windows).reshape(-1, count)
    return np.concatenate([curve, points[-1:]]).astype(np.float32)


def fill_outside(image: FloatArray, weight: FloatArray) -> FloatArray:
    """Extend ``image`` (h, w, c) from where ``weight`` (h, w) is 1 to everywhere, smoothly.

    Push-pull: average down a pyramid, then fill each level's gaps from the coarser one.
    """
    if min(image.shape[:2]) <= 2:
        total = max(float(weight.sum()), 1e-6)
        mean = (image * weight[..., None]).sum((0, 1)) / total
        return np.broadcast_to(mean, image.shape).astype(np.float32).copy()
    (h, w), channels = weight.shape, image.shape[2]
    share = cv2.merge([weight] * channels).reshape(h, w, channels)
    small_weight = cv2.pyrDown(weight)
    small = cv2.pyrDown(image * share).reshape(*small_weight.shape, channels)
    small /= np.maximum(small_weight, 1e-6)[..., None]
    coarse = fill_outside(small, np.minimum(small_weight * 4, 1))
    filled = cv2.pyrUp(coarse, dstsize=(w, h)).reshape(h, w, channels)
    own = image - filled
    own *= share
    return np.asarray(filled + own, np.float32)


def paint_over(
    image: NDArray[np.uint8], polygon: FloatArray, grow: float, soft: float, strength: float = 1.0
) -> NDArray[np.uint8]:
    """Return ``image`` (h, w, 3) with ``polygon`` (k, 2) filled from what surrounds it.

    The polygon is first widened by ``grow`` px (narrowed if negative); ``soft`` px blur its edge.
    """
    reach = float(np.ptp(polygon, axis=0).max())
    box = Box.around(polygon, max(grow, 0) + 0.3 * reach + 4, image.shape[1::-1])
    hidden = polygon_mask(box, polygon)
    side = 2 * round(abs(grow)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    hidden = (cv2.dilate if grow > 0 else cv2.erode)(hidden, disc).astype(np.float32) / 255
    crop = image[box.slices].astype(np.float32)
    painted = fill_outside(crop, 1 - hidden)
    share = strength * cv2.GaussianBlur(hidden, (0, 0), soft)[..., None]
    result = image.copy()
    result[box.slices] = np.clip(painted * share + crop * (1 - share), 0, 255).astype(np.uint8)
    return result


def refine(field: FloatArray, factor: float, shape: tuple[int, int]) -> FloatArray:
    """Return ``field`` (r, c, 2) interpolated to ``shape``, its grid ``factor`` times finer.

    Odd whole factors are exact, and five times as fast as others.
    """
    step = round(factor)
    if step == factor and step % 2:
        half, (h, w) = step // 2, shape
        rows, columns = (-(-(n - 1) // step) + 1 for n in shape)  # nodes up to the last pixel
        field = field[:rows, :columns]
        more = rows - field.shape[0], columns - field.shape[1]
        if any(more):
            field = cv2.copyMakeBorder(field, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
        whole = cv2.resize(field, (columns * step, rows * step))
        return whole[half : half + h, half : half + w]
    scale = np.array([[1 / factor, 0, 0], [0, 1 / factor, 0]], np.float64)
    return cv2.warpAffine(
        field, scale, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def invert_field(field: FloatArray, step: int, rounds: int = 8) -> FloatArray:
    """Return the backward field of a smooth forward ``field`` (rows, columns, 2) in pixels.

    Solves ``b(y) = -f(y + b(y))`` by damped fixed-point rounds; the grid spacing is ``step``.
    """
    rows, columns = field.shape[:2]
    nodes = grid(Box(0, 0, columns, rows))
    backward = -field
    for _ in range(rounds):
        at = nodes + backward / step
        sampled = cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        backward = 0.3 * backward - 0.7 * sampled
    return backward


@dataclass(frozen=True)
class WarpMesh:
    """A triangle mesh over the source picture, rasterised at every ``step``-th pixel of ``box``.

    ``source`` (v, 2) vertices in pixels, ``triangles`` (m, 3); the first ``holes`` of them span
    eyes and mouth and lie below the others.
    """

    source: FloatArray
    triangles: NDArray[np.int32]
    holes: int
    box: Box
    step: int

    def backward(self, target: FloatArray) -> FloatArray:
        """Return the field (r, c, 2) over ``box`` from picture pixels to the source picture.

        ``target`` (v, 2) are the moved vertices. Exact inside each triangle, zero off the mesh.
        """
        q, p = target[self.triangles], self.source[self.triangles]
        d1, d2 = q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]
        s1, s2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
        det = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
        facing = det * (s1[:, 0] * s2[:, 1] - s1[:, 1] * s2[:, 0]) > 0
        det = np.where(np.abs(det) < 1e-3, 1e-3, det)[:, None]
        across = (s1 * d2[:, 1:] - s2 * d1[:, 1:]) / det  # d source / d x
        down = (s2 * d1[:, :1] - s1 * d2[:, :1]) / det  # d source / d y
        across[:, 0] -= 1
        down[:, 1] -= 1
        constant = p[:, 0] - q[:, 0] - across * q[:, 0, :1] - down * q[:, 0, 1:]
        stretch = np.abs(across).sum(1) + np.abs(down).sum(1)
        stretch[~facing] = np.inf
        stretch[: self.holes] = np.inf
        ids = self._rasterise(q, np.argsort(-stretch, kind="stable"))
        x = np.arange(0, self.box.w, self.step, dtype=np.float32)[None] + self.box.x
        y = np.arange(0, self.box.h, self.step, dtype=np.float32)[:, None] + self.box.y
        field = _planar(across)[ids] * x
        field += _planar(down)[ids] * y
        field += _planar(constant)[ids]
        return field.view(np.float32).reshape(*ids.shape, 2)

    def _rasterise(self, corners: FloatArray, order: NDArray[np.intp]) -> NDArray[np.int32]:
        """Return (r, c) int32 triangle indices over ``box``, ``m`` where no triangle lies."""
        shape = (-(-self.box.h // self.step), -(-self.box.w // self.step))
        ids = np.full(shape, len(corners), np.int32)
        local = (corners - (self.box.x, self.box.y)) / self.step
        fixed = list(subpixel(local))
        for i in order.tolist():
            cv2.fillConvexPoly(ids, fixed[i], i, cv2.LINE_8, SHIFT)
        return ids


def _planar(vectors: FloatArray) -> NDArray[np.complex64]:
    """Return ``vectors`` (m, 2) as m complex numbers, x + iy, and a last zero: one gather each."""
    rows = np.concatenate([vectors, np.zeros((1, 2))]).astype(np.float32)
    return rows.view(np.complex64)[:, 0]
