"""Ditto's denoiser as a motion model: few frames at first, none of them ever drawn again.

Every window of 80 frames ends with the frames wanted (and ``plan.ahead`` more); before them is what
the session has heard and shown. So a frame waits for the sound of its chunk alone, where the
published plan (published.py) waits for twenty frames. A chunk begins where the last one ended
(windows.joined), and a frame's noise is a function of the seed and of its number, which keeps
windows alike. A silent window before the session tells which motion leaves the sitter as he is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visavis.errors import InputError
from visavis.motion import blinks
from visavis.motion.chunks import ChunkPlan
from visavis.motion.controls import Timeline
from visavis.motion.ditto.conditions import EXPRESSION, SIZE
from visavis.motion.ditto.figure import Figure, Style, shown
from visavis.motion.ditto.hearing import (
    FRAME_SAMPLES,
    filled,
    fitting,
    quiet,
    silent,
    ticked,
    told_of,
    wanted,
)
from visavis.motion.ditto.sampler import Denoiser, Sampling, sampled
from visavis.motion.ditto.windows import WINDOW, averaged, joined
from visavis.motion.noise import white
from visavis.types import MOTION_FPS, Features, FloatArray, Motion

_NOISE = 3100
"""First channel of the noise of the steps."""
_SMOOTHING = 3

GROWING = ChunkPlan(first=5, growth=2.0, longest=20, ahead=0, context=60)
"""5, 10, 20, 20, ... frames: HuBERT's rows come five at a time. A window has 80 frames whatever
``context`` says."""
STEADY = ChunkPlan(first=5, growth=1.0, ahead=0, context=60)
"""Five frames at a time for ever, for sound as it is spoken."""


@dataclass(frozen=True)
class LastChunk:
    """What it takes to have stopped earlier: the state ``before`` the chunk, what its frames were
    ``told`` (l, c), what was ``made`` of them (l, 265), and the ``clocks`` after each.
    """

    before: DittoState
    told: FloatArray
    made: FloatArray
    clocks: tuple[blinks.BlinkClock, ...]


@dataclass(frozen=True)
class DittoState:
    """One session.

    ``rows`` (r, d) of sound that wait; what the last 80 frames were ``told`` (80, c) and their
    motion, the ``past`` (80, 265); ``received`` rows in all; the frame and the chunk to come; the
    ``last`` chunk, of which ``cut`` takes frames back. Bounded, and free to be copied and pickled.
    """

    seed: int
    figure: Figure
    blinks: blinks.BlinkClock
    rows: FloatArray
    told: FloatArray
    past: FloatArray
    received: int = 0
    frame: int = 0
    chunk: int = 0
    last: LastChunk | None = None


class DittoMotion:
    """Ditto's motion without look-ahead beyond a chunk; MotionModel and LiveMotion.

    Seeded: equal input and seed give equal motion, however the sound is cut. Motion comes with
    ``keypoints`` before stitching and without coefficients.
    """

    fps = MOTION_FPS
    hears_others = False

    def __init__(
        self,
        denoiser: Denoiser,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        plan: ChunkPlan = GROWING,
        style: Style = Style(),  # noqa: B008 - frozen
        silence: FloatArray | None = None,
    ) -> None:
        """Ask ``denoiser``; ``silence`` (k, d) are the rows of k silent frames, 0 by default.

        Raises:
            InputError: the silence has another width than the sound the denoiser knows.
        """
        self._denoiser = denoiser
        self._sampling = sampling
        self._plan = plan
        self._style = style
        self._silence = quiet(denoiser, silence)

    @property
    def look_ahead_samples(self) -> int:
        """Samples from a frame's instant to the last row that it may wait for."""
        return (self._plan.longest_wait - 1) * FRAME_SAMPLES

    def start(self, seed: int, appearance: Any = None) -> DittoState:
        """Return the state of a fresh session with the sitter of ``appearance.sitter``.

        Draws one window, the silence before the session.

        Raises:
            InputError: the renderer does not know implicit keypoints.
        """
        figure = Figure.of(appearance)
        rows = silent(self._silence, -WINDOW, WINDOW)
        asked = wanted(Timeline(), -WINDOW, WINDOW)
        told = told_of(rows, self._silence, asked, figure.sitter, -WINDOW)
        window = self._window(seed, figure.portrait, told, -WINDOW)
        past = averaged(window, 0, WINDOW, _SMOOTHING)
        figure = replace(figure, origin=past[0])
        return DittoState(seed, figure, blinks.start(seed), rows[:0], told, past)

    def step(
        self,
        state: DittoState,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[DittoState, Motion]:
        """Take the next rows; return the frames of all chunks now known."""
        rows = np.concatenate([state.rows, fitting(features, self._silence)])
        state = replace(state, rows=rows, received=state.received + len(features))
        parts = [shown(state.figure, self._style, state.past[:0], (), (), state.frame)]
        while self._is_due(state, final):
            state, motion = self._chunk(state, timeline, self._plan.length(state.chunk))
            parts.append(motion)
        motion, over = Motion.concatenate(parts), state.frame - state.received
        return state, motion[: len(motion) - max(0, over)]

    def extend(
        self,
        state: DittoState,
        features: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[DittoState, Motion]:
        """Make the next ``frames`` frames now, as one chunk, of what is known at this moment.

        ``features`` are the rows from the first of these frames on, those given before included;
        what they lack is silence.

        Raises:
            InputError: a window cannot hold so many frames.
        """
        if frames + self._plan.ahead >= WINDOW:
            raise InputError(
                f"{frames} frames are more than a chunk has; at most "
                f"{WINDOW - 1 - self._plan.ahead} can be made at once."
            )
        rows = self._silence[:0] if features is None else fitting(features, self._silence)
        state, motion = self._chunk(replace(_forgetting(state), rows=rows), timeline, frames)
        return _forgetting(state), motion

    def cut(self, state: DittoState, frame: int) -> DittoState:
        """Return ``state`` as if its last chunk had ended before ``frame``, and nothing had been
        heard beyond.

        Raises:
            InputError: ``frame`` is not of the last chunk, nor its end.
        """
        if frame == state.frame:
            return _forgetting(state)
        last = state.last
        if last is None or not last.before.frame < frame < state.frame:
            raise InputError(f"Motion cannot go back to frame {frame}, not of its last chunk.")
        return _forgetting(_after(last, frame - last.before.frame))

    def _is_due(self, state: DittoState, final: bool) -> bool:
        if final:
            return state.frame < state.received
        return len(state.rows) >= self._plan.length(state.chunk) + self._plan.ahead

    def _chunk(
        self, state: DittoState, timeline: Timeline, length: int
    ) -> tuple[DittoState, Motion]:
        """Return the state after the next ``length`` frames, and their motion."""
        new, figure = length + self._plan.ahead, state.figure
        asked = wanted(timeline, state.frame, new)
        rows = filled(state.rows, self._silence, state.frame, new)
        told = told_of(rows, self._silence, asked, figure.sitter, state.frame)
        seen = np.concatenate([state.told, told])[-WINDOW:]
        pose = state.past[new - 1, :EXPRESSION]
        before = np.concatenate([pose, figure.portrait[EXPRESSION:]])
        window = self._window(state.seed, before, seen, state.frame + new - WINDOW)
        made = joined(window, state.past, slice(WINDOW - new, WINDOW - self._plan.ahead))
        clocks = ticked(state.blinks, state.seed, asked[:length])
        last = LastChunk(replace(state, last=None), told[:length], made, clocks)
        motion = shown(figure, self._style, made, asked[:length], clocks, state.frame)
        return _after(last, length), motion

    def _window(self, seed: int, before: FloatArray, told: FloatArray, first: int) -> FloatArray:
        """Return a window of motion (80, 265) whose first frame is ``first``, -80 at the least."""
        noises = [
            white(seed, _NOISE + i, first + WINDOW, WINDOW, SIZE)
            for i in range(self._sampling.steps)
        ]
        return sampled(self._denoiser, self._sampling, before, told, noises)


def _after(last: LastChunk, length: int) -> DittoState:
    """Return the state after the first ``length`` frames of a chunk."""
    state = last.before
    return replace(
        state,
        blinks=last.clocks[length - 1],
        rows=state.rows[length:],
        told=np.concatenate([state.told, last.told[:length]])[-WINDOW:],
        past=np.concatenate([state.past, last.made[:length]])[-WINDOW:],
        frame=state.frame + length,
        chunk=state.chunk + 1,
        last=last,
    )


def _forgetting(state: DittoState) -> DittoState:
    """Return ``state`` without the rows of frames to come."""
    return replace(state, rows=state.rows[:0])
