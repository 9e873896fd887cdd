"""One encoder's work away from the event loop, one call at a time, and never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Away:
    """Runs the calls of one owner in threads, each after the one before.

    A cancelled owner leaves its last call running (a thread cannot be stopped); ``last`` waits for
    that before it makes the call that lets go of everything.
    """

    def __init__(self) -> None:
        """Start with nothing running."""
        self._running: asyncio.Future[Any] | None = None

    async def run(
        self,
        call: Callable[Arguments, Answer],
        *given: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Answer:
        """Return ``call(*given, **named)``, made in a thread."""
        running = asyncio.ensure_future(asyncio.to_thread(call, *given, **named))
        self._running = running
        return await asyncio.shield(running)

    async def last(self, call: Callable[[], None]) -> None:
        """Make ``call`` once whatever still runs is over, even if the owner is being cancelled."""
        before = self._running
        await asyncio.shield(asyncio.ensure_future(_after(before, call)))


async def _after(before: asyncio.Future[Any] | None, call: Callable[[], None]) -> None:
    """Make ``call`` in a thread when ``before`` is over, however it ended."""
    if before is not None:
        await asyncio.wait([before])
        if not before.cancelled():
            before.exception()  # its owner was told, or is gone
    await asyncio.to_thread(call)
