"""From phone evidence around a frame to the shapes of the mouth at that frame.

Targets are blended by dominance functions (Cohen & Massaro 1993) weighted by the posteriors: every
row of sound near the frame pulls each shape towards its own phone's target. Two constraints then
hold whatever the blend says: lips meet on p, b, m; the lower lip reaches the teeth on f, v.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import CLOSED, LABIAL, LEVEL, PHONES, SIZE
from visavis.motion.visemes import INDEX, OPENING, SHAPES, dominances, kernel, targets
from visavis.types import MOTION_FPS, FloatArray

ROWS_BEHIND = 13
ROWS_AHEAD = 10
WINDOW_ROWS = ROWS_BEHIND + 1 + ROWS_AHEAD
"""Rows of evidence one frame is made from: 130 ms of past, 100 ms of future."""

_BILABIALS = [PHONES.index(phone) for phone in ("P", "B", "M")]
_LABIODENTALS = [PHONES.index(phone) for phone in ("F", "V")]
_SURE = 0.06
_STOP_ROWS = 8
_FAINT_DB = -23.0
_JAW, _CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]


def silence(rows: int) -> FloatArray:
    """Return ``rows`` rows of evidence of silence."""
    values = np.zeros((rows, SIZE), np.float32)
    values[:, 0] = 1.0
    values[:, LEVEL] = -50.0
    return values


@cache
def _offsets_s() -> FloatArray:
    return (np.arange(-ROWS_BEHIND, ROWS_AHEAD + 1) / ROWS_PER_SECOND).astype(np.float32)


@cache
def _kernels() -> FloatArray:
    """Return the kernels of all shapes (WINDOW_ROWS, shapes)."""
    return np.stack([kernel(shape, _offsets_s()) for shape in SHAPES], axis=1)


@cache
def _touch(attack_s: float, hold_s: float, release_s: float) -> FloatArray:
    """Return how firmly a contact heard at each offset holds at the frame (WINDOW_ROWS,)."""
    t = _offsets_s()
    before = 1.0 - (t - hold_s) / attack_s  # the contact is still to come
    after = 1.0 + (t + hold_s) / release_s  # it is over
    return np.clip(np.minimum(before, after), 0.0, 1.0).astype(np.float32)


def smoothstep(x: FloatArray, low: float, high: float) -> FloatArray:
    """Return 0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mouth(rows: FloatArray) -> FloatArray:
    """Return the shapes (shapes,) for the frame at row ROWS_BEHIND of ``rows``.

    ``rows`` (WINDOW_ROWS, SIZE) as audio.phones gives them.
    """
    return mouths(rows[None])[0]


def mouths(rows: FloatArray) -> FloatArray:
    """Return the shapes (n, shapes) of many frames; ``rows`` (n, WINDOW_ROWS, SIZE)."""
    phones = np.maximum(rows[..., : len(PHONES)] - _SURE, 0.0)
    phones[..., 0] += phones.sum(-1) == 0  # nothing likely: silence
    phones = phones / phones.sum(-1, keepdims=True)
    hush = _hush(rows[..., LEVEL])[..., None]
    phones = phones * (1.0 - hush)
    phones[..., :1] += hush
    pull = (phones @ dominances()) * _kernels()
    wish = (phones @ (dominances() * targets())) * _kernels()
    shapes = wish.sum(1) / (pull.sum(1) + 1e-6)
    shapes[:, OPENING] *= _emphasis(rows)
    shut, tuck = _contacts(rows, 1.0 - phones[..., 0])
    return _shut_lips(_tuck_lip(shapes, tuck), shut)


