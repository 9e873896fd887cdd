"""Utterances that come from an iterator (a sound file, a voice) into a session, in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol

from visavis.errors import QueueFull, VisavisError
from visavis.types import FloatArray

_LOG = logging.getLogger(__name__)

Pieces = Iterator[tuple[FloatArray, int]]
"""Pieces of sound (n,) float32 in [-1, 1] and their rate; asked for in a thread."""

MOST_WAITING = 8
AHEAD_S = 5.0
"""Seconds of sound that may wait in the session before the next piece is asked for."""
_LOOK_S = 0.1


class Mouth(Protocol):
    """Where the sound goes: what a ``Speaker`` needs of a session."""

    def push_audio(self, samples: FloatArray, rate: int, speech_id: str | None = None) -> object:
        """Take the next piece of what is said."""
        ...

    def end_audio(self) -> None:
        """End the utterance."""
        ...


class Speaker:
    """Speaks utterances one after another; none is read faster than the session takes it."""

    def __init__(
        self, mouth: Mouth, waiting_s: Callable[[], float], failed: Callable[[str, str], None]
    ) -> None:
        """Speak into ``mouth``, where ``waiting_s`` are queued; ``failed`` hears (id, why)."""
        self._mouth = mouth
        self._waiting_s = waiting_s
        self._failed = failed
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Tell whether an utterance is being read or waits."""
        return bool(self._tasks)

    def say(self, event_id: str, pieces: Pieces) -> None:
        """Speak ``pieces`` after what is being said already.

        Raises:
            QueueFull: ``MOST_WAITING`` utterances wait.
        """
        if len(self._tasks) >= MOST_WAITING:
            raise QueueFull(f"{MOST_WAITING} utterances wait to be spoken; wait or interrupt.")
        self._keep(asyncio.create_task(self._speak(event_id, pieces), name="utterance"))

    async def _speak(self, event_id: str, pieces: Pieces) -> None:
        """Push ``pieces`` as the session has room for them."""
        async with self._turn:
            try:
                while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                    await self._room()
                    self._mouth.push_audio(*piece, speech_id=event_id)
            except VisavisError as error:
                self._failed(event_id, str(error))
            self._mouth.end_audio()

    async def _room(self) -> None:
        """Wait until the session has little left to say."""
        while self._waiting_s() > AHEAD_S:
            await asyncio.sleep(_LOOK_S)

    def _over(self, task: asyncio.Task[Any]) -> None:
        """Take ``task`` off the list; what nobody expected goes to the log."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("an utterance failed", exc_info=error)

    def call(self, event_id: str, work: Coroutine[Any, Any, object]) -> None:
        """Do ``work``, which speaks by itself; it is forgotten with the rest."""
        self._keep(asyncio.create_task(self._await(event_id, work), name="utterance"))

    async def _await(self, event_id: str, work: Coroutine[Any, Any, object]) -> None:
        """Do ``work``; tell why it could not be done."""
        try:
            await work
        except VisavisError as error:
            self._failed(event_id, str(error))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        """Put ``task`` on the list."""
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def clear(self) -> None:
        """Forget everything that is not in the session yet."""
        for task in tuple(self._tasks):
            task.cancel()
