"""The maths under the rig: similarity alignment, bounded least squares, and what is known before.

Only arrays go in and out; what the points mean is the rig's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.types import ARKIT_NAMES, FloatArray

# Cost of an expression in a photograph: (square, linear). Shapes not named stay at zero: they are
# rare there, or cannot be told from identity or from a named shape.
_COMMON = {
    "jawOpen": (2, 0), "mouthSmile": (2, 0), "mouthUpperUp": (4, 1), "mouthLowerDown": (4, 1),
    "mouthStretch": (20, 4), "mouthFrown": (20, 4), "mouthPucker": (20, 4), "mouthFunnel": (20, 4),
    "mouthDimple": (20, 4), "eyeSquint": (20, 4), "cheekSquint": (20, 4), "mouthPress": (40, 8),
    "browInnerUp": (60, 10), "browOuterUp": (60, 10), "browDown": (60, 10), "eyeWide": (60, 10),
    "noseSneer": (60, 10),
}  # fmt: skip
_NOISE = np.array([0.5, 0.5, 1.5])  # cm, as if all points erred together
_GAP_NOISE = 0.05
# The same when a known face is tracked: 3 keeps answers sparse and steady, what is plain to see is
# not held back.
_TRACKED = {"jawOpen": (0.2, 0), "eyeBlink": (0.2, 0)}
_TRACKED |= dict.fromkeys(("browInnerUp", "browOuterUp", "browDown"), (1, 1))
_TRACKED |= dict.fromkeys(("mouthPucker", "mouthSmile"), (1, 1))
# Held back more: they stand in for other shapes, and real takes (Live Link Face) show them little.
_TRACKED |= {"mouthShrugLower": (15, 12), "mouthShrugUpper": (5, 6), "mouthPress": (5, 6)}
_TRACKED |= {"mouthFrown": (1, 6), "mouthFunnel": (1, 4)}
_TRACKED |= dict.fromkeys(("jawLeft", "jawRight", "mouthLeft", "mouthRight"), (1, 6))


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
    return align_all(model[None], pixels[None], weights)[0]


def align_all(models: FloatArray, pixels: FloatArray, weights: FloatArray) -> list[Pose]:
    """Return ``align`` of many frames at once: ``models`` and ``pixels`` (t, n, 3)."""
    w = np.broadcast_to(weights.astype(np.float64), pixels.shape[:2])
    fit = _procrustes(models, pixels, w)
    for _ in range(2):
        rotation, scale, shift = fit
        placed = scale[:, None, None] * models @ rotation.transpose(0, 2, 1) + shift[:, None]
        off = np.linalg.norm(placed - pixels, axis=2)
        reach = 2.0 * np.average(off, axis=1, weights=w) + 1e-6
        fit = _procrustes(models, pixels, w / (1 + (off / reach[:, None]) ** 2))
    return [
        Pose(r.astype(np.float32), float(s), x.astype(np.float32))
        for r, s, x in zip(*fit, strict=True)
    ]


def _procrustes(
    models: FloatArray, pixels: FloatArray, w: NDArray[np.float64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return rotations (t, 3, 3), scales (t,) and shifts (t, 3) for weights ``w`` (t, n)."""
    w = (w / w.sum(1, keepdims=True))[..., None]
    mean_a, mean_b = (w * models).sum(1), (w * pixels).sum(1)
    a, b = models - mean_a[:, None], pixels - mean_b[:, None]
    u, s, vt = np.linalg.svd((a * w).transpose(0, 2, 1) @ b)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = ((u * sign[:, None]) @ vt).transpose(0, 2, 1)
    scale = (s * sign).sum(1) / (w * a**2).sum((1, 2))
    shift = mean_b - scale[:, None] * (rotation @ mean_a[..., None])[..., 0]
    return rotation, scale, shift


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
    gram: FloatArray, target: FloatArray, start: FloatArray, rounds: int = 120
) -> FloatArray:
    """Minimise ``x @ gram @ x / 2 - target @ x`` over 0 <= x <= 1 (FISTA, Beck and Teboulle 2009).

    ``gram`` (k, k) symmetric positive, ``target`` and ``start`` (k,). Every coordinate is measured
    in units of its own curvature, so that very unequal costs do not slow the others down.
    """
    unit = 1 / np.sqrt(np.diag(gram))
    scaled, aim, top = gram * np.outer(unit, unit), target * unit, 1 / unit
    step = 1 / float(np.linalg.eigvalsh(scaled)[-1])
    x = momentum = start / unit
    t = 1.0
    for _ in range(rounds):
        new = np.clip(momentum + step * (aim - scaled @ momentum), 0, top)
        if (momentum - new) @ (new - x) > 0:
            t = 1.0  # adaptive restart, O'Donoghue and Candes 2015
        t_new = (1 + (1 + 4 * t * t) ** 0.5) / 2
        momentum = new + (t - 1) / t_new * (new - x)
        x, t = new, t_new
    return (x * unit).astype(np.float32)


