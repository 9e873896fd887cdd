"""The one file that reads the clock: how long things took, and how late they were.

Nothing here steers what is computed; frames depend on sample and frame counts alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


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
