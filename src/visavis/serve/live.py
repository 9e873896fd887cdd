"""A session with an audience: one task takes its moments and hands them to any number of readers.

A reader that is slow loses the oldest moments, one that is gone takes nothing along; neither
touches the session or the other readers. Whatever a session is limited by is counted in its own
frames, so that no clock is read here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from visavis.dialogue.base import Dialogue
from visavis.provenance.badge import Badge
from visavis.provenance.sign import Facts
from visavis.serve.feeds import Fan, Feed
from visavis.serve.messages import told
from visavis.serve.person import Person
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.types import MOTION_FPS, Phase

_LOG = logging.getLogger(__name__)

CAPACITY = 8
"""Moments that wait for a reader unless it asks for more or fewer."""
_MESSAGES = 256


class Observer(Protocol):
    """What counts for all sessions together."""

    def shown(self, frames: int, late: int) -> None:
        """``frames`` more were shown, ``late`` of them the same picture again."""
        ...

    def began(self, seconds: float) -> None:
        """An utterance was first seen ``seconds`` after its first sample came."""
        ...

    def silenced(self, seconds: float) -> None:
        """It was silent ``seconds`` after an interruption."""
        ...


@dataclass(frozen=True)
class Terms:
    """What a session is opened with: its limits in seconds, and what people are told.

    ``idle_s`` without a request or a word, ``unwatched_s`` without a reader, ``longest_s`` in all.
    ``badge`` is drawn into each picture; None leaves it alone. ``facts`` are for recordings.
    """

    longest_s: int
    idle_s: int
    unwatched_s: int
    disclosure: str
    badge_text: str
    badge: Badge | None = None
    facts: Facts = field(default_factory=Facts)


class LiveSession:
    """One session, its readers, and the messages about it. All calls on the event loop's thread."""

    def __init__(self, session_id: str, session: Session, terms: Terms, observer: Observer) -> None:
        """Wrap ``session``, which is not started yet; ``observer`` counts with others."""
        self.session_id = session_id
        self._session = session
        self.terms = terms
        self._observer = observer
        self._moments: Fan[Moment] = Fan()
        self._messages: Fan[dict[str, Any]] = Fan()
        self.person = Person(session, self.tell)
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._on_over: list[Callable[[str], None]] = []
        self._phase = Phase.IDLE
        self._index = self._active = self._watched = 0
        self._counted = (0, 0)
        self.ended_as = ""

    async def start(self) -> None:
        """Start the session and the task that takes its moments."""
        await self._stack.enter_async_context(self._session)
        self._task = asyncio.create_task(self._run(), name=f"session {self.session_id}")
        self._task.add_done_callback(self._finished)

    async def join(self, dialogue: Dialogue, kind: str) -> None:
        """Let ``dialogue`` hear the user and speak; the ``kind`` "none" only hears."""
        self.person.join(await self._stack.enter_async_context(dialogue), kind)

    def when_over(self, call: Callable[[str], None]) -> None:
        """Call ``call(why)`` once the session is over: at once if it is."""
        if self._over.is_set():
            call(self.ended_as)
        else:
            self._on_over.append(call)

    def subscribe(self, capacity: int = CAPACITY) -> Feed[Moment]:
        """Return a reader of the moments from now on; close it when done."""
        return self._moments.subscribe(capacity)

    def listen(self) -> Feed[dict[str, Any]]:
        """Return a reader of the messages from now on; the disclosure comes first."""
        feed = self._messages.subscribe(_MESSAGES)
        terms = self.terms
        told = {"text": terms.disclosure, "badge": terms.badge_text}
        feed.offer({"type": "session.disclosure", **told})
        feed.offer({"type": "session.state_updated", "state": self.state, "phase": self.phase})
        return feed

    def tell(self, message: dict[str, Any]) -> None:
        """Send ``message`` to everyone who listens."""
        self._messages.offer(message)

    @property
    def state(self) -> str:
        """Return "connecting" before the start, "connected", or "closed"."""
        if self._over.is_set():
            return "closed"
        return "connecting" if self._task is None else "connected"

    @property
    def phase(self) -> str:
        """Return what the person does: "idle", "listening" or "speaking"."""
        return self._phase.value

    @property
    def viewers(self) -> int:
        """Return how many read the moments."""
        return len(self._moments)

    @property
    def listeners(self) -> int:
        """Return how many read the messages."""
        return len(self._messages)

    @property
    def age_s(self) -> float:
        """Return how long the session has been shown."""
        return self._index / MOTION_FPS

    def numbers(self) -> dict[str, float]:
        """Return the machinery's own numbers, by name."""
        told = {**self._session.stats().summary(), "queue_s": self._session.queue_s}
        return {name: round(value, 3) for name, value in told.items()}

    async def over(self) -> None:
        """Return when the session is over."""
        await self._over.wait()

    async def close(self, why: str = "closed") -> None:
        """End the session and every reader; twice is as good as once."""
        self.ended_as = self.ended_as or why
        if self._task is None:
            self._finish()
        elif not self._over.is_set():
            self._task.cancel()
        await self._over.wait()
        await self._stack.aclose()  # a task that is cancelled before it began has closed nothing

    # The machinery.

    async def _run(self) -> None:
        """Hand out the moments until the session ends or a limit is reached."""
        events = asyncio.create_task(self._tell_events(), name=f"events {self.session_id}")
        try:
            async for moment in self._session:
                self._show(moment)
                if moment.index % MOTION_FPS == 0 and self._limit():
                    break
        finally:
            self.tell({"type": "session.state_updated", "state": "closing"})
            self.person.end()
            await self._stack.aclose()
            events.cancel()

    def _show(self, moment: Moment) -> None:
        """Hand ``moment`` to the readers."""
        self._index, self._phase = moment.index, moment.phase
        person = self.person
        if moment.phase is Phase.SPEAKING or person.was_asked:
            self._active, person.was_asked = moment.index, False
        if moment.speech_id is None and person.silence is not None:
            self._observer.silenced(person.silence.elapsed_s())
            person.silence = None
        if self._moments or self._messages:
            self._watched = moment.index
        if not self._moments:
            return
        if self.terms.badge is not None:
            moment = replace(moment, image=self.terms.badge.draw(moment.image, moment.index))
        self._moments.offer(moment)

    def _limit(self) -> bool:
        """Once a second: tell the numbers; return whether the session must end, and note why."""
        self._count()
        ends = {
            "too_long": self.terms.longest_s * MOTION_FPS <= self._index,
            "idle": self.terms.idle_s * MOTION_FPS <= self._index - self._active,
            "unwatched": self.terms.unwatched_s * MOTION_FPS <= self._index - self._watched,
        }
        self.ended_as = self.ended_as or next((why for why, is_so in ends.items() if is_so), "")
        return bool(self.ended_as)

    def _count(self) -> None:
        """Tell how many frames there were since the last time, and all numbers."""
        stats, (frames, late) = self._session.stats(), self._counted
        self._counted = (stats.frames, stats.late_frames)
        new, new_late = stats.frames - frames, stats.late_frames - late
        self._observer.shown(new, new_late)
        numbers = {"type": "metrics.frame", "index": self._index, "fps": new - new_late}
        self.tell({**numbers, "phase": self.phase, **self.numbers()})

    async def _tell_events(self) -> None:
        """Send a message about each event of the session."""
        async for event in self._session.events:
            if event.kind == "failed":
                self.ended_as = self.ended_as or "failed"
            shown_ms = self._session.stats().shown_ms
            if event.kind == "speak_started" and shown_ms:
                self._observer.began(shown_ms[-1] / 1000)
            message = told(event)
            if message is not None:
                self.tell(message)

    def _finished(self, task: asyncio.Task[None]) -> None:
        """The task is over: log what nobody expected, and say goodbye."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.ended_as = "failed"
            _LOG.error("session failed", exc_info=error, extra={"session": self.session_id})
        self._finish()

    def _finish(self) -> None:
        """Close every reader and tell those who want to know."""
        self.ended_as = self.ended_as or "ended"
        self.tell({"type": "session.state_updated", "state": "closed", "reason": self.ended_as})
        self._over.set()
        self.person.end()
        self._moments.close()
        self._messages.close()
        for call in self._on_over:
            call(self.ended_as)
        self._on_over.clear()