def windows_of(rows: FloatArray) -> FloatArray:
    """Return the window (WINDOW_ROWS, SIZE) of every frame in ``rows`` (4t, SIZE), stacked.

    Beyond its ends the first and the last row go on.
    """
    around = np.pad(rows, ((ROWS_BEHIND, ROWS_AHEAD), (0, 0)), mode="edge")
    every = np.lib.stride_tricks.sliding_window_view(around, WINDOW_ROWS, axis=0)
    return every[:: ROWS_PER_SECOND // MOTION_FPS].swapaxes(1, 2)


def contacts(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how surely lips are shut, and lower lip at teeth, (n,) each 0..1, for many frames.

    ``rows`` (n, WINDOW_ROWS, SIZE).
    """
    return _contacts(rows, (1.0 - rows[..., 0]) * (1.0 - _hush(rows[..., LEVEL])))


def silences(rows: FloatArray) -> FloatArray:
    """Return how surely nothing is said at the frame and just around it (n,) 0..1.

    ``rows`` (n, WINDOW_ROWS, SIZE).
    """
    near = slice(ROWS_BEHIND - 4, ROWS_BEHIND + 5)
    return smoothstep(rows[:, near, 0].min(-1), 0.6, 0.9)


def _contacts(rows: FloatArray, speech: FloatArray) -> tuple[FloatArray, FloatArray]:
    closed = 0.5 * (rows[..., CLOSED] + rows[..., _BILABIALS].sum(-1))
    labial = 0.5 * (rows[..., LABIAL] + rows[..., _LABIODENTALS].sum(-1))
    return (
        _contact(closed * speech, _touch(0.035, 0.0, 0.035), 0.11, 0.25),
        _contact(labial * speech, _touch(0.05, 0.015, 0.05), 0.2, 0.6),
    )


def _contact(evidence: FloatArray, touch: FloatArray, low: float, high: float) -> FloatArray:
    """Return how far a contact is made at each frame (n,): the firmest of those heard near it."""
    return smoothstep((touch * evidence).max(-1), low, high)


def _hush(level: FloatArray) -> FloatArray:
    """Return 0..1 for each row (n, rows): how surely it and all after it is a fading room.

    The gap of a stop is as soft, but its burst follows within the rows ahead.
    """
    coming = np.maximum(level, level[:, -_STOP_ROWS:].max(-1, keepdims=True))
    loudest = np.maximum.accumulate(coming[:, ::-1], axis=1)[:, ::-1]
    faint: FloatArray = np.clip((_FAINT_DB - loudest) / 6.0, 0.0, 1.0)
    return faint


def _emphasis(rows: FloatArray) -> FloatArray:
    """Return the factors (n, 1) by which loud or soft speech opens the mouth more or less."""
    near = rows[:, ROWS_BEHIND - 6 : ROWS_BEHIND + 7, LEVEL]
    return np.clip(1.00 + 0.025 * near.max(-1, keepdims=True), 0.6, 1.25)


def _tuck_lip(shapes: FloatArray, tuck: FloatArray) -> FloatArray:
    """Bring the lower lip to the upper teeth, ``tuck`` (n,) 0..1."""
    out = shapes.copy()
    out[:, _JAW] += tuck * (np.minimum(out[:, _JAW], 0.05) - out[:, _JAW])
    out[:, INDEX["mouthLowerDown"]] *= 1.0 - tuck
    out[:, INDEX["mouthFunnel"]] *= 1.0 - 0.7 * tuck
    for name, amount in (("mouthUpperUp", 0.18), ("mouthRollLower", 0.38)):
        out[:, INDEX[name]] = np.maximum(out[:, INDEX[name]], amount * tuck)
    return out


def _shut_lips(shapes: FloatArray, shut: FloatArray) -> FloatArray:
    """Bring the lips together, ``shut`` (n,) 0..1: mouthClose equals jawOpen."""
    out = shapes.copy()
    out[:, _JAW] += 0.6 * shut * (np.minimum(out[:, _JAW], 0.10) - out[:, _JAW])
    out[:, _CLOSE] = shut * out[:, _JAW]
    for name in ("mouthLowerDown", "mouthUpperUp", "tongueOut"):
        out[:, INDEX[name]] *= 1.0 - shut
    out[:, INDEX["mouthFunnel"]] *= 1.0 - 0.9 * shut
    out[:, INDEX["mouthPucker"]] *= 1.0 - 0.3 * shut
    for name, amount in (("mouthPress", 0.16), ("mouthRollLower", 0.12), ("mouthRollUpper", 0.08)):
        out[:, INDEX[name]] = np.maximum(out[:, INDEX[name]] * (1.0 - shut), amount * shut)
    return out
