"""The one file that reads the clock: how long things took, when a live frame is due.

Live sessions are given a ``Clock``: the system's, or one that tests move by hand. Nothing here
steers what an offline video shows; its frames depend on sample and frame counts alone.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numpy as np

Item = TypeVar("Item")


class Clock(Protocol):
    """Tells the time and wakes sleepers; integers in nanoseconds from any origin."""

    def now_ns(self) -> int:
        """Return the time; it never runs backwards."""
        ...

    async def sleep_until(self, instant_ns: int) -> None:
        """Return when it is ``instant_ns``, at once if that is over."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ns(self) -> int:
        """Return the time since some start."""
        return time.monotonic_ns()

    async def sleep_until(self, instant_ns: int) -> None:
        """Return when it is ``instant_ns``."""
        await asyncio.sleep(max(0, instant_ns - self.now_ns()) / 1e9)


class ManualClock:
    """A clock that stands still until it is moved, so that tests are instant and exact."""

    def __init__(self) -> None:
        """Start at 0."""
        self._now_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """Return the time."""
        return self._now_ns

    async def sleep_until(self, instant_ns: int) -> None:
        """Return when the clock has been moved to ``instant_ns``."""
        if instant_ns <= self._now_ns:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (instant_ns, self._count, woken))
        await woken

    async def advance(self, ns: int) -> None:
        """Move the clock on by ``ns``, waking sleepers one instant after the other."""
        end = self._now_ns + ns
        while self._sleepers and self._sleepers[0][0] <= end:
            instant, _, woken = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, instant)
            if not woken.done():
                woken.set_result(None)
            for _ in range(4):  # let what was woken go on, and sleep again
                await asyncio.sleep(0)
        self._now_ns = end


SYSTEM = SystemClock()
"""The clock that live sessions use unless they are given another."""


class Stopwatch:
    """Measures seconds since it was made, and sums the seconds spent in named stages."""

    def __init__(self) -> None:
        """Start the watch."""
        self._start_ns = time.perf_counter_ns()
        self._stages_ns: dict[str, int] = {}

    def elapsed_s(self) -> float:
        """Return the seconds since the watch was made."""
        return (time.perf_counter_ns() - self._start_ns) / 1e9

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to stage ``name``."""
        begin = time.perf_counter_ns()
        try:
            yield
        finally:
            spent = time.perf_counter_ns() - begin
            self._stages_ns[name] = self._stages_ns.get(name, 0) + spent

    def stages_ms(self, per: int = 1) -> dict[str, float]:
        """Return stage name -> milliseconds, divided by ``per`` (say, the number of frames)."""
        return {name: ns / 1e6 / max(per, 1) for name, ns in self._stages_ns.items()}


def paced(items: Iterable[Item], rate: float) -> Iterator[Item]:
    """Yield ``items``, the ``n``-th not before ``n / rate`` seconds after the first was asked for.

    Pauses do not add up: a late item shortens the wait for the next.
    """
    watch = Stopwatch()
    for n, item in enumerate(items):
        time.sleep(max(0.0, n / rate - watch.elapsed_s()))
        yield item


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` percent of ``values`` do not exceed."""
    return float(np.percentile(np.asarray(values), share))
