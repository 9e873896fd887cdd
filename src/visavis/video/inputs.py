"""What the denoiser is told of a clip, as arrays, in training and at run time alike. No torch here.

Shapes: ``t`` frames, ``h w`` the sides of a latent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visavis.motion.coarticulation import ROWS_AHEAD, ROWS_BEHIND, WINDOW_ROWS, mouths
from visavis.motion.conditions import MOUTH_GAIN, scaled
from visavis.motion.controls import EMOTIONS, Controls
from visavis.types import FloatArray, Phase
from visavis.video.sizes import SPEECH_ROWS

PHASE_NUMBERS = {phase: number for number, phase in enumerate(Phase)}
"""The label of each phase: the class label of LLIA."""
BEFORE, AFTER = 3, 1
"""Neighbours of a frame whose tokens of speech it is told, too."""
LEAST_FELT = 0.25
"""An emotion less intense than this is taken for none."""


def speech_tokens(rows: FloatArray, before: int = BEFORE, after: int = AFTER) -> FloatArray:
    """Return rows of evidence (4t, 45) as tokens of frames (t, before + 1 + after, 196).

    A frame has a token for each of the frames ``before`` it, its own, and those ``after`` it;
    beyond both ends the last one goes on. ``after`` costs latency: 40 ms each, beside the
    recogniser's own look-ahead (audio/phones.py). Beside the evidence each token holds the mouth
    that the articulatory rules make of what these frames heard (motion/coarticulation.py): small
    networks learn what it takes to draw it long before they learn what phones are.
    """
    frames = np.asarray(rows, np.float32).reshape(-1, SPEECH_ROWS, rows.shape[1])
    near = np.arange(len(frames))[:, None] + np.arange(-before, after + 1)
    heard = frames[near.clip(0, len(frames) - 1)]  # (t, k, 4, 45)
    around = np.pad(
        heard.reshape(len(frames), -1, rows.shape[1]),
        ((0, 0), (ROWS_BEHIND, ROWS_AHEAD), (0, 0)), mode="edge",
    )  # fmt: skip
    own = SPEECH_ROWS * before
    mouth = mouths(around[:, own : own + WINDOW_ROWS]) * MOUTH_GAIN
    tokens = scaled(heard).reshape(*near.shape, -1)
    same = np.broadcast_to(mouth[:, None], (*near.shape, mouth.shape[1]))
    return np.concatenate([tokens, same], axis=2).astype(np.float32)


def labels(asked: Sequence[Controls]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of phase and emotion (t,) of frames that are to do what is ``asked``."""
    phases = [PHASE_NUMBERS[wish.phase] for wish in asked]
    felt = [wish.emotion if wish.intensity >= LEAST_FELT else EMOTIONS[0] for wish in asked]
    return np.array(phases, np.int64), np.array([EMOTIONS.index(e) for e in felt], np.int64)
