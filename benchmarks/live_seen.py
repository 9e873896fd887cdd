"""What a browser saw and heard (browser/live.js), as times: moving lips, sound, sound to picture.

``seen`` is what the page's ``taken()`` gives: "frames" [shown ms, mouth, index, ms since it was
handed out, frames presented], "sounds" [ms, level], "messages", "offsets" [ms, offset ms].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from visavis.types import FloatArray

SIDE = (32, 48)
SLOT_MS = 40.0
EARLY_MS, LATE_MS = -45.0, 100.0
"""Sound may be so far ahead of the picture (negative), and behind it."""
SILENT = 0.002
LOWEST_GREY = 0.6
"""A mouth that differs from rest by less, in grey levels, cannot be told from noise."""
STEP_MS = 5.0
"""The grid on which loudness is compared."""
Seen = Mapping[str, Any]


def pictures(seen: Seen) -> tuple[FloatArray, FloatArray]:
    """Return when frames were shown (t,) ms and their mouths (t, 32, 48) grey levels."""
    times = np.array([frame[0] for frame in seen["frames"]])
    greys = [np.frombuffer(frame[1].encode("latin-1"), np.uint8) for frame in seen["frames"]]
    return times, np.array(greys, np.float64).reshape(-1, *SIDE)


def _distance(mouths: FloatArray, rest: FloatArray) -> FloatArray:
    """Return how far each mouth (t, h, w) is from ``rest``: mean grey levels, brightness aside."""
    apart = mouths - rest
    apart = apart - np.median(apart, axis=(1, 2), keepdims=True)
    return np.abs(apart).mean(axis=(1, 2))


def _rest(before: Seen) -> tuple[FloatArray, float]:
    """Return the mouth at rest, and the distance from which on a mouth is not: mean + 6 sigma."""
    still = pictures(before)[1][-25:]
    rest = still.mean(0)
    noise = _distance(still, rest)
    return rest, float(max(LOWEST_GREY, noise.mean() + 6 * noise.std()))


def first_move(before: Seen, after: Seen, start: float) -> float:
    """Return ms from ``start`` to the first of two frames in a row whose mouth moves."""
    rest, limit = _rest(before)
    times, mouths = pictures(after)
    moves = _distance(mouths, rest) > limit
    found = [t for t, a, b in zip(times, moves, moves[1:], strict=False) if a and b and t > start]
    return found[0] - start if found else float("nan")


def last_move(before: Seen, after: Seen, start: float) -> float:
    """Return ms from ``start`` to the first frame from which on the lips stay at rest.

    At rest: no further from it than a tenth of how far they were while speaking, before ``start``.
    """
    rest, limit = _rest(before)
    times, mouths = pictures(after)
    away = _distance(mouths, rest)
    limit = max(limit, 0.1 * float(np.percentile(away[times < start], 95)))
    moving = np.flatnonzero((away > limit) & (times > start - SLOT_MS))
    if not len(moving):
        return 0.0
    last = moving[-1] + 1
    return float(times[last] - start) if last < len(times) else float("nan")


def first_sound(seen: Seen, start: float) -> float:
    """Return ms from ``start`` to the first audible sound."""
    return next((t - start for t, level in seen["sounds"] if t > start and level > SILENT), np.nan)


def last_sound(seen: Seen, start: float) -> float:
    """Return ms from ``start`` to the last audible sound."""
    times = [t - start for t, level in seen["sounds"] if t > start and level > SILENT]
    return max(times, default=0.0)


def true_offsets(seen: Seen, loudness: FloatArray, first_index: int) -> list[float]:
    """Return how far sound is behind the picture (ms), a number for each second of an utterance.

    ``loudness`` is the utterance's own, on the grid of ``STEP_MS``; ``first_index`` the frame in
    which it begins. The second that is heard is found by correlation, frames by their mark.
    """
    times = np.array([t for t, _ in seen["sounds"]])
    levels = np.array([level for _, level in seen["sounds"]])
    if len(times) < 10:
        return []
    grid = np.arange(times[0], times[-1], STEP_MS)
    heard = np.log(np.interp(grid, times, levels) + SILENT)
    shown = {frame[2]: frame[0] for frame in seen["frames"]}
    found, second = [], round(1000 / STEP_MS)
    for at in range(0, len(loudness) - second, second):
        begins = grid[0] + STEP_MS * _place(np.log(loudness[at : at + second] + SILENT), heard)
        first = first_index + round(at * STEP_MS / SLOT_MS)
        due = [begins + k * SLOT_MS - shown[first + k] for k in range(25) if first + k in shown]
        found += [float(np.median(due))] if len(due) > 12 else []
    return found


def _place(piece: FloatArray, track: FloatArray) -> int:
    """Return where in ``track`` (n,) ``piece`` (m,) fits best: the highest correlation."""
    windows = np.lib.stride_tricks.sliding_window_view(track, len(piece))
    centred = windows - windows.mean(1, keepdims=True)
    score = centred @ (piece - piece.mean()) / (np.linalg.norm(centred, axis=1) + 1e-9)
    return int(score.argmax())


def av_offsets(utterances: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return the browser's own account of sound behind the picture, while something was said.

    Of the worst utterance each: ``desyncDurationMs`` out of bounds, ``maxOffsetMs``,
    ``residualOffsetMs`` at its end (de-id/agents-sdk#418). Sampled every 200 ms.
    """
    spoken = [np.array(offsets) for offsets in utterances if len(offsets)]
    if not spoken:
        return {"n": 0}
    every = np.concatenate(spoken)
    out_of = [200 * int(((o < EARLY_MS) | (o > LATE_MS)).sum()) for o in spoken]
    return {
        **offsets_spread(every),
        "desyncDurationMs": max(out_of),
        "maxOffsetMs": round(float(max(every, key=abs)), 1),
        "residualOffsetMs": round(float(max((o[-1] for o in spoken), key=abs)), 1),
    }


