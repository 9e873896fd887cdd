"""Where face, mouth and eyes are in a square picture, and in the cells of its latents."""

from __future__ import annotations

from typing import Any

import numpy as np

from visavis.faces import topology
from visavis.types import FloatArray

FACE, MOUTH, EYES = range(3)
"""Rows of the boxes."""
AIR = (0.0, 0.25, 0.15)
"""How much each box is widened, in shares of its own width."""
_RINGS = (
    topology.OVAL,
    (*topology.LIPS_OUTER, *topology.LIPS_INNER),
    (*topology.RIGHT_EYE, *topology.LEFT_EYE, *topology.RIGHT_BROW, *topology.LEFT_BROW),
)


def boxes_of(points: FloatArray, side: int) -> FloatArray:
    """Return the boxes (t, 3, 4) of landmarks ``points`` (t, 478, 3) in pictures of ``side`` px."""
    found = []
    for ring, air in zip(_RINGS, AIR, strict=True):
        spots = points[:, list(ring), :2] / side
        low, high = spots.min(1), spots.max(1)
        margin = air * (high - low)[:, :1]
        found.append(np.concatenate([low - margin, high + margin], 1))
    return np.clip(np.stack(found, 1), 0, 1).astype(np.float32)


def coverage(boxes: FloatArray, side: int) -> FloatArray:
    """Return how much of each cell of a grid of ``side`` x ``side`` lies in ``boxes`` (..., 4).

    The result is (..., side, side) in [0, 1]; of the face's box it is the face locator.
    """
    edges = np.arange(side) / side

    def along(low: Any, high: Any) -> Any:
        shared = np.minimum(edges + 1 / side, high) - np.maximum(edges, low)
        return np.clip(shared * side, 0, 1)

    across = along(boxes[..., 0:1], boxes[..., 2:3])
    down = along(boxes[..., 1:2], boxes[..., 3:4])
    return (down[..., :, None] * across[..., None, :]).astype(np.float32)
