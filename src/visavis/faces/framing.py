"""Which part of the photograph becomes the picture, and at how many pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from visavis.types import Portrait

HEAD_SHARE = 0.6
"""Share of a head-and-shoulders picture's height that the head with its hair takes."""
ABOVE_SHARE = 0.12
"""Share of the height left free above the hair."""
HAIR_SHARE = 0.6
"""Hair and hats count as head up to this share of the face's height above the forehead."""


@dataclass(frozen=True)
class Region:
    """A rectangle of whole pixels inside a photograph."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the rectangle."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def head_and_shoulders(portrait: Portrait) -> Region:
    """Return the square round head and shoulders, as large as the photograph allows."""
    image_height, image_width = portrait.image.shape[:2]
    points = portrait.landmarks[:, :2]
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    top = max(_hair_top(portrait), y0 - HAIR_SHARE * (y1 - y0))
    side = round(min((y1 - top) / HEAD_SHARE, image_height, image_width))
    side = max(side - side % 2, 2)
    left = np.clip(round((x0 + x1 - side) / 2), 0, image_width - side)
    above = np.clip(round(top - ABOVE_SHARE * side), 0, image_height - side)
    return Region(int(left), int(above), side, side)


def _hair_top(portrait: Portrait) -> float:
    """Return the row where the head with its hair begins."""
    rows = np.flatnonzero((portrait.head_matte > 0.5).any(axis=1))
    return float(rows[0]) if len(rows) else float(portrait.landmarks[:, 1].min())


def cut(portrait: Portrait, region: Region) -> Portrait:
    """Return the part of ``portrait`` inside ``region``; landmarks move with it."""
    part = region.slices
    shift = np.array([region.left, region.top, 0], np.float32)
    return replace(
        portrait,
        image=np.ascontiguousarray(portrait.image[part]),
        landmarks=portrait.landmarks - shift,
        matte=np.ascontiguousarray(portrait.matte[part]),
        head_matte=np.ascontiguousarray(portrait.head_matte[part]),
    )


def fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return (width, height) shrunk so that neither passes ``longest``, made even."""
    share = min(1.0, longest / max(width, height))
    return max(2, round(width * share / 2) * 2), max(2, round(height * share / 2) * 2)
