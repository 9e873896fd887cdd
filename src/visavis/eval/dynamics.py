"""How motion moves beside how people move: lips, distributions, spectra, blinks, variety.

Everything here takes motion values (t, 58) at 25 frames a second, laid out as in motion/layout.py,
tracked from a person or made by a model, and returns numbers; nothing is drawn or read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from visavis.eval.track import runs
from visavis.motion.conditions import gaze_of, group
from visavis.motion.layout import COEFFICIENTS, INDEX, ROTATION
from visavis.render.rig import PortraitRig, express, fit_portrait, load_rig
from visavis.types import MOTION_FPS, FloatArray

MEASURED: dict[str, tuple[str, ...]] = {
    "mouth": ("jaw", "lips"), "brows": ("brows",), "lids": ("lids",), "gaze": ("gaze",),
    "head": ("head",),
}  # fmt: skip
"""The groups that are judged apart, as groups of motion/conditions.py."""

WINDOW, HOP = 16, 4
"""Frames of a window of motion (640 ms), and from one window to the next."""
VELOCITY_FRAMES = 3
"""Velocity counts per 120 ms, which makes it weigh about as much as position in people."""
AXES = 12
"""Principal components of the windows of a group that are compared."""
SEGMENT = 64
"""Frames of a stretch whose spectrum is taken (2.56 s)."""
BAND_HZ = (0.4, 5.0)
"""Below lies drift, above the noise of tracking: there the spectra of real heads go flat."""

BLINK_RISE, BLINK_STAY = 0.3, 0.15
"""A blink raises eyeBlink this far above its median, and lasts while above the second."""
BLINK_FRAMES = (2, 15)
SACCADE_DEG = 2.5
"""Eyes that turn farther from one frame to the next (60 degrees a second) jump."""

_PIXELS = 100.0


@dataclass(frozen=True)
class LipError:
    """Distances of the lip points of two motions on one average face.

    ``mean_cm`` over points and frames; ``worst_cm`` of the worst point of a frame, mean over frames
    (MeshTalk's lip vertex error, Richard et al. 2021, as a length); ``speed_cm_s`` between the
    velocities. ``fitted_cm`` and ``fitted_speed_cm_s``: the same as mean_cm and speed_cm_s after
    one amplitude for the clip and one offset for each point, by least squares, which a rest
    position and a way of speaking that sound cannot tell would need.
    """

    mean_cm: float
    worst_cm: float
    speed_cm_s: float
    fitted_cm: float
    fitted_speed_cm_s: float
    amplitude: float


@dataclass(frozen=True)
class Metric:
    """What difference in motion values makes: ``columns`` (d,) of the layout, times ``weights``.

    ``weights`` (d, m) turn values of jaw, lips, brows and lids into what is seen of them: distances
    of the points of an average face, so that shapes that look alike are near each other however
    they are put together. Gaze and head count by how much people move each value. The motion of the
    people it was made from has variance 1, over all m together.
    """

    columns: NDArray[np.intp]
    weights: FloatArray


@dataclass(frozen=True)
class Space:
    """Where windows of motion are compared.

    ``centre`` (n,) and ``axes`` (n, k) are the mean and the principal components of reference
    windows. ``is_centred``: each clip's mean is taken out first, so that only movement counts.
    """

    metric: Metric
    centre: FloatArray
    axes: FloatArray
    is_centred: bool


def columns(name: str, known: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Return the indices of measured group ``name`` that are ``known`` (58,)."""
    found = np.array(sorted(i for g in MEASURED[name] for i in group(g)), np.intp)
    return found if known is None else found[known[found]]


@cache
def _average_face() -> PortraitRig:
    """Return the rig fitted to its own neutral: the face on which lips are compared."""
    rig = load_rig()
    return fit_portrait(rig, rig.neutral * np.float32(_PIXELS))


def lip_points(values: FloatArray) -> FloatArray:
    """Return where the lips of an average face are, (t, k, 3) in cm, the head held still."""
    face = _average_face()
    names = ("lips_upper", "lips_lower", "lips_upper_inner", "lips_lower_inner")
    lips = np.unique(np.concatenate([face.rig.contours[n] for n in names]))
    return np.stack([express(face, v[COEFFICIENTS])[lips] for v in values.astype(np.float32)])


def lip_error(made: FloatArray, real: FloatArray) -> LipError:
    """Return how far the lips of ``made`` (t, 58) are from those of ``real`` (t, 58), t > 1."""
    a, b = lip_points(made).astype(np.float64), lip_points(real).astype(np.float64)
    off = np.linalg.norm(a - b, axis=2)
    moves_a, moves_b = a - a.mean(0), b - b.mean(0)
    power = float(np.square(moves_a).sum())
    amplitude = float((moves_a * moves_b).sum()) / power if power > 0 else 0.0
    fitted = amplitude * moves_a - moves_b
    return LipError(
        mean_cm=float(off.mean()),
        worst_cm=float(off.max(axis=1).mean()),
        speed_cm_s=_speed(a - b),
        fitted_cm=float(np.linalg.norm(fitted, axis=2).mean()),
        fitted_speed_cm_s=_speed(fitted),
        amplitude=amplitude,
    )


def _speed(points: NDArray[np.float64]) -> float:
    """Return the mean speed of ``points`` (t, k, 3) per second."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=2).mean()) * MOTION_FPS


def make_metric(
    clips: Sequence[FloatArray], name: str, known: NDArray[np.bool_] | None = None
) -> Metric:
    """Return the metric of group ``name`` from real ``clips`` (t, 58), of the values ``known``."""
    chosen = columns(name, known)
    rows = np.concatenate([_part(c, Metric(chosen, np.eye(len(chosen))), True) for c in clips])
    if name in ("gaze", "head"):
        raw = np.diag(1.0 / np.maximum(rows.std(axis=0), 1e-3))
    else:
        shapes = load_rig().basis[chosen].reshape(len(chosen), -1).astype(np.float64)
        raw = _root(shapes @ shapes.T)
    return Metric(chosen, raw / np.sqrt(np.square(rows @ raw).sum(axis=1).mean()))


def make_space(clips: Sequence[FloatArray], metric: Metric, is_centred: bool = False) -> Space:
    """Return the space in which windows are compared; ``clips`` (t, 58) are the reference."""
    none = Space(metric, np.zeros(0), np.zeros((0, 0)), is_centred)
    found = np.concatenate([_windows(none, c) for c in clips])
    centre = found.mean(axis=0)
    axes = np.linalg.svd(found - centre, full_matrices=False)[2]
    return Space(metric, centre, axes[:AXES].T, is_centred)


def embed(space: Space, clips: Sequence[FloatArray]) -> FloatArray:
    """Return the windows of ``clips``, (n, k); clips shorter than a window have none."""
    found = np.concatenate([_windows(space, c) for c in clips])
    return (found - space.centre) @ space.axes


def _part(clip: FloatArray, metric: Metric, is_centred: bool) -> FloatArray:
    """Return what ``metric`` sees of ``clip``, (t, m)."""
    part = clip[:, metric.columns].astype(np.float64) @ metric.weights
    return part - part.mean(axis=0) if is_centred else part


def _windows(space: Space, clip: FloatArray) -> FloatArray:
    """Return every window of ``clip``, (n, m): position, and velocity per VELOCITY_FRAMES."""
    part = _part(clip, space.metric, space.is_centred)
    speed = np.diff(part, axis=0, prepend=part[:1]) * VELOCITY_FRAMES
    starts = range(0, len(part) - WINDOW + 1, HOP)
    rows = [np.concatenate([part[s : s + WINDOW], speed[s : s + WINDOW]]).ravel() for s in starts]
    return np.array(rows).reshape(len(rows), 2 * WINDOW * part.shape[1])


def frechet(made: FloatArray, real: FloatArray) -> float:
    """Return the Fréchet distance of two sets of windows (n, k) (Heusel et al. 2017).

    In units of the variance of ``real``: a face frozen at its mean is 1 away. Covariances are
    shrunk towards a ball (``shrunk_covariance``). Sets of like size compare; small ones are apart
    even when alike, so state what two sets of people are apart.
    """
    mean = np.square(made.mean(axis=0) - real.mean(axis=0)).sum()
    cov_a, cov_b = shrunk_covariance(made), shrunk_covariance(real)
    root = _root(cov_b)
    shared = np.trace(_root(root @ cov_a @ root))
    apart = mean + np.trace(cov_a) + np.trace(cov_b) - 2.0 * shared
    return float(max(0.0, apart) / max(float(np.trace(cov_b)), 1e-12))


def shrunk_covariance(rows: FloatArray) -> FloatArray:
    """Return the covariance (k, k) of ``rows`` (n, k), shrunk by OAS (Chen et al. 2010).

    Overlapping windows count as the number of windows that do not overlap.
    """
    n, k = max(2.0, len(rows) * HOP / WINDOW), rows.shape[1]
    s = np.cov(rows.T.astype(np.float64), bias=True).reshape(k, k)
    trace, square = float(np.trace(s)), float(np.square(s).sum())
    below = (n + 1.0 - 2.0 / k) * (square - trace**2 / k)
    rho = min(1.0, ((1.0 - 2.0 / k) * square + trace**2) / below) if below > 0 else 1.0
    return (1.0 - rho) * s + rho * trace / k * np.eye(k)


def _root(matrix: FloatArray) -> FloatArray:
    """Return the square root of a symmetric matrix that is not negative."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def spectrum(
    clips: Sequence[FloatArray], chosen: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Return frequencies (f,) in Hz and the power density (f,), mean over the columns ``chosen``.

    Welch's method (1967): stretches of SEGMENT frames, half overlapping, straight line taken out,
    Hann window. Clips shorter than a stretch do not count; without any the density is NaN.
    """
    window = np.hanning(SEGMENT + 1)[:-1, None]
    scale = 2.0 / (MOTION_FPS * np.square(window).sum())
    powers = [np.zeros((0, SEGMENT // 2 + 1))]
    for clip in clips:
        part = clip[:, chosen].astype(np.float64)
        for start in range(0, len(part) - SEGMENT + 1, SEGMENT // 2):
            piece = _levelled(part[start : start + SEGMENT]) * window
            powers.append(np.square(np.abs(np.fft.rfft(piece, axis=0))).mean(axis=1)[None] * scale)
    found = np.concatenate(powers)
    density = found.mean(axis=0) if len(found) else np.full(SEGMENT // 2 + 1, np.nan)
    return np.fft.rfftfreq(SEGMENT, 1.0 / MOTION_FPS), density


def _levelled(piece: FloatArray) -> FloatArray:
    """Return ``piece`` (n, d) without the straight line that fits it best."""
    line = np.stack([np.ones(len(piece)), np.linspace(-1.0, 1.0, len(piece))], axis=1)
    return piece - line @ np.linalg.lstsq(line, piece, rcond=None)[0]


def log_spectral_distance(hertz: FloatArray, a: FloatArray, b: FloatArray) -> float:
    """Return the rms difference of two densities (f,) in dB, over BAND_HZ."""
    inside = (hertz >= BAND_HZ[0]) & (hertz <= BAND_HZ[1])
    db = 10.0 * np.log10(np.maximum(a[inside], 1e-12) / np.maximum(b[inside], 1e-12))
    return float(np.sqrt(np.square(db).mean()))


def blinks(values: FloatArray) -> list[tuple[int, int]]:
    """Return the blinks as frames [start, end): both lids go down and up again in 80 to 600 ms."""
    shut = values[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].mean(axis=1)
    above = shut - float(np.median(shut))
    low, high = BLINK_FRAMES
    stretches = [(a, b) for a, b in runs(above > BLINK_STAY) if low <= b - a <= high]
    return [(a, b) for a, b in stretches if above[a:b].max() > BLINK_RISE]


def blink_intervals_s(clips: Sequence[FloatArray]) -> list[float]:
    """Return the times from one blink to the next in seconds, within clips.

    Intervals longer than a clip cannot be seen: compare clips of like length.
    """
    starts = [[a for a, _ in blinks(c)] for c in clips]
    return [(b - a) / MOTION_FPS for s in starts for a, b in zip(s[:-1], s[1:], strict=True)]


def per_minute(count: int, clips: Sequence[FloatArray]) -> float:
    """Return ``count`` events in all ``clips`` per minute."""
    return 60.0 * MOTION_FPS * count / max(1, sum(len(c) for c in clips))


def saccades(values: FloatArray) -> list[int]:
    """Return the frames in which a jump of the eyes in the head begins, blinks left out."""
    eyes = gaze_of(values) - values[:, [ROTATION.start + 1, ROTATION.start]]
    fast = np.linalg.norm(np.diff(eyes, axis=0, prepend=eyes[:1]), axis=1) > SACCADE_DEG
    for start, end in blinks(values):
        fast[max(0, start - 1) : end + 1] = False
    return [a for a, _ in runs(fast)]


def head_speed_deg_s(values: FloatArray) -> float:
    """Return how fast the head turns, mean over frames: the norm over pitch, yaw and roll."""
    turn = np.diff(values[:, ROTATION].astype(np.float64), axis=0)
    return float(np.linalg.norm(turn, axis=1).mean()) * MOTION_FPS


def head_jitter_deg(values: FloatArray) -> float:
    """Return the rms second difference of the head's angles, degrees per frame squared.

    The norm over pitch, yaw and roll. Noise from frame to frame, which eyes see before they see
    anything else, raises it; slow movement hardly does.
    """
    bend = np.diff(values[:, ROTATION].astype(np.float64), 2, axis=0)
    return float(np.sqrt(np.square(bend).sum(axis=1).mean()))


def head_range_deg(values: FloatArray) -> FloatArray:
    """Return the 95th minus the 5th percentile of pitch, yaw and roll (3,)."""
    low, high = np.percentile(values[:, ROTATION].astype(np.float64), [5, 95], axis=0)
    return high - low


def variation(clips: Sequence[FloatArray], metric: Metric, is_centred: bool = True) -> float:
    """Return how much ``clips`` (t, 58) differ from each other: the rms over all pairs, / sqrt 2.

    Longer clips are cut to the shorter of a pair. ``is_centred``: only movement counts.
    """
    squares = []
    for a, b in combinations(clips, 2):
        n = min(len(a), len(b))
        off = _part(a[:n], metric, is_centred) - _part(b[:n], metric, is_centred)
        squares.append(float(np.square(off).sum(axis=1).mean()))
    return float(np.sqrt(np.mean(squares) / 2.0))
