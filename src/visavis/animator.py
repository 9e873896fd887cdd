"""THE seam: sound goes in, frames of one portrait come out, live and offline alike.

An animator holds weights; a session holds the state. ``animate()`` and a live server call the same
``step``, with large or small pieces of sound, and get the same frames, bit for bit.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from visavis.audio.features import FeatureExtractor
from visavis.errors import InputError
from visavis.motion.base import LiveMotion, MotionModel
from visavis.motion.controls import Timeline
from visavis.motion.filters import ResampleState, start_resample, step_resample
from visavis.render.base import Renderer, shown
from visavis.types import (
    MOTION_FPS,
    SAMPLE_RATE,
    Audio,
    Features,
    FloatArray,
    Frame,
    ImageArray,
    Motion,
    Portrait,
)
from visavis.video.pipeline import overlapped

NOTHING_ASKED = Timeline()
"""The default controls at all times."""


@dataclass(frozen=True)
class Prepared:
    """A portrait made ready to be drawn at ``size`` (width, height) pixels; shared by sessions."""

    appearance: Any
    size: tuple[int, int]


class Animator(Protocol):
    """Turns pieces of sound into frames of one portrait. Holds weights, never a conversation."""

    @property
    def fps(self) -> int:
        """Frames per second."""
        ...

    @property
    def window(self) -> int:
        """Look-ahead: samples of sound after a frame's instant needed before the frame comes."""
        ...

    def prepare(self, portrait: Portrait, size: tuple[int, int] | None = None) -> Prepared:
        """Make ``portrait`` ready for pictures of ``size`` (its own by default); once per face."""
        ...

    def start(self, prepared: Prepared, seed: int = 0) -> Any:
        """Return the state of a fresh session; once per conversation."""
        ...

    def step(
        self,
        state: Any,
        audio: Audio,
        timeline: Timeline = NOTHING_ASKED,
        final: bool = False,
        other: Audio | None = None,
    ) -> tuple[Any, list[Frame]]:
        """Take the next piece of sound; return the new state and the frames now known.

        ``timeline`` says what each frame is asked to do; it may change from step to step.
        ``other`` is what the other person says meanwhile, from the first step on and as long as
        ``audio``. After the last piece (``final``) exactly
        ``ceil(samples * fps / SAMPLE_RATE)`` frames have come out.
        """
        ...


