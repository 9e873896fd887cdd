"""What the denoiser is told beside the sound: one row of numbers per frame (train/motion_nets.py).

======  =========  ========================================================================
slice   name       meaning
======  =========  ========================================================================
0:8     EMOTION    strength of each class of ``controls.EMOTIONS``, sum 1 when known
8:11    PHASE      speaking, listening, idle: one of them 1 when known
11:13   GAZE       yaw, pitch the eyes aim at, in units of 30 degrees
13      HAS_GAZE   1 when known
14      BLINK      1 in the frame in which the lids meet
15      HAS_BLINK  1 when blinks are asked for (their frames known)
16:19   HEAD       pitch, yaw, roll the head tends to, in units of 10 degrees
19      HAS_HEAD   1 when known
20:23   ENERGY     movement of mouth, face, head: logarithm to the base 2, 0 = as usual
23      HAS_ENERGY 1 when known
24      HAS_SPEECH 1 when the sound is given (0: the network is to imagine it)
======  =========  ========================================================================

All zero means: nothing known. That row is what training puts in when it drops conditions, and what
classifier-free guidance (Ho and Salimans 2021) steps away from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import LEVEL, PITCH
from visavis.audio.phones import SIZE as EVIDENCE_SIZE
from visavis.motion.coarticulation import mouths, windows_of
from visavis.motion.controls import EMOTIONS, Controls
from visavis.motion.layout import INDEX, ROTATION
from visavis.motion.visemes import SHAPES
from visavis.types import MOTION_FPS, FloatArray, Phase

SIZE = 25
EMOTION = slice(0, 8)
PHASE = slice(8, 11)
GAZE = slice(11, 13)
HAS_GAZE, BLINK, HAS_BLINK = 13, 14, 15
HEAD = slice(16, 19)
HAS_HEAD = 19
ENERGY = slice(20, 23)
HAS_ENERGY, HAS_SPEECH = 23, 24

GAZE_UNIT_DEG, HEAD_UNIT_DEG = 30.0, 10.0
EYE_RANGE_DEG = 35.0
"""Turn of the eye at an eyeLook coefficient of 1 (Live Link Face: 0.61 rad)."""

ROWS_PER_FRAME = ROWS_PER_SECOND // MOTION_FPS
OTHER_SIZE = 3
SPEECH = ROWS_PER_FRAME * EVIDENCE_SIZE + len(SHAPES)
"""Values per frame that ``speech_rows`` gives."""

GROUPS: dict[str, tuple[str, ...]] = {
    "jaw": ("jaw",), "lips": ("mouth", "tongue", "cheekPuff"), "brows": ("brow",),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide", "cheekSquint", "noseSneer"), "gaze": ("eyeLook",),
    "head": ("head",),
}  # fmt: skip
"""The groups of motion values that losses and energies are counted in, by name prefix."""


def group(name: str) -> list[int]:
    """Return the indices into the motion layout of group ``name``."""
    return [i for n, i in INDEX.items() if n.startswith(GROUPS[name])]


def scaled(rows: FloatArray) -> FloatArray:
    """Return rows of evidence (…, 45) with level and pitch as networks take them."""
    rows = np.array(rows, np.float32)
    rows[..., LEVEL] = np.clip(rows[..., LEVEL], -40.0, 12.0) / 20.0
    rows[..., PITCH] *= 2.0
    return rows


def speech_rows(rows: FloatArray) -> FloatArray:
    """Return rows of evidence (4t, 45) as the network hears them, (t, 196), a frame a row.

    The evidence of the frame itself, then the mouth that the articulatory rules make of it and what
    is around it (motion/coarticulation.py; beyond the ends of ``rows`` the last row goes on).
    """
    shapes = mouths(windows_of(rows)) * MOUTH_GAIN
    evidence = scaled(rows).reshape(-1, ROWS_PER_FRAME * EVIDENCE_SIZE)
    return np.concatenate([evidence, shapes], axis=1).astype(np.float32)


def other_rows(rows: FloatArray) -> FloatArray:
    """Return the other person's rows of evidence (4t, 45) as (t, 12): level, pitch, voicing."""
    scaled = np.array(rows[:, LEVEL : LEVEL + OTHER_SIZE], np.float32)
    scaled[:, 0] = 1.0 + np.clip(scaled[:, 0], -40.0, 12.0) / 40.0
    scaled[:, 1] *= 2.0
    return scaled.reshape(-1, ROWS_PER_FRAME * OTHER_SIZE)


MOUTH_GAIN = 4.0
_PHASES = (Phase.SPEAKING, Phase.LISTENING, Phase.IDLE)
_LEAST_ENERGY = np.array([-0.5, -1.0, -1.2])
_MOST_ENERGY = np.array([0.35, 0.7, 0.7])
"""The energies of mouth, face and head met in training (train/motion_data.py)."""


def control_rows(controls: Sequence[Controls], blinks: NDArray[np.bool_]) -> FloatArray:
    """Return ``controls`` (t) and the frames in which lids meet, ``blinks`` (t,), as (t, 25).

    Emotion, phase, blinks and energy are always known: the default asks for a neutral face as
    lively as usual. Gaze and head are known when asked for.
    """
    rows = np.zeros((len(controls), SIZE), np.float32)
    for row, wish in zip(rows, controls, strict=True):
        row[EMOTIONS.index("neutral")] = 1.0 - wish.intensity
        row[EMOTIONS.index(wish.emotion)] += wish.intensity
        row[PHASE.start + _PHASES.index(wish.phase)] = 1.0
        if wish.gaze is not None:
            row[GAZE] = np.array(wish.gaze) / GAZE_UNIT_DEG
            row[HAS_GAZE] = 1.0
        if wish.head is not None:
            row[HEAD] = np.array(wish.head) / HEAD_UNIT_DEG
            row[HAS_HEAD] = 1.0
        row[ENERGY] = np.clip(energy_wish(wish), _LEAST_ENERGY, _MOST_ENERGY)
    rows[:, BLINK] = blinks
    rows[:, [HAS_BLINK, HAS_ENERGY, HAS_SPEECH]] = 1.0
    return rows


def energy_wish(wish: Controls) -> FloatArray:
    """Return the energies (3,) of mouth, face and head that are asked for, logarithm to base 2.

    The mouth goes half the way: speech stays readable.
    """
    energy = float(np.log2(wish.energy))
    head = energy + float(np.log2(max(wish.head_range, 1e-6)))
    return np.array([0.5 * energy, energy, head], np.float32)


def gaze_of(values: FloatArray) -> FloatArray:
    """Return where motion ``values`` (t, 58) look, yaw and pitch (t, 2) in degrees for the viewer.

    The turn of the eyes in the head (mean of both) plus that of the head.
    """

    def column(name: str) -> FloatArray:
        return values[:, INDEX[name]]

    right = 0.5 * (
        column("eyeLookOutRight")
        - column("eyeLookInRight")
        + column("eyeLookInLeft")
        - column("eyeLookOutLeft")
    )  # the person's right
    up = 0.5 * (
        column("eyeLookUpLeft")
        + column("eyeLookUpRight")
        - column("eyeLookDownLeft")
        - column("eyeLookDownRight")
    )
    turn = values[:, ROTATION]
    return np.stack(
        [turn[:, 1] - EYE_RANGE_DEG * right, turn[:, 0] + EYE_RANGE_DEG * up], axis=1
    ).astype(np.float32)
