"""Eyeballs behind the lids: a completed eye texture that turns with the gaze."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.render.geometry import (
    SHIFT,
    Box,
    fill_outside,
    grid,
    outline,
    paint_over,
    polygon_mask,
    ramp,
    smooth_curve,
    smoothstep,
    subpixel,
)
from visavis.types import FloatArray, ImageArray

_LASH_WIDTH = 0.10  # of the iris radius
_LASH_STRENGTH = 0.6  # of the line drawn where lids meet; the skin brings its own lashes
_LASH_MARGIN = 0.10  # of the iris radius: pixels at the lids that belong to lashes


@dataclass(frozen=True)
class Eye:
    """One eye of a portrait.

    ``texture`` (h, w, 3) uint8 over ``box`` shows the eyeball without lids; ``centre`` (2,) and
    ``radius`` of the iris in px; ``upper`` and ``lower`` are lid contours, ``iris`` its points;
    ``lashes`` (3,) their colour.
    """

    box: Box
    texture: ImageArray
    centre: FloatArray
    radius: float
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    iris: tuple[int, ...]
    lashes: FloatArray

    def draw(self, points: FloatArray) -> tuple[Box, ImageArray, FloatArray]:
        """Return where the lids are open and over it the eyeball (h, w, 3) and its coverage (h, w).

        ``points`` (478, 2) are the moved landmarks in the portrait's own pose.
        """
        upper, lower = (smooth_curve(points[list(lid)]) for lid in (self.upper, self.lower))
        lids = outline(upper, lower)
        box = self.box.part(lids, max(1, round(_LASH_WIDTH * self.radius)) + 2)
        gaze = points[list(self.iris)].mean(0) - self.centre
        nodes = grid(box)
        away = np.linalg.norm(nodes - self.centre - gaze, axis=-1) / self.radius
        weight = smoothstep(away, 3.2, 1.1)[..., None]
        at = nodes - gaze * weight - (self.box.x, self.box.y)
        eyeball = cv2.remap(
            self.texture, at.astype(np.float32), None, cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        opening = polygon_mask(box, lids)
        gap = float(np.linalg.norm(upper - lower, axis=1).max()) / self.radius
        cover = cv2.GaussianBlur(opening, (3, 3), 0).astype(np.float32)
        cover *= ramp(gap, 0.1, 0.4) / 255  # lids that touch show nothing of the eyeball
        lid = upper - (box.x, box.y)
        return box, *self._draw_lashes(eyeball, cover, lid, ramp(gap, 0.5, 0.1))

    def _draw_lashes(
        self, eyeball: ImageArray, cover: FloatArray, lid: FloatArray, strength: float
    ) -> tuple[ImageArray, FloatArray]:
        """Draw the line of lashes where the lids meet, along ``lid`` (k, 2), over the eyeball."""
        if strength == 0:
            return eyeball, cover
        line = np.zeros(cover.shape, np.uint8)
        corners = subpixel(lid[3:-3])
        width = max(1, round(_LASH_WIDTH * self.radius))
        cv2.polylines(line, [corners], False, 255, width, cv2.LINE_AA, SHIFT)
        alpha = cv2.GaussianBlur(line, (3, 3), 0).astype(np.float32) * (
            _LASH_STRENGTH * strength / 255
        )
        total = alpha + cover * (1 - alpha)
        share = (alpha / np.maximum(total, 1e-3))[..., None]
        return (self.lashes * share + eyeball * (1 - share)).astype(np.uint8), total


def make_eye(
    image: ImageArray,
    points: FloatArray,
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    iris: tuple[int, ...],
) -> Eye:
    """Cut one eye out of ``image`` (h, w, 3) and complete what the lids hide."""
    ring = points[list(iris), :2].astype(np.float32)
    centre = ring.mean(0)
    radius = float(np.linalg.norm(ring[1:] - ring[0], axis=1).mean())
    contour = points[list(upper + lower), :2].astype(np.float32)
    box = Box.around(contour, 1.6 * radius, image.shape[1::-1])
    lids = outline(*(smooth_curve(points[list(lid), :2]) for lid in (upper, lower)))
    crop = image[box.slices].astype(np.float32)
    visible = polygon_mask(box, lids.astype(np.float32)).astype(np.float32) / 255
    margin = max(1, round(_LASH_MARGIN * radius))
    visible = cv2.erode(visible, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    completed = _complete_iris(crop, visible, centre - (box.x, box.y), radius)
    texture = np.clip(completed, 0, 255).astype(np.uint8)
    edge = np.clip(np.round(lids - (box.x, box.y)).astype(int), 0, (box.w - 1, box.h - 1))
    rim = crop[edge[:, 1], edge[:, 0]]
    lashes = rim[np.argsort(rim.sum(1))[: max(1, len(rim) // 4)]].mean(0)
    return Eye(box, texture, centre, radius, upper, lower, iris, lashes)


def eye_painted_over(
    image: ImageArray, points: FloatArray, upper: tuple[int, ...], lower: tuple[int, ...]
) -> ImageArray:
    """Return ``image`` (h, w, 3) with the eyeball painted over in the colours of lids and lashes.

    The skin is warped without the eyeball, which ``Eye`` draws; else a bright rim of it would stay
    between closed lids.
    """
    lids = (smooth_curve(points[list(lid), :2]) for lid in (upper, lower))
    return paint_over(image, outline(*lids), -1.0, 0.5)


def _complete_iris(
    crop: FloatArray, visible: FloatArray, centre: FloatArray, radius: float
) -> FloatArray:
    """Fill hidden iris from its mirror image and hidden eye white from its surroundings."""
    h, w = visible.shape
    nodes = grid(Box(0, 0, w, h))
    away = np.linalg.norm(nodes - centre, axis=-1) / radius
    in_iris = smoothstep(away, 1.12, 0.98)
    flipped = nodes.copy()
    flipped[..., 1] = 2 * centre[1] - nodes[..., 1]
    mirror = cv2.remap(crop, flipped, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.remap(visible, flipped, None, cv2.INTER_LINEAR, borderValue=0)
    both = visible + (1 - visible) * in_iris * seen
    known = (crop * visible[..., None] + mirror * (both - visible)[..., None]) / np.maximum(
        both, 1e-3
    )[..., None]
    white = fill_outside(crop, visible * (1 - smoothstep(away, 1.25, 1.05)))
    iris = fill_outside(known, both * in_iris)
    base = white * (1 - in_iris[..., None]) + iris * in_iris[..., None]
    return (known * both[..., None] + base * (1 - both[..., None])).astype(np.float32)
