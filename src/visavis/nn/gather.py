"""Calls of several threads put together: what waits while one call runs becomes the next one.

A network on a GPU serves one caller at a time, and several pictures in one call cost less than in
several. Whoever finds nobody at work works, for all who wait; whoever comes meanwhile waits for one
of those whose turn is next. So nobody waits for company, and batches grow with the load.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _Call(Generic[T]):
    """What one thread wants: ``items``; ``woken`` when they are done, or when it is to work."""

    items: Sequence[T]
    woken: threading.Event = field(default_factory=threading.Event)
    results: list[Any] | None = None
    error: Exception | None = None


class Gathered(Generic[T, R]):
    """A function of a list of items that threads may call at the same time."""

    def __init__(self, function: Callable[[list[T]], Sequence[R]], most: int = 16) -> None:
        """Call ``function`` with ``most`` items at a time at most, unless one caller has more.

        It gives back one result for each item, in order; only one call of it runs at a time.
        """
        self._function = function
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Call[T]] = deque()
        self._is_busy = False

    def __call__(self, items: Sequence[T]) -> list[R]:
        """Return the results for ``items``; what the function raises is raised for all in it."""
        call = _Call(items)
        with self._lock:
            self._waiting.append(call)
            is_turn, self._is_busy = not self._is_busy, True
        if not is_turn:
            call.woken.wait()
        if call.results is None and call.error is None:
            self._work(self._next())
        if call.error is not None:
            raise call.error
        assert call.results is not None
        return call.results

    def _next(self) -> list[_Call[T]]:
        """Take the calls that wait, the oldest first, as many as go together."""
        with self._lock:
            calls = [self._waiting.popleft()]
            size = len(calls[0].items)
            while self._waiting and size + len(self._waiting[0].items) <= self._most:
                calls.append(self._waiting.popleft())
                size += len(calls[-1].items)
            return calls

    def _work(self, calls: list[_Call[T]]) -> None:
        """Do ``calls`` together, tell their threads, and hand the work on."""
        error: Exception | None = InterruptedError("The thread that worked was stopped.")
        results: list[Any] = []
        try:
            results = list(self._function([item for call in calls for item in call.items]))
            error = None
        except Exception as raised:  # noqa: BLE001 - it belongs to those who asked
            error = raised
        finally:
            for call in calls:
                call.results = results[: len(call.items)]
                call.error = error
                results = results[len(call.items) :]
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            for call in calls:
                call.woken.set()
            if following is not None:
                following.woken.set()
