"""Faces for voices: real heads, brows, lids and eyes under spoken mouths, by likeness of rhythm.

There is far more speech than video. What a real speaker's head and face do follows the beat of the
syllables, and the beat shows in the mouth: for each few seconds of a spoken mouth, the stretch of
real motion whose mouth opens in the most similar rhythm lends its upper face and its head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.motion import ambient, conditions
from visavis.motion.layout import INDEX, ROTATION, SCALE
from visavis.types import ARKIT_NAMES, MOTION_FPS, FloatArray, Phase

_MOUTH = conditions.group("jaw") + conditions.group("lips")
UPPER = np.array([i for i in range(58) if i not in _MOUTH])
"""The values that a stretch of real motion lends."""
HEAD = np.array(conditions.group("head"))
_GAZE = np.array(conditions.group("gaze"))
_BROWS = np.array(conditions.group("brows"))
_SHORTEST, _LONGEST = 60, 130
_CHOICE = 6
_FADE = 6
_HOMECOMING = 50


@dataclass(frozen=True)
class Stretch:
    """Real motion (t, 58) and how its mouth opens (t,), without mean."""

    values: FloatArray
    rhythm: FloatArray


def rhythm(values: FloatArray) -> FloatArray:
    """Return the opening of the mouth (t,) in motion ``values``, smoothed, without its mean."""
    opening = values[:, INDEX["jawOpen"]] - values[:, INDEX["mouthClose"]]
    smooth = np.convolve(np.pad(opening, 2, "edge"), np.ones(5) / 5, "valid")
    slow = np.convolve(np.pad(smooth, 25, "edge"), np.ones(51) / 51, "valid")
    return (smooth - slow).astype(np.float32)


def make_bank(motions: list[FloatArray]) -> list[Stretch]:
    """Return real ``motions``, each (t, 58) of one person, ready to lend; short ones are left."""
    return [Stretch(m, rhythm(m)) for m in motions if len(m) >= _SHORTEST + 2]


def lent(mouth: FloatArray, bank: list[Stretch], rng: np.random.Generator) -> FloatArray:
    """Return spoken ``mouth`` (t, 58) with head and upper face lent by ``bank``.

    Tracked eyes tremble by a degree or two; their glances are those of motion/ambient.py.
    """
    out, wanted, at = mouth.copy(), rhythm(mouth), 0
    while at < len(mouth):
        span = int(rng.integers(_SHORTEST, _LONGEST))
        piece = _best(wanted[at : at + span], bank, rng)[: len(mouth) - at]
        if at:
            piece = _continued(piece, out[at - 1])
        out[at : at + len(piece), UPPER] = piece[:, UPPER]
        at += len(piece)
    out[:, _GAZE] = _glances(out, int(rng.integers(2**31)))
    out[:, _BROWS] = np.clip(out[:, _BROWS] + mouth[:, _BROWS], 0, 1)  # raised on accents
    return out


def _best(wanted: FloatArray, bank: list[Stretch], rng: np.random.Generator) -> FloatArray:
    """Return one of the stretches whose rhythm is most like ``wanted`` (n,)."""
    found: list[tuple[float, int, int]] = []
    for k, stretch in enumerate(bank):
        n = min(len(wanted), len(stretch.rhythm) - 1)
        own = stretch.rhythm
        match = np.correlate(own, wanted[:n], "valid")
        power = np.convolve(own**2, np.ones(n), "valid") + 1e-3
        score = match / np.sqrt(power)
        at = int(rng.integers(0, len(score))) if rng.random() < 0.1 else int(score.argmax())
        found.append((float(score[at]) * np.sqrt(n), k, at))
    found.sort(reverse=True)
    _, k, at = found[int(rng.integers(0, min(_CHOICE, len(found))))]
    return bank[k].values[at : at + len(wanted)].copy()


def _continued(piece: FloatArray, before: FloatArray) -> FloatArray:
    """Return ``piece`` (n, 58) begun where ``before`` (58,) ended; the head comes home slowly."""
    gap = before - piece[0]
    step = np.arange(1, len(piece) + 1, dtype=np.float32)[:, None]
    for where, frames in ((UPPER, _FADE), (HEAD, _HOMECOMING)):
        left = np.clip(1 - step / frames, 0, 1)
        left = left * left * (3 - 2 * left)
        own = np.setdiff1d(where, HEAD) if where is UPPER else where
        piece[:, own] += left * gap[own]
    piece[:, SCALE] = np.clip(piece[:, SCALE], 0.8, 1.25)
    return piece


def _glances(values: FloatArray, seed: int) -> FloatArray:
    """Return the eyeLook values (t, 8) of a speaker whose head moves as in ``values`` (t, 58)."""
    state, calm = ambient.start(seed, MOTION_FPS), ambient.Prosody(1.0, 0.0)
    out = np.zeros((len(values), len(ARKIT_NAMES)), np.float32)
    for i, row in enumerate(out):
        state, _, _, _ = ambient.step(state, seed, i, calm, Phase.SPEAKING, MOTION_FPS)
        ambient.look(row, state, seed, i, values[i, ROTATION], MOTION_FPS)
    return out[:, _GAZE]
