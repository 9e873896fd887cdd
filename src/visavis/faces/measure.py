"""What the landmarks say: head rotation, gaze, opening of eyes and mouth. Pure functions.

All take ``points`` (478, 3) in pixels, x right, y down, z to the back, as `faces.landmarks` gives
them. Angles follow `types.Motion`: pitch + raises the chin, yaw + turns the face to the viewer's
right, roll + tilts the head clockwise as the viewer sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visavis.faces import topology
from visavis.types import FloatArray

IRIS_DEPTH_CM = 0.76
"""Distance from the axis of an eye to its iris, as the landmarks move; the anatomical 1.05 is more.

This and `IRIS_REST_CM` are fitted on 597 synthetic portraits that look into the camera: there the
gaze must undo the turn of the head.
"""
IRIS_REST_CM = (0.12, 0.20)
"""Where the iris of a straight look lies: outward and up, from the middle of the eye corners."""
_TO_MODEL = np.array([1.0, -1.0, -1.0])
"""From picture axes to those of the canonical face: y up, z to the viewer."""


@dataclass(frozen=True)
class Placement:
    """The similarity that carries the canonical face (cm) onto the landmarks.

    With canonical points p, y up and z to the viewer, the seen ones are
    ``scale * rotation @ p + offset`` in pixels with y up and z to the viewer.
    """

    scale: float
    rotation: NDArray[np.float64]
    offset: NDArray[np.float64]


@cache
def _rigid() -> NDArray[np.int64]:
    """Return the points that expressions hardly move: no lips, lids, brows, jaw or irises."""
    moving = {
        *topology.LIPS_OUTER, *topology.LIPS_INNER, *topology.RIGHT_BROW, *topology.LEFT_BROW,
        *topology.RIGHT_EYE, *topology.LEFT_EYE,
    } - {33, 133, 362, 263}  # fmt: skip
    height = topology.canonical()[:, 1]
    return np.array([i for i in range(468) if i not in moving and height[i] > -3.0])


def place(points: FloatArray) -> Placement:
    """Fit the canonical face to the landmarks (Umeyama 1991)."""
    rows = _rigid()
    model = topology.canonical()[rows].astype(np.float64)
    seen = points[rows].astype(np.float64) * _TO_MODEL
    a, b = model - model.mean(0), seen - seen.mean(0)
    u, spread, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((spread * sign).sum() / (a**2).sum())
    return Placement(scale, rotation, seen.mean(0) - scale * rotation @ model.mean(0))


def head_rotation(points: FloatArray) -> tuple[float, float, float]:
    """Return pitch, yaw and roll in degrees, in the order of `types.Motion`.

    The rotation is Rz(-roll) Ry(yaw) Rx(-pitch) in axes x right, y up, z to the viewer: the head
    nods first, then turns, then tilts; how far it is turned does not depend on the tilt.
    """
    r = place(points).rotation
    pitch = np.arctan2(-r[2, 1], r[2, 2])
    yaw = np.arcsin(np.clip(-r[2, 0], -1, 1))
    roll = np.arctan2(-r[1, 0], r[0, 0])
    return float(np.rad2deg(pitch)), float(np.rad2deg(yaw)), float(np.rad2deg(roll))


def interocular(points: FloatArray) -> float:
    """Return the distance of the outer eye corners in pixels, depth included."""
    gap = points[topology.RIGHT_OUTER].astype(np.float64) - points[topology.LEFT_OUTER]
    return float(np.linalg.norm(gap))


def eye_opening(points: FloatArray) -> tuple[float, float]:
    """Return gap between the lids over eye width, person's left then right: 0 closed, 0.3 open."""
    head = in_head(points)
    left = _gap(head, *topology.LEFT_LIDS), _gap(head, *_corners(topology.LEFT_EYE))
    right = _gap(head, *topology.RIGHT_LIDS), _gap(head, *_corners(topology.RIGHT_EYE))
    return left[0] / max(left[1], 1e-6), right[0] / max(right[1], 1e-6)


def mouth_opening(points: FloatArray) -> float:
    """Return the gap between the inner edges of the lips in inter-ocular distances."""
    head = in_head(points)
    apart = _gap(head, topology.RIGHT_OUTER, topology.LEFT_OUTER)
    return _gap(head, topology.UPPER_LIP, topology.LOWER_LIP) / max(apart, 1e-6)


def in_head(points: FloatArray) -> NDArray[np.float64]:
    """Return the points in the head's own axes: cm, x viewer's right, y up, z out of the face."""
    fit = place(points)
    return np.asarray(((points * _TO_MODEL) - fit.offset) @ fit.rotation / fit.scale)


def gaze(points: FloatArray) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (yaw, pitch) of the person's left and right eye in degrees, relative to the head.

    Yaw + looks to the viewer's right, pitch + up; from where the iris lies between the corners.
    """
    head = in_head(points)
    left = _eye_gaze(head, topology.LEFT_IRIS[0], _corners(topology.LEFT_EYE))
    right = _eye_gaze(head, topology.RIGHT_IRIS[0], _corners(topology.RIGHT_EYE))
    return left, right


def _eye_gaze(
    head: NDArray[np.float64], iris: int, corners: tuple[int, int]
) -> tuple[float, float]:
    """Return yaw and pitch of one eye from points in the head's own axes (cm)."""
    offset = head[iris, :2] - head[list(corners), :2].mean(0)
    outward = np.sign(head[corners[0], 0] - head[corners[1], 0])
    offset = offset - np.array([outward * IRIS_REST_CM[0], IRIS_REST_CM[1]])
    yaw, pitch = np.rad2deg(np.arcsin(np.clip(offset / IRIS_DEPTH_CM, -1, 1)))
    return float(yaw), float(pitch)


def _corners(ring: tuple[int, ...]) -> tuple[int, int]:
    """Return the outer and the inner corner of an eye's ring."""
    return ring[0], ring[8]


def _gap(head: NDArray[np.float64], a: int, b: int) -> float:
    """Return the distance of two points seen from the front of the head."""
    return float(np.hypot(*(head[a, :2] - head[b, :2])))