def offsets_spread(offsets: Sequence[float] | FloatArray) -> dict[str, float]:
    """Return the middle of ``offsets``, where 95 % of them lie, and the share within bounds."""
    every = np.asarray(offsets)
    if not len(every):
        return {"n": 0}
    low, middle, high = (float(x) for x in np.percentile(every, [2.5, 50, 97.5]))
    within = ((every >= EARLY_MS) & (every <= LATE_MS)).mean()
    return {
        "n": len(every), "p2_5": round(low, 1), "p50": round(middle, 1), "p97_5": round(high, 1),
        "abs_p95": round(float(np.percentile(np.abs(every), 95)), 1),
        "within_share": round(float(within), 4),
    }  # fmt: skip


def frames(parts: Sequence[Seen], wall_s: float) -> dict[str, float]:
    """Return how many frames were shown, how many of the session's grid never were, and when.

    ``late_share``: of frames that came more than a slot too late. The page's own script may miss
    frames that the browser shows; the browser counts them.
    """
    seen = [frame for part in parts for frame in part["frames"]]
    columns = np.array([[f[0], f[2], f[3], f[4]] for f in seen])
    shown, index, age, presented = columns.T
    gaps, counts, grid = np.diff(shown), np.diff(presented), index[-1] - index[0]
    return {
        "fps": round(float(presented[-1] - presented[0]) / wall_s, 2),
        "missing_share": round(float(1 - (presented[-1] - presented[0]) / grid), 5),
        "late_share": round(float((gaps / counts.clip(1) > 2 * SLOT_MS).sum() / grid), 5),
        "longest_gap_ms": round(float((gaps / counts.clip(1)).max()), 1),
        **spread(age.tolist(), "glass_to_glass_ms"),
    }


def spread(values: Sequence[float], name: str) -> dict[str, float]:
    """Return median and 95th percentile of ``values``, and how many there are."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return {f"{name}_n": 0}
    p50, p95 = (float(x) for x in np.percentile(known, [50, 95]))
    return {f"{name}_p50": round(p50, 1), f"{name}_p95": round(p95, 1), f"{name}_n": len(known)}
