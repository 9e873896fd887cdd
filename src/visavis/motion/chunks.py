"""How many frames are made at a time: few at first, so that the first comes soon, then more.

Variable-length generation is LLIA's (one set of weights makes any chunk). A long chunk costs less a
frame and hears more at once, but its first frame waits until all of its sound is there. Sound that
comes faster than real time (a recording, synthetic speech) is best served by the growing plan;
sound that comes from a microphone by ``LIVE``, whose chunks stay short.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from visavis.errors import InputError
from visavis.types import MOTION_FPS

LONGEST_WINDOW = 4 * MOTION_FPS
"""Frames of context, chunk and look-ahead together that the network has been trained on."""


@dataclass(frozen=True)
class ChunkPlan:
    """Chunk ``i`` has ``first * growth^i`` frames, ``longest`` at most.

    ``ahead`` frames of sound after the chunk are heard (and their motion made and thrown away), so
    that its last mouth knows what comes. ``context`` past frames are continued, as far as there
    are any.

    Raises:
        InputError: a number does not fit; 2 <= first <= longest, growth >= 1.
    """

    first: int = 4
    growth: float = 2.0
    longest: int = 25
    ahead: int = 2
    context: int = 12

    def __post_init__(self) -> None:
        """Refuse chunks that the network has not been trained for."""
        if not 2 <= self.first <= self.longest or self.growth < 1.0:
            raise InputError(
                f"A chunk plan with first {self.first}, longest {self.longest}, growth "
                f"{self.growth} is impossible; 2 <= first <= longest and growth >= 1 is needed."
            )
        window = self.context + self.longest + self.ahead
        if min(self.ahead, self.context) < 0 or window > LONGEST_WINDOW:
            raise InputError(
                f"A chunk plan with context {self.context}, longest {self.longest}, ahead "
                f"{self.ahead} is impossible; none below 0 and {LONGEST_WINDOW} in all is needed."
            )

    def length(self, index: int) -> int:
        """Return the frames of chunk ``index``, counted from 0."""
        if self.growth == 1.0:
            return self.first
        if index >= math.log(self.longest / self.first, self.growth):
            return self.longest
        return int(self.first * self.growth**index)

    @property
    def longest_wait(self) -> int:
        """Frames of sound, its own included, that a frame waits for at most: it begins a chunk."""
        return (self.first if self.growth == 1.0 else self.longest) + self.ahead


LIVE = ChunkPlan(growth=1.0)
"""Four frames at a time for ever: 240 ms of look-ahead, for sound as it is spoken."""
