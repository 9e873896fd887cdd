"""Draws only the part of a large photograph that can move; the rest is the photograph itself.

Head, hair, neck and the skin round the face move, nothing farther away than ``REACH``: inside that
box an inner renderer draws, outside it nothing changes. A group photograph of 12 megapixels then
costs little more than its one talking head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visavis.faces.framing import Region, cut
from visavis.faces.topology import OVAL
from visavis.render.base import Renderer
from visavis.render.composite import crisp, held_by
from visavis.render.geometry import Box, polygon_mask
from visavis.render.mesh_warp import resized
from visavis.render.plate import BoolArray
from visavis.render.topology import face_height
from visavis.types import ImageArray, Motion, Portrait

REACH = 1.0
"""Of the face height: how far beyond head and hair anything can move, with some to spare."""
WORTH = 0.75
"""Share of the picture below which drawing a part is worth the copy."""


@dataclass(frozen=True)
class Inset:
    """``still`` (h, w, 3 or 4) the photograph; ``inner`` draws its ``region``."""

    still: ImageArray
    region: Region
    inner: Any


class InsetRenderer:
    """A renderer that keeps another one to the region that moves."""

    def __init__(self, inner: Renderer, is_cutout: bool = False) -> None:
        """Draw the moving region with ``inner``, whose frames are RGBA if ``is_cutout``."""
        self._inner = inner
        self._is_cutout = is_cutout

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Inset:
        """Return the appearance of ``portrait`` for frames of ``size`` (width, height) pixels."""
        portrait = resized(portrait, size)
        if self._is_cutout:  # before anything is cut: pieces may meet outside the region
            portrait = replace(portrait, matte=held_by(_face(portrait), portrait.matte))
        region = moving_region(portrait)
        part = cut(portrait, region)
        inner = self._inner.prepare(part, (region.width, region.height))
        still = portrait.image
        if self._is_cutout:
            still = np.dstack([still, np.round(crisp(portrait.matte) * 255).astype(np.uint8)])
        return Inset(still, region, inner)

    def draw(self, appearance: Inset, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3 or 4) uint8 for the single motion frame in ``motion``."""
        region, drawn = appearance.region, self._inner.draw(appearance.inner, motion)
        if drawn.shape == appearance.still.shape:
            return drawn
        frame = appearance.still.copy()
        frame[region.slices] = drawn
        return frame

    def rough(self, appearance: Inset) -> Inset:
        """Return ``appearance`` to be drawn with the least work."""
        return replace(appearance, inner=self._inner.rough(appearance.inner))


def moving_region(portrait: Portrait) -> Region:
    """Return the rectangle that can move, or the whole picture if that is not much more."""
    height, width = portrait.image.shape[:2]
    points = portrait.landmarks[:, :2]
    reach = REACH * face_height(points)
    rows, columns = (np.flatnonzero((portrait.head_matte > 0.5).any(axis)) for axis in (1, 0))
    low = np.minimum(points.min(0), (columns.min(initial=width), rows.min(initial=height)))
    high = np.maximum(points.max(0), (columns.max(initial=0), rows.max(initial=0)))
    left, top = (max(0, int(v - reach)) for v in low)
    right, bottom = (min(s, int(v + reach) + 1) for v, s in zip(high, (width, height), strict=True))
    region = Region(left, top, right - left, bottom - top)
    is_worth_it = region.width * region.height < WORTH * width * height
    return region if is_worth_it else Region(0, 0, width, height)


def _face(portrait: Portrait) -> BoolArray:
    """Return where (h, w) the face of ``portrait`` is."""
    height, width = portrait.matte.shape
    return polygon_mask(Box(0, 0, width, height), portrait.landmarks[list(OVAL), :2]) > 127
