"""The grid of frames in time: frame ``n`` is due ``n`` slots of 40 ms after the first was shown."""

from __future__ import annotations

from visavis.timing import Clock
from visavis.types import MOTION_FPS

SLOT_NS = 1_000_000_000 // MOTION_FPS
_LOST_NS = 1_000_000_000
"""Whoever is so far behind does not catch up: the grid begins anew."""


class Grid:
    """When frames are due, by ``clock``."""

    def __init__(self, clock: Clock) -> None:
        """Begin when the first frame is waited for."""
        self._clock = clock
        self._start_ns: int | None = None
        self.rebased = 0

    @property
    def has_begun(self) -> bool:
        """Whether a frame has been shown."""
        return self._start_ns is not None

    def now_ns(self) -> int:
        """Return the time."""
        return self._clock.now_ns()

    def due_ns(self, index: int) -> int:
        """Return when frame ``index`` is due."""
        start = self._clock.now_ns() if self._start_ns is None else self._start_ns
        return start + index * SLOT_NS

    async def wait(self, index: int) -> None:
        """Return when frame ``index`` is due; the first that is waited for begins the grid."""
        now = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now - index * SLOT_NS
        if now - self.due_ns(index) > _LOST_NS:
            self._start_ns += now - self.due_ns(index)
            self.rebased += 1
        await self._clock.sleep_until(self.due_ns(index))
