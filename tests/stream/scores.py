"""A session's plan played without threads or a clock: motion is made the moment it is asked for."""

from __future__ import annotations

import numpy as np

from visavis.animator import MotionAnimator, Prepared
from visavis.motion.contact import lip_gap
from visavis.motion.layout import pack
from visavis.stream.policy import SESSION
from visavis.stream.score import Planned, Score
from visavis.types import Motion

RATE = 48_000
SLOT = RATE // 25


NOBODY = Prepared(None, (2, 2))
"""A portrait for sessions that draw nothing."""


def new_score(animator: MotionAnimator, seed: int = 0) -> Score:
    return Score(animator, NOBODY, seed, RATE, SESSION, 60.0)


def play(score: Score, frames: int, may_gap: bool = True) -> list[Planned]:
    out = []
    for _ in range(frames):
        while (move := score.next_move(3, may_gap)) is not None:
            score.accept(move, *move.run())
        out.append(score.take())
    return out


def motion_of(frames: list[Planned]) -> np.ndarray:
    return pack(Motion.concatenate([f.motion for f in frames if f.motion is not None]))


def gaps(frames: list[Planned]) -> np.ndarray:
    return lip_gap(motion_of(frames))


def sound_of(frames: list[Planned]) -> np.ndarray:
    return np.concatenate([f.sound for f in frames])
