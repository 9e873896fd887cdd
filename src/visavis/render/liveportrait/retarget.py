"""Parts of the face among the 21 points, and eyes and lips that follow a ratio of openness.

LivePortrait's networks R know openness as gaps of 203 landmarks (Guo et al. 2024, section 3.3);
here the same gaps of MediaPipe's 478 stand in: middles of the lids over the eye's corners, inner
edges of the lips over the mouth's corners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.faces.implicit import POINTS
from visavis.render.liveportrait.engine import Engine
from visavis.types import FloatArray

LIPS = (6, 12, 14, 17, 19, 20)
"""The points that lips move."""
EYES = (11, 13, 15, 16, 18)
"""The points that lids and gaze move."""
SHUT_LIPS = 0.03
"""Lips of a portrait open by less than this are taken for closed."""
_GAPS = ((159, 145, 33, 133), (386, 374, 263, 362), (13, 14, 61, 291))


@dataclass(frozen=True)
class Openness:
    """How far eyes (t, 2), the one on the left of the picture first, and lips (t, 1) are open."""

    eyes: FloatArray
    lips: FloatArray


def openness(landmarks: FloatArray) -> Openness:
    """Return the openness of faces with ``landmarks`` (t, 478, 2 or 3), in any unit."""
    ratios = np.stack([gap_ratio(landmarks, gap) for gap in _GAPS], axis=-1)
    return Openness(ratios[:, :2], ratios[:, 2:])


def gap_ratio(points: FloatArray, gap: tuple[int, int, int, int]) -> FloatArray:
    """Return the distance (t,) of the first two points of ``gap`` over that of the last two."""
    a, b, c, d = (points[:, i, :2].astype(np.float64) for i in gap)
    across = np.maximum(np.linalg.norm(c - d, axis=-1), 1e-6)
    return np.asarray(np.linalg.norm(a - b, axis=-1) / across, np.float32)


def exp_mask(*parts: tuple[int, ...]) -> FloatArray:
    """Return (21, 1): 1 for the points in ``parts``."""
    mask = np.zeros((POINTS, 1), np.float32)
    mask[[i for part in parts for i in part]] = 1
    return mask


def eyes_moved(
    engine: Engine, source: FloatArray, own: FloatArray, asked: FloatArray
) -> FloatArray:
    """Return what (t, 21, 3) opens the eyes of ``source`` (t, 21, 3) as far as ``asked`` (t, 2).

    ``own`` (t, 2) is how open they are; of ``asked`` the first eye speaks for both, as upstream.
    """
    rows = np.concatenate([source.reshape(len(source), -1), own, asked[:, :1]], axis=1)
    return engine.retarget("eyes", rows.astype(np.float32))


def lips_moved(
    engine: Engine, source: FloatArray, own: FloatArray, asked: FloatArray
) -> FloatArray:
    """Return what (t, 21, 3) opens the lips of ``source`` (t, 21, 3) as far as ``asked`` (t, 1)."""
    rows = np.concatenate([source.reshape(len(source), -1), own, asked], axis=1)
    return engine.retarget("lips", rows.astype(np.float32))
