"""Small exact maths under the rig: similarity alignment and bounded least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.types import FloatArray


@dataclass(frozen=True)
class Pose:
    """Weak perspective: pixels = ``scale`` * ``rotation`` @ point + ``shift``, depth included.

    ``rotation`` (3, 3) maps head space to the camera's axes (x right, y down, z away), ``scale`` is
    in pixels per head unit, ``shift`` (3,) in pixels.
    """

    rotation: FloatArray
    scale: float
    shift: FloatArray

    def project(self, points: FloatArray) -> FloatArray:
        """Return head-space ``points`` (n, 3) in pixels (n, 3)."""
        return (self.scale * points @ self.rotation.T + self.shift).astype(np.float32)

    def unproject(self, pixels: FloatArray) -> FloatArray:
        """Return ``pixels`` (n, 3) in head space (n, 3)."""
        return ((pixels - self.shift) / self.scale @ self.rotation).astype(np.float32)


def align(model: FloatArray, pixels: FloatArray, weights: FloatArray) -> Pose:
    """Return the pose that brings ``model`` (n, 3) onto ``pixels`` (n, 3), ``weights`` (n,).

    Weighted Procrustes (Umeyama 1991), reweighted twice against outliers (Cauchy).
    """
    w = weights.astype(np.float64)
    pose = _procrustes(model, pixels, w)
    for _ in range(2):
        off = np.linalg.norm(pose.project(model) - pixels, axis=1)
        reach = 2.0 * np.average(off, weights=weights) + 1e-6
        pose = _procrustes(model, pixels, w / (1 + (off / reach) ** 2))
    return pose


def _procrustes(model: FloatArray, pixels: FloatArray, w: NDArray[np.float64]) -> Pose:
    w = w / w.sum()
    mean_a, mean_b = w @ model, w @ pixels
    a, b = model - mean_a, pixels - mean_b
    u, s, vt = np.linalg.svd((a * w[:, None]).T @ b)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign @ vt).T
    scale = float((s * sign).sum() / (w @ (a**2).sum(1)))
    shift = mean_b - scale * rotation @ mean_a
    return Pose(rotation.astype(np.float32), scale, shift.astype(np.float32))


def turn(pitch: float, yaw: float, roll: float) -> FloatArray:
    """Return the camera-axes rotation (3, 3) of ``Motion.rotation``'s angles in degrees.

    Pitch + raises the chin, yaw + turns to the viewer's right, roll + tilts clockwise; pitch first.
    """
    (cx, cy, cz), (sx, sy, sz) = (f(np.radians([pitch, yaw, roll])) for f in (np.cos, np.sin))
    x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (z @ y @ x).astype(np.float32)


def angles(rotation: FloatArray) -> FloatArray:
    """Return pitch, yaw, roll (3,) in degrees of a rotation made by ``turn``."""
    r = rotation.astype(np.float64)
    yaw = np.arcsin(np.clip(r[2, 0], -1, 1))
    pitch, roll = np.arctan2(-r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    return np.degrees([pitch, yaw, roll]).astype(np.float32)


def bounded_least_squares(
    gram: FloatArray, target: FloatArray, start: FloatArray, rounds: int = 150
) -> FloatArray:
    """Minimise ``x @ gram @ x / 2 - target @ x`` over 0 <= x <= 1 (FISTA, Beck and Teboulle 2009).

    ``gram`` (k, k) symmetric positive, ``target`` and ``start`` (k,).
    """
    step = 1.0 / float(np.abs(gram).sum(1).max())
    x = momentum = start.astype(np.float32)
    t = 1.0
    for _ in range(rounds):
        new = np.clip(momentum - step * (gram @ momentum - target), 0, 1)
        t_new = (1 + (1 + 4 * t * t) ** 0.5) / 2
        momentum = new + np.float32((t - 1) / t_new) * (new - x)
        x, t = new, t_new
    return x
