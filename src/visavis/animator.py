"""THE seam: sound goes in, frames of one portrait come out, live and offline alike.

An animator holds weights; a session holds the state. ``animate()`` and a live server call the same
``step``, with large or small pieces of sound, and get the same frames, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from visavis.audio.features import FeatureExtractor
from visavis.motion.base import MotionModel
from visavis.motion.filters import ResampleState, start_resample, step_resample
from visavis.render.base import Renderer
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, Frame, Motion, Phase, Portrait


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
        self, state: Any, audio: Audio, phase: Phase = Phase.SPEAKING, final: bool = False
    ) -> tuple[Any, list[Frame]]:
        """Take the next piece of sound; return the new state and the frames now known.

        After the last piece (``final``) exactly ``ceil(samples * fps / SAMPLE_RATE)`` frames have
        come out.
        """
        ...


@dataclass(frozen=True)
class MotionState:
    """One session of a ``MotionAnimator``. Its size does not depend on how long it has run.

    ``features``, ``motion`` and ``rate`` are the states of the extractor, the motion model and the
    change of frame rate; ``samples`` and ``frames`` count what went in and what came out.
    """

    prepared: Prepared
    features: Any
    motion: Any
    rate: ResampleState
    samples: int = 0
    frames: int = 0


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
        features, motion = self._features.start(), self._motion.start(seed)
        return MotionState(prepared, features, motion, start_resample())

    def step(
        self, state: MotionState, audio: Audio, phase: Phase = Phase.SPEAKING, final: bool = False
    ) -> tuple[MotionState, list[Frame]]:
        """Take the next piece of sound; return the new state and the frames now known."""
        features_state, features = self._features.step(state.features, audio, final)
        motion_state, motion = self._motion.step(state.motion, features, phase, final)
        rate, due = step_resample(state.rate, motion, self._fps, final)
        samples = state.samples + len(audio)
        if final:
            due = due[: frame_count(samples, self._fps) - state.frames]
        frames = self.draw(state.prepared, due, state.frames)
        after = MotionState(
            state.prepared, features_state, motion_state, rate, samples, state.frames + len(due)
        )
        return after, frames

    def draw(self, prepared: Prepared, motion: Motion, first: int = 0) -> list[Frame]:
        """Draw motion that is already known (a motion file); its frames count from ``first``."""
        moments = (motion[i : i + 1] for i in range(len(motion)))
        return [
            Frame(self._renderer.draw(prepared.appearance, moment), first + i, moment)
            for i, moment in enumerate(moments)
        ]


def frame_count(samples: int, fps: int) -> int:
    """Return how many frames belong to ``samples`` samples: ceil(samples * fps / SAMPLE_RATE)."""
    return -(-samples * fps // SAMPLE_RATE)
