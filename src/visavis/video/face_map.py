"""Which part of a face each place of a picture shows, as the codec's encoder is told.

The face mesh is drawn with its canonical coordinates for colours (projected normalised coordinate
code of 3DDFA, Zhu et al. 2016), beside it lips, mouth, eyes and irises as areas of their own: a few
pixels that decide everything, and that an encoder of pictures alone learns last.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.faces import topology
from visavis.types import FloatArray

SCALE = 10.0
"""Centimetres on the canonical face to a 1 in the map."""
AREAS: tuple[tuple[tuple[int, ...], ...], ...] = (
    (topology.LIPS_OUTER,),
    (topology.LIPS_INNER,),
    (topology.RIGHT_EYE, topology.LEFT_EYE),
    (topology.RIGHT_IRIS[1:], topology.LEFT_IRIS[1:]),
)
CHANNELS = 3 + len(AREAS)
"""Is the face here; x and y on the canonical face; then the areas."""
_SHIFT = 4


def face_map(points: FloatArray, side: int) -> FloatArray:
    """Return the map (CHANNELS, side, side) of a face with landmarks ``points`` (478, 2).

    ``points`` are in shares of the picture's side. Without a face (NaN) the map is 0.
    """
    drawn = np.zeros((CHANNELS, side, side), np.float32)
    if not np.isfinite(points).all():
        return drawn
    spots = (points * side - 0.5).clip(-side, 2 * side).astype(np.float64)  # pixel centres whole
    fixed = np.round(spots * 2**_SHIFT).astype(np.int32)
    triangles, colours = _mesh()
    ids = np.full((side, side), -1, np.int32)
    for i, corners in enumerate(fixed[triangles]):
        cv2.fillConvexPoly(ids, corners, i, cv2.LINE_8, _SHIFT)
    y, x = np.nonzero(ids >= 0)
    shown = ids[y, x]
    drawn[0, y, x] = 1.0
    drawn[1:3, y, x] = _between(spots[triangles[shown]], np.stack([x, y], -1), colours[shown]).T
    for channel, rings in enumerate(AREAS, 3):
        area = np.zeros((side, side), np.uint8)
        for ring in rings:
            cv2.fillPoly(area, [fixed[list(ring)]], 255, cv2.LINE_AA, _SHIFT)
        drawn[channel] = area / np.float32(255)
    return drawn


def _between(
    corners: NDArray[np.float64], spots: NDArray[np.int64], colours: FloatArray
) -> NDArray[np.float64]:
    """Return the colours (k, 2) at ``spots`` (k, 2) of triangles with ``colours`` (k, 3, 2)."""
    first = corners[:, 0]
    a, b, c = corners[:, 1] - first, corners[:, 2] - first, spots - first
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    area = np.where(np.abs(area) < 1e-6, np.inf, area)
    u = ((c[:, 0] * b[:, 1] - c[:, 1] * b[:, 0]) / area).clip(0, 1)[:, None]
    v = ((a[:, 0] * c[:, 1] - a[:, 1] * c[:, 0]) / area).clip(0, 1)[:, None]
    return (1 - u - v) * colours[:, 0] + u * colours[:, 1] + v * colours[:, 2]


@cache
def _mesh() -> tuple[NDArray[np.int64], FloatArray]:
    """Return the triangles (m, 3), nearest to the viewer last, and their colours (m, 3, 2)."""
    face, triangles = topology.canonical() / np.float32(SCALE), topology.triangles()
    order = np.argsort(face[triangles, 2].mean(1))
    return triangles[order], face[triangles[order], :2]