class LiveAnimator(Protocol):
    """What a live session asks for: hearing, moving and drawing apart, each when it is due.

    ``Animator.step`` is the three in one call. Apart, sound can be heard as it arrives, motion made
    as late as possible and taken back when something changes, and pictures drawn one by one.
    """

    @property
    def look_ahead_samples(self) -> int:
        """Samples after a row of features that must have been heard before it is known."""
        ...

    @property
    def rows_per_frame(self) -> int:
        """Rows of features that a frame of motion lasts."""
        ...

    @property
    def hears_others(self) -> bool:
        """Whether ``move`` makes use of what another person says."""
        ...

    def listen(self) -> Any:
        """Return the state of an ear that has heard silence so far."""
        ...

    def hear(self, ear: Any, audio: Audio, final: bool = False) -> tuple[Any, Features]:
        """Hear the next piece of sound; return the ear and the rows now known."""
        ...

    def start(self, prepared: Prepared, seed: int = 0) -> Any:
        """Return the state of a fresh session."""
        ...

    def move(
        self,
        state: Any,
        heard: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[Any, Motion]:
        """Make the next ``frames`` frames' motion from the rows known from the first of them on."""
        ...

    def cut(self, state: Any, frame: int) -> Any:
        """Return ``state`` as if its last ``move`` had ended before ``frame``."""
        ...

    def draw(self, prepared: Prepared, motion: Motion, first: int = 0) -> list[Frame]:
        """Draw ``motion``; its frames count from ``first``."""
        ...

    def rough(self, prepared: Prepared) -> Prepared:
        """Return ``prepared`` to be drawn with the least work."""
        ...


@dataclass(frozen=True)
class MotionState:
    """One session of a ``MotionAnimator``. Its size does not depend on how long it has run.

    ``features``, ``motion`` and ``rate`` are the states of the extractor, the motion model and the
    change of frame rate; ``samples`` and ``frames`` count what went in and what came out.
    ``other`` is the extractor's state for the other person's sound; None: there is none.
    """

    prepared: Prepared
    features: Any
    motion: Any
    rate: ResampleState
    samples: int = 0
    frames: int = 0
    other: Any = None


class MotionAnimator:
    """Features, then a motion model, then a renderer (Ditto's route, without its networks)."""

    def __init__(
        self,
        features: FeatureExtractor,
        motion: MotionModel,
        renderer: Renderer,
        fps: int = MOTION_FPS,
    ) -> None:
        """Compose the three parts; pictures come at ``fps`` frames per second."""
        self._features = features
        self._motion = motion
        self._renderer = renderer
        self._fps = fps

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self._fps

    @property
    def window(self) -> int:
        """Look-ahead in samples: what features, motion and the frame rate need together."""
        between = 0 if self._motion.fps % self._fps == 0 else SAMPLE_RATE // self._motion.fps
        return self._features.look_ahead_samples + self._motion.look_ahead_samples + between

    def prepare(self, portrait: Portrait, size: tuple[int, int] | None = None) -> Prepared:
        """Make ``portrait`` ready for pictures of ``size`` (width, height), its own by default."""
        height, width = portrait.image.shape[:2]
        chosen = size or (width - width % 2, height - height % 2)
        return Prepared(self._renderer.prepare(portrait, chosen), chosen)

    def start(self, prepared: Prepared, seed: int = 0) -> MotionState:
        """Return the state of a fresh session; equal seeds and sounds give equal frames."""
        features = self._features.start()
        motion = self._motion.start(seed, prepared.appearance)
        return MotionState(prepared, features, motion, start_resample())

    def step(
        self,
        state: MotionState,
        audio: Audio,
        timeline: Timeline = NOTHING_ASKED,
        final: bool = False,
        other: Audio | None = None,
    ) -> tuple[MotionState, list[Frame]]:
        """Take the next piece of sound; return the new state and the frames now known.

        Raises:
            InputError: ``other`` is not as long as ``audio``, or comes first in the middle.
        """
        after, due = self.step_motion(state, audio, timeline, final, other)
        return after, self.draw(state.prepared, due, state.frames)

    def step_motion(
        self,
        state: MotionState,
        audio: Audio,
        timeline: Timeline = NOTHING_ASKED,
        final: bool = False,
        other: Audio | None = None,
    ) -> tuple[MotionState, Motion]:
        """Do what ``step`` does, but for the drawing: return motion, from ``state.frames`` on."""
        features_state, features = self._features.step(state.features, audio, final)
        other_state, heard = self._hear_other(state, audio, other, final)
        motion_state, motion = self._motion.step(state.motion, features, timeline, final, heard)
        rate, due = step_resample(state.rate, motion, self._fps, final)
        samples = state.samples + len(audio)
        if final:
            due = due[: frame_count(samples, self._fps) - state.frames]
        made = state.frames + len(due)
        after = MotionState(
            state.prepared, features_state, motion_state, rate, samples, made, other_state
        )
        return after, due

    @property
    def works_ahead(self) -> bool:
        """Whether motion costs so much that it is better made while pictures are drawn."""
        return bool(getattr(self._motion, "works_ahead", False))

    @property
    def look_ahead_samples(self) -> int:
        """Samples after a row of features that must have been heard before it is known."""
        return self._features.look_ahead_samples

    @property
    def rows_per_frame(self) -> int:
        """Rows of features that a frame of motion lasts."""
        return self._features.rate // self._motion.fps

    @property
    def hears_others(self) -> bool:
        """Whether the motion model makes use of what another person says."""
        return self._motion.hears_others

    def listen(self) -> Any:
        """Return the state of an ear that has heard silence so far."""
        return self._features.start()

    def hear(self, ear: Any, audio: Audio, final: bool = False) -> tuple[Any, Features]:
        """Hear the next piece of sound; return the ear and the rows now known."""
        return self._features.step(ear, audio, final)

    def move(
        self,
        state: MotionState,
        heard: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[MotionState, Motion]:
        """Make the next ``frames`` frames' motion from the rows known from the first of them on.

        What ``heard`` and ``other`` lack at their end is silence; None: all of it.

        Raises:
            InputError: the motion model or the frame rate is not made for live sessions.
        """
        motion, moved = self._live.extend(state.motion, heard, timeline, frames, other)
        return replace(state, motion=motion, frames=state.frames + frames), moved

    def cut(self, state: MotionState, frame: int) -> MotionState:
        """Return ``state`` as if its last ``move`` had ended before ``frame``."""
        return replace(state, motion=self._live.cut(state.motion, frame), frames=frame)

    @property
    def _live(self) -> LiveMotion:
        """The motion model, if a live session can use it."""
        model: Any = self._motion
        if not hasattr(model, "extend") or self._fps != model.fps:
            raise InputError(
                f"Live sessions need the learnt motion model at {model.fps} frames per second."
            )
        return cast(LiveMotion, model)

    def rough(self, prepared: Prepared) -> Prepared:
        """Return ``prepared`` to be drawn with the least work."""
        return replace(prepared, appearance=self._renderer.rough(prepared.appearance))

    def _hear_other(
        self, state: MotionState, audio: Audio, other: Audio | None, final: bool
    ) -> tuple[Any, Features | None]:
        """Return the extractor's state and rows of the other person's sound, None without one."""
        if state.other is None and other is None:
            return None, None
        if state.other is None and state.samples:
            raise InputError("The other person's sound must be given from the first step on.")
        before = self._features.start() if state.other is None else state.other
        sound = Audio(np.zeros(len(audio), np.float32)) if other is None else other
        if len(sound) != len(audio):
            raise InputError(
                f"The other person's sound has {len(sound)} samples, one's own {len(audio)}; "
                "give as many of both."
            )
        return self._features.step(before, sound, final)

    def draw(self, prepared: Prepared, motion: Motion, first: int = 0) -> list[Frame]:
        """Draw motion that is already known (a motion file); its frames count from ``first``."""
        return _drawn(self._renderer, prepared, motion, first)

    @property
    def follows(self) -> bool:
        """Whether the renderer reads driving videos itself (``follow``)."""
        return hasattr(self._renderer, "follower")

    def follow(
        self, prepared: Prepared, images: Iterable[ImageArray], options: Any = None
    ) -> Iterator[Frame]:
        """Yield the frames of somebody who does what the person in ``images`` does.

        ``images`` (h, w, 3) RGB uint8, one for each frame; ``options`` are the renderer's own.
        """
        driver, drawer = cast(Any, self._renderer).follower(options)
        count = 0
        for motion in driver.follow(prepared.appearance, images, self._fps):
            frames = _drawn(drawer, prepared, motion, count)
            count += len(frames)
            yield from frames


def _drawn(renderer: Any, prepared: Prepared, motion: Motion, first: int) -> list[Frame]:
    """Return the pictures of ``motion``, drawn together by renderers that know how to."""
    numbers = range(first, first + len(motion))
    moments = [motion[i : i + 1] for i in range(len(motion))]
    looks = [shown(prepared.appearance, n) for n in numbers]
    if hasattr(renderer, "draw_many"):
        images = renderer.draw_many(looks, motion)
    else:
        images = (renderer.draw(*pair) for pair in zip(looks, moments, strict=True))
    return [Frame(*parts) for parts in zip(images, numbers, moments, strict=True)]


Pieces = Iterable[tuple[FloatArray, FloatArray | None]]
"""Pieces of sound, one's own and the other's."""


def spoken(
    animator: Animator,
    prepared: Prepared,
    pieces: Pieces,
    seed: int,
    timeline: Timeline = NOTHING_ASKED,
) -> Generator[Frame, None, None]:
    """Play ``pieces`` of sound, one's own and the other's, as a live session does."""
    if isinstance(animator, MotionAnimator) and animator.works_ahead:
        moves = _moves(animator, prepared, pieces, seed, timeline)
        yield from overlapped(moves, partial(animator.draw, prepared))
        return
    state = animator.start(prepared, seed)
    for audio, other, final in _heard(pieces):
        state, new = animator.step(state, audio, timeline, final, other)
        yield from new


def _moves(
    animator: MotionAnimator, prepared: Prepared, pieces: Pieces, seed: int, timeline: Timeline
) -> Iterator[tuple[int, Motion]]:
    """Yield the motion that ``pieces`` of sound give, and the number of its first frame."""
    state = animator.start(prepared, seed)
    for audio, other, final in _heard(pieces):
        first = state.frames
        state, motion = animator.step_motion(state, audio, timeline, final, other)
        if len(motion):
            yield first, motion


def _heard(pieces: Pieces) -> Iterator[tuple[Audio, Audio | None, bool]]:
    """Yield ``pieces`` as sound, and whether they are final: nothing comes last."""
    for piece, heard in pieces:
        yield Audio(piece), None if heard is None else Audio(heard), False
    yield Audio(np.zeros(0, np.float32)), None, True


def frame_count(samples: int, fps: int) -> int:
    """Return how many frames belong to ``samples`` samples: ceil(samples * fps / SAMPLE_RATE)."""
    return -(-samples * fps // SAMPLE_RATE)
