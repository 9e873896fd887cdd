"""The motion-model protocol: rows of speech evidence in, frames of face and head motion out."""

from __future__ import annotations

from typing import Any, Protocol

from visavis.motion.controls import Timeline
from visavis.types import Features, Motion


class LiveMotion(Protocol):
    """What a motion model offers a live session besides: motion on demand, and taken back."""

    def start(self, seed: int, appearance: Any = None) -> Any:
        """Return the state of a fresh session; ``appearance`` is what the renderer prepared.

        Models that move every face alike do not look at it.
        """
        ...

    def extend(
        self,
        state: Any,
        features: Features | None,
        timeline: Timeline,
        frames: int,
        other: Features | None = None,
    ) -> tuple[Any, Motion]:
        """Make the next ``frames`` frames now from the rows known from the first of them on."""
        ...

    def cut(self, state: Any, frame: int) -> Any:
        """Return ``state`` as if its last chunk had ended before ``frame``."""
        ...


class MotionModel(Protocol):
    """Turns features into motion. Holds weights, never a conversation.

    The state is a frozen dataclass that can be copied and pickled; randomness is in it. Whatever
    the cutting of the features into pieces, the frames are the same. After the last piece
    (``final``) exactly ``ceil(rows * fps / rate)`` frames have come out; frame ``n`` goes with the
    sound at ``n / fps`` seconds.
    """

    @property
    def fps(self) -> int:
        """Frames per second of the motion."""
        ...

    @property
    def look_ahead_samples(self) -> int:
        """Samples after a frame's instant whose features it needs, beyond those of the features."""
        ...

    @property
    def hears_others(self) -> bool:
        """Whether the other person's rows, ``other``, make a difference."""
        ...

    def start(self, seed: int, appearance: Any = None) -> Any:
        """Return the state of a fresh session; ``appearance`` is what the renderer prepared.

        Models that move every face alike do not look at it.
        """
        ...

    def step(
        self,
        state: Any,
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Features | None = None,
    ) -> tuple[Any, Motion]:
        """Take the next rows; return the new state and the frames now known (maybe none).

        ``timeline`` says what frame ``n`` is asked to do at ``n / fps`` seconds; a frame that has
        come out stays as it is. ``other`` the rows of the other person's sound in a conversation,
        as many as ``features``; None: nothing is heard of anybody else.
        """
        ...
