"""What a session of the learnt motion model holds, and how it goes back within its last chunk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from visavis.motion import blinks, conditions, steady
from visavis.motion.coarticulation import silence
from visavis.motion.conditions import ROWS_PER_FRAME
from visavis.motion.controls import Controls
from visavis.motion.layout import SIZE
from visavis.types import FloatArray


@dataclass(frozen=True)
class LastChunk:
    """What it takes to have stopped earlier: the state ``before`` the chunk, what was ``made`` of
    it (l, 58) before heads have mass, as ``asked``, the ``controls`` (l, 25) the network saw, and
    the ``clocks`` of the blinks after each frame.
    """

    before: DiffusedState
    made: FloatArray
    asked: tuple[Controls, ...]
    controls: FloatArray
    clocks: tuple[blinks.BlinkClock, ...]


@dataclass(frozen=True)
class DiffusedState:
    """One session.

    ``rows`` and ``other`` (r, 45) evidence from the oldest context frame on; ``context`` (k, 58)
    past motion and ``controls`` (k, 25) what it was asked; ``foreseen`` (0 or 1, 58) what the last
    chunk made of the frame to come; the ``head`` in motion; the clock of the blinks; ``received``
    rows in all; the frame and the chunk to come; the ``last`` chunk, of which ``cut`` takes frames
    back. Bounded, and free to be copied and pickled.
    """

    seed: int
    blinks: blinks.BlinkClock
    rows: FloatArray = field(default_factory=lambda: silence(0))
    other: FloatArray = field(default_factory=lambda: silence(0))
    context: FloatArray = field(default_factory=lambda: np.zeros((0, SIZE), np.float32))
    controls: FloatArray = field(default_factory=lambda: np.zeros((0, conditions.SIZE), np.float32))
    foreseen: FloatArray = field(default_factory=lambda: np.zeros((0, SIZE), np.float32))
    head: steady.HeadState = field(default_factory=steady.HeadState)
    received: int = 0
    frame: int = 0
    chunk: int = 0
    last: LastChunk | None = None


def forgetting(state: DiffusedState) -> DiffusedState:
    """Return ``state`` without the rows of frames to come; those of its context stay."""
    kept = ROWS_PER_FRAME * len(state.context)
    return replace(state, rows=state.rows[:kept], other=state.other[:kept])