def bounded_smooth_least_squares(
    gram: FloatArray,
    targets: FloatArray,
    stiffness: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    start: FloatArray,
    rounds: int = 300,
) -> FloatArray:
    """Minimise the sum over frames of ``bounded_least_squares`` plus a cost on acceleration.

    ``gram`` (k, k), ``targets``, ``start`` and the ``bounds`` low and high (t, k); ``stiffness``
    (k,) is the cost of squared acceleration (second difference) in units of the coordinate's own
    curvature. One coordinate system for all frames, FISTA as above; returns (t, k).
    """
    unit = 1 / np.sqrt(np.diag(gram))
    scaled, aim = gram * np.outer(unit, unit), targets * unit
    low, high = (b / unit for b in bounds)
    step = 1 / float(np.linalg.eigvalsh(scaled)[-1] + 16 * stiffness.max())
    x = momentum = start / unit
    t = 1.0
    for _ in range(rounds):
        slope = aim - momentum @ scaled - stiffness * _fourth_difference(momentum)
        new = np.clip(momentum + step * slope, low, high)
        if ((momentum - new) * (new - x)).sum() > 0:
            t = 1.0
        t_new = (1 + (1 + 4 * t * t) ** 0.5) / 2
        momentum = new + (t - 1) / t_new * (new - x)
        x, t = new, t_new
    return np.clip(x * unit, *bounds).astype(np.float32)


def _fourth_difference(x: FloatArray) -> FloatArray:
    """Return the gradient (t, k) of half the squared second differences of ``x`` (t, k)."""
    out = np.zeros_like(x)
    if len(x) > 2:
        bend = x[2:] - 2 * x[1:-1] + x[:-2]
        out[2:] += bend
        out[1:-1] -= 2 * bend
        out[:-2] += bend
    return out


def whittaker(values: FloatArray, stiffness: float) -> FloatArray:
    """Return ``values`` (t, k) smoothed: least squares with a cost on acceleration (Eilers 2003).

    At ``stiffness`` 1 half of a swing of six frames is left.
    """
    bends = np.diff(np.eye(len(values)), 2, axis=0)
    return np.linalg.solve(np.eye(len(values)) + stiffness * bends.T @ bends, values)


@dataclass(frozen=True)
class Prior:
    """What is known before looking: which expressions photographs show, how faces differ.

    With ``off`` (1434,) the deviation from the generic neutral, expression coefficients minimise
    ``c @ gram @ c / 2 - (gain @ off - cost) @ c``. What is left, ``rest``, has the likely identity
    ``mode_gain @ rest @ modes``. ``rigid`` (478,) weighs each point in the head pose; ``precision``
    (1434,) is the inverse variance of a coordinate; ``track_cost`` (52, 2) are square and
    linear cost of the coefficients when a known face is tracked.
    """

    gram: FloatArray
    gain: FloatArray
    cost: FloatArray
    modes: FloatArray
    mode_gain: FloatArray
    rigid: FloatArray
    precision: FloatArray
    track_cost: FloatArray

    def likely_identity(self, rest: FloatArray) -> FloatArray:
        """Return the identity displacement (n, 3) that best explains ``rest`` (3n,)."""
        return (self.mode_gain @ rest @ self.modes).reshape(-1, 3)


def gap_rows(
    upper: NDArray[np.int32], lower: NDArray[np.int32], points: int
) -> NDArray[np.float64]:
    """Return (k, 3 * points): rows that read the k vertical gaps, in units of their accuracy."""
    rows, at = np.zeros((len(upper), 3 * points)), np.arange(len(upper))
    np.add.at(rows, (at, 3 * lower + 1), 1 / _GAP_NOISE)
    np.add.at(rows, (at, 3 * upper + 1), -1 / _GAP_NOISE)
    return rows


def make_prior(
    basis: FloatArray, identity: FloatArray, upper: NDArray[np.int32], lower: NDArray[np.int32]
) -> Prior:
    """Return the prior of the generic face; the identity is marginalised (Woodbury).

    ``basis`` (52, n, 3) are the shapes as photographs show them, ``identity`` (k, n, 3) standard
    deviations; the gaps between points ``upper`` and ``lower`` are known to be expression alone.
    """
    plain = [name.removesuffix("Left").removesuffix("Right") for name in ARKIT_NAMES]
    costs = np.array([_COMMON.get(name, (1e4, 1e3)) for name in plain], np.float64)
    tracked = [
        _TRACKED.get(n, _TRACKED.get(p, (1, 3))) for n, p in zip(ARKIT_NAMES, plain, strict=True)
    ]
    precision = np.tile(_NOISE**-2.0, basis.shape[1])
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    modes = identity.reshape(len(identity), -1).astype(np.float64)
    gaps = gap_rows(upper, lower, basis.shape[1])

    def weigh(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x * precision + (x @ gaps.T) @ gaps

    weighed = weigh(modes)
    mode_gain = np.linalg.solve(weighed @ modes.T + np.eye(len(modes)), weighed)
    gain = weigh(flat) - (weigh(flat) @ modes.T) @ mode_gain
    moving = np.sqrt((basis[:, :, :2] ** 2).sum(2)).max(0)
    rigid = np.exp(-((moving / 0.5) ** 2))
    rigid[468:] = 0
    return Prior(
        gram=(gain @ flat.T + np.diag(costs[:, 0])).astype(np.float32),
        gain=gain.astype(np.float32),
        cost=costs[:, 1].astype(np.float32),
        modes=modes.astype(np.float32),
        mode_gain=mode_gain.astype(np.float32),
        rigid=rigid.astype(np.float32),
        precision=precision.astype(np.float32),
        track_cost=np.array(tracked, np.float32),
    )
