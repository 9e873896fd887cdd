"""Ditto's motion as it is published: windows that overlap by 70 frames, cross-faded over ten.

What Ditto's online worker does (ditto-spec 3 and 5), as a motion model: the session begins with 70
frames of silence; every window adds ten frames, and the ten before, faded into it and smoothed, are
handed out. The first frame of the first window is the motion that leaves the sitter as he is. Ours
ends with the sound; upstream's tail is up to ten frames too long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visavis.errors import InputError
from visavis.motion import blinks
from visavis.motion.controls import Timeline
from visavis.motion.ditto.conditions import SIZE
from visavis.motion.ditto.figure import Figure, Style, shown
from visavis.motion.ditto.hearing import (
    FRAME_SAMPLES,
    fitting,
    quiet,
    silent,
    ticked,
    told_of,
    wanted,
)
from visavis.motion.ditto.sampler import Denoiser, Sampling, sampled
from visavis.motion.ditto.windows import WINDOW, Stretch, WindowPlan, extended, trimmed
from visavis.motion.noise import white
from visavis.types import MOTION_FPS, Features, FloatArray, Motion

_FIRST, _STEPS = 3000, 3001
"""Channels of the noise: what windows start from, and what is added after the steps."""


@dataclass(frozen=True)
class PublishedState:
    """One session: ``rows`` (r, d) of sound from the next window's first frame on; the ``stretch``
    of motion; ``received`` rows in all; the frame to come. Bounded.
    """

    seed: int
    figure: Figure
    blinks: blinks.BlinkClock
    rows: FloatArray
    stretch: Stretch
    received: int = 0
    frame: int = 0


class PublishedMotion:
    """Ditto's motion, windows and all, as upstream; MotionModel. Not for live sessions."""

    fps = MOTION_FPS
    hears_others = False

    def __init__(
        self,
        denoiser: Denoiser,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        plan: WindowPlan = WindowPlan(),  # noqa: B008 - frozen
        style: Style = Style(),  # noqa: B008 - frozen
        silence: FloatArray | None = None,
    ) -> None:
        """Ask ``denoiser``; ``silence`` (k, d) are the rows of k silent frames, 0 by default.

        Raises:
            InputError: the silence has another width than the sound the denoiser knows, or the plan
                is for whole recordings.
        """
        if not plan.is_online:
            raise InputError("A session cannot wait for windows that fade over all they share.")
        self._denoiser = denoiser
        self._sampling = sampling
        self._plan = plan
        self._style = style
        self._silence = quiet(denoiser, silence)

    @property
    def look_ahead_samples(self) -> int:
        """Samples from a frame's instant to the last row that it may wait for."""
        return (2 * self._plan.new - 1) * FRAME_SAMPLES

    def start(self, seed: int, appearance: Any = None) -> PublishedState:
        """Return the state of a fresh session with the sitter of ``appearance.sitter``.

        Raises:
            InputError: the renderer does not know implicit keypoints.
        """
        figure = Figure.of(appearance)
        rows = silent(self._silence, -self._plan.overlap, self._plan.overlap)
        stretch = Stretch.begun(figure.portrait)
        return PublishedState(seed, figure, blinks.start(seed), rows, stretch)

    def step(
        self,
        state: PublishedState,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[PublishedState, Motion]:
        """Take the next rows; return the frames that no later window changes."""
        rows = np.concatenate([state.rows, fitting(features, self._silence)])
        state = replace(state, rows=rows, received=state.received + len(features))
        parts = [shown(state.figure, self._style, state.stretch.motion[:0], (), (), 0)]
        while state.frame < state.received if final else len(state.rows) >= WINDOW:
            state, motion = self._window(state, timeline)
            parts.append(motion)
        motion, over = Motion.concatenate(parts), state.frame - state.received
        return state, motion[: len(motion) - max(0, over)]

    def _window(self, state: PublishedState, timeline: Timeline) -> tuple[PublishedState, Motion]:
        """Return the state after the next window, and the frames now settled; none after the first.

        What a window lacks at the end of the sound is its last row again.
        """
        plan, stretch, figure = self._plan, state.stretch, state.figure
        first = stretch.windows * plan.new - plan.overlap
        lacking = max(0, WINDOW - len(state.rows))
        rows = np.concatenate([state.rows[:WINDOW], np.repeat(state.rows[-1:], lacking, axis=0)])
        asked = wanted(timeline, first, WINDOW)
        told = told_of(rows, self._silence, asked, figure.sitter, first)
        noises = [white(state.seed, _FIRST, WINDOW * stretch.windows, WINDOW, SIZE)]
        noises += [
            white(state.seed, _STEPS + i, 0, WINDOW, SIZE) for i in range(self._sampling.steps - 1)
        ]
        window = sampled(self._denoiser, self._sampling, stretch.before, told, noises)
        longer = extended(stretch, window, figure.portrait, plan)
        state = replace(state, rows=state.rows[plan.new :], stretch=trimmed(longer))
        if not stretch.windows:
            figure = replace(figure, origin=longer.motion[0])
            return self._shown(replace(state, figure=figure), timeline, longer.motion[:0])
        settled = len(longer.motion) - plan.faded
        return self._shown(state, timeline, longer.motion[settled - plan.new : settled])

    def _shown(
        self, state: PublishedState, timeline: Timeline, made: FloatArray
    ) -> tuple[PublishedState, Motion]:
        """Return the state after the frames ``made`` (t, 265), and what they are for a renderer."""
        asked = wanted(timeline, state.frame, len(made))
        clocks = ticked(state.blinks, state.seed, asked)
        motion = shown(state.figure, self._style, made, asked, clocks, state.frame)
        end = replace(state, frame=state.frame + len(made), blinks=(state.blinks, *clocks)[-1])
        return end, motion
