"""Threads that hear, move and draw for all sessions, the most urgent job first.

Jobs are plain calls that share nothing but weights; what they raise is handed to the session that
asked and to nobody else. Besides, ``media/place.py`` asks whether it is in the main thread, in
``nn/gather.py`` these threads share a network, and ``video/pipeline.py`` has threads where nothing
is live; no other file knows of them.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from visavis.machine import cpu_threads
from visavis.timing import Stopwatch

_LAST = float("inf")


@dataclass(frozen=True)
class Done:
    """What became of a job after ``ms`` milliseconds: its ``value``, or the ``error`` it raised."""

    value: Any
    error: Exception | None
    ms: float


class Crew:
    """A few threads for any number of sessions."""

    def __init__(self, threads: int | None = None) -> None:
        """Start ``threads`` threads, one for each core by default."""
        self._jobs: queue.PriorityQueue[tuple[float, int, Callable[[], None] | None]]
        self._jobs = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._threads = [
            threading.Thread(target=self._work, name=f"visavis-{i}", daemon=True)
            for i in range(threads or cpu_threads())
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, job: Callable[[], Any], deadline: float) -> Done:
        """Do ``job`` on a thread; those with the earliest ``deadline`` (ns) come first."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Done] = loop.create_future()

        def work() -> None:
            if not future.cancelled():
                done = _done(job)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_answer, future, done)

        self._jobs.put((deadline, next(self._numbers), work))
        return await future

    def _work(self) -> None:
        """Do jobs until there is one that is None."""
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do the most urgent job, and hold nothing of it after; return whether it was one."""
        work = self._jobs.get()[2]
        if work is not None:
            work()
        return work is not None

    def close(self) -> None:
        """End the threads when all jobs are done."""
        for _ in self._threads:
            self._jobs.put((_LAST, next(self._numbers), None))
        for thread in self._threads:
            thread.join()


def _done(job: Callable[[], Any]) -> Done:
    watch = Stopwatch()
    try:
        return Done(job(), None, 1000 * watch.elapsed_s())
    except Exception as error:  # noqa: BLE001 - the border of a session: its error, nobody else's
        return Done(None, error, 1000 * watch.elapsed_s())


def _answer(future: asyncio.Future[Done], done: Done) -> None:
    if not future.done():
        future.set_result(done)
