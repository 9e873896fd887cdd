"""Faces that do not speak: listening to somebody, and idle.

Real dyads with sound of both are not at hand. Heads and brows are real ones, slowed down; eyes,
blinks and breath are those of motion/ambient.py; nods follow the other's phrases (backchannels come
some 200 to 700 ms after a phrase ends, Ward and Tsukahara 2000; nods are two or three damped swings
at 2 to 3 Hz, Hadar et al. 1985).
"""

from __future__ import annotations

import numpy as np

from visavis.audio.phones import LEVEL
from visavis.data.pairing import HEAD, Stretch
from visavis.motion import ambient, conditions
from visavis.motion.layout import COEFFICIENTS, INDEX, ROTATION, SCALE, SIZE, TRANSLATION
from visavis.types import MOTION_FPS, FloatArray, Phase

_BROWS = np.array(conditions.group("brows"))
_PITCH = INDEX["headPitch"]
_SLOWER = {Phase.LISTENING: 1.6, Phase.IDLE: 2.4}
_SHARE = {Phase.LISTENING: 0.6, Phase.IDLE: 0.45}
_PHRASE_END_FRAMES = 6


def silent(
    frames: int, phase: Phase, bank: list[Stretch], seed: int, other: FloatArray | None = None
) -> FloatArray:
    """Return ``frames`` of a silent face (t, 58); ``other`` rows of evidence of who is heard."""
    rng = np.random.default_rng(seed)
    out = np.zeros((frames, SIZE), np.float32)
    out[:, SCALE] = 1.0
    _slow_head(out, phase, bank, rng)
    if other is not None:
        _react(out, other, rng)
    _living(out, phase, seed)
    _resting_mouth(out, phase, rng)
    out[:, COEFFICIENTS] = np.clip(out[:, COEFFICIENTS], 0, 1)
    return out


def _slow_head(
    out: FloatArray, phase: Phase, bank: list[Stretch], rng: np.random.Generator
) -> None:
    """Lay slowed, calmer real head and brow motion into ``out``, piece after piece."""
    used = np.concatenate([HEAD, _BROWS])
    at, before = 0, None
    while at < len(out):
        source = bank[int(rng.integers(len(bank)))].values
        start = int(rng.integers(0, max(1, len(source) - 60)))
        piece = source[start : start + int(rng.integers(60, 150)), used]
        times = np.arange(0, len(piece) - 1, 1 / _SLOWER[phase])
        slow = np.stack([np.interp(times, np.arange(len(piece)), c) for c in piece.T], 1)
        rest = np.zeros(len(used))
        rest[list(used).index(SCALE)] = 1.0
        slow = rest + _SHARE[phase] * (slow - rest)
        slow = slow[: len(out) - at]
        if before is not None:
            left = np.clip(1 - np.arange(1, len(slow) + 1)[:, None] / 60, 0, 1)
            slow += left * left * (3 - 2 * left) * (before - slow[0])
        out[at : at + len(slow), used] = slow
        at, before = at + len(slow), slow[-1]


def _react(out: FloatArray, other: FloatArray, rng: np.random.Generator) -> None:
    """Nod after the other's phrases, and now and then raise the brows where the other stresses."""
    rows = other[: len(out) * 4 : 4]
    level = np.zeros(len(out))
    level[: len(rows)] = rows[:, LEVEL] > -20
    level[: len(rows)] *= 1 - rows[:, 0]
    loud = level > 0.5
    for i in range(25, len(out)):
        ended = not loud[i - _PHRASE_END_FRAMES : i].any() and loud[i - _PHRASE_END_FRAMES - 1]
        stressed = loud[i] and rows[min(i, len(rows) - 1), LEVEL] > 4
        if ended and rng.random() < 0.7:
            _nod(out, i + int(rng.integers(0, 10)), rng)
        elif stressed and rng.random() < 0.02:
            _raise_brows(out, i + 4, rng)


def _nod(out: FloatArray, start: int, rng: np.random.Generator) -> None:
    """Add a nod: damped swings of the pitch, down first."""
    t = np.arange(int(1.4 * MOTION_FPS)) / MOTION_FPS
    hertz, size = rng.uniform(1.6, 2.6), rng.uniform(2.0, 6.0)
    swing = -size * np.sin(2 * np.pi * hertz * t) ** 2 * np.exp(-t / rng.uniform(0.35, 0.7))
    fits = max(0, min(len(t), len(out) - start))
    out[start : start + fits, _PITCH] += swing[:fits]
    if rng.random() < 0.3:
        _raise_brows(out, start, rng)


def _raise_brows(out: FloatArray, start: int, rng: np.random.Generator) -> None:
    t = np.arange(int(0.9 * MOTION_FPS)) / (0.9 * MOTION_FPS)
    shape = rng.uniform(0.1, 0.35) * np.sin(np.pi * t) ** 1.5
    fits = max(0, min(len(t), len(out) - start))
    for name, share in (("browInnerUp", 1), ("browOuterUpLeft", 0.7), ("browOuterUpRight", 0.7)):
        out[start : start + fits, INDEX[name]] += share * shape[:fits]


def _living(out: FloatArray, phase: Phase, seed: int) -> None:
    """Write eyes, blinks and breath of motion/ambient.py; the eyes make up for the head."""
    state = ambient.start(seed, MOTION_FPS)
    calm = ambient.Prosody(0.0, 0.0)
    for i, row in enumerate(out):
        state, face, _, shift = ambient.step(state, seed, i, calm, phase, MOTION_FPS)
        ambient.look(face, state, seed, i, row[ROTATION], MOTION_FPS)
        face[_BROWS] = row[_BROWS]
        row[COEFFICIENTS] = face
        row[TRANSLATION] += shift


def _resting_mouth(out: FloatArray, phase: Phase, rng: np.random.Generator) -> None:
    """Add what shut lips do in between: a faint smile, a press, a swallow."""
    t = np.arange(int(0.8 * MOTION_FPS)) / (0.8 * MOTION_FPS)
    shape = np.sin(np.pi * t) ** 2
    shapes = (("mouthPress", 0.35), ("mouthRollLower", 0.25), ("mouthSmile", 0.3))
    at = int(rng.integers(20, 200))
    while at + len(t) < len(out):
        name, most = shapes[int(rng.integers(0, 3 if phase is Phase.LISTENING else 2))]
        size = rng.uniform(0.1, most)
        sides = [name] if name in INDEX else [name + "Left", name + "Right"]
        for side in sides:
            out[at : at + len(t), INDEX[side]] += size * shape
        at += int(rng.integers(50, 250))
