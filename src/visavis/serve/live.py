"""A session with an audience: one task takes its moments and hands them to any number of readers.

A reader that is slow loses the oldest moments, one that is gone takes nothing along; neither
touches the session or the other readers. Whatever a session is limited by is counted in its own
frames, so that no clock is read here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from visavis.dialogue.base import Dialogue
from visavis.errors import InputError, SessionClosed, SessionError
from visavis.motion.keyframes import FIELDS
from visavis.provenance.badge import Badge
from visavis.serve.feeds import Fan, Feed
from visavis.serve.messages import problem, told
from visavis.serve.spoken import Pieces, Speaker
from visavis.stream.moments import Interrupted, Moment
from visavis.stream.session import Session
from visavis.timing import Stopwatch
from visavis.types import MOTION_FPS, FloatArray, Phase

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
    ``badge`` is drawn into each picture; None leaves it alone.
    """

    longest_s: int
    idle_s: int
    unwatched_s: int
    disclosure: str
    badge_text: str
    badge: Badge | None = None


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
        self._speaker = Speaker(session, lambda: session.queue_s, self._could_not_say)
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._dialogue: Dialogue | None = None
        self._is_answered = False
        self._over = asyncio.Event()
        self._on_over: list[Callable[[str], None]] = []
        self._speech_id: str | None = None
        self._phase = Phase.IDLE
        self._index = self._active = self._watched = 0
        self._counted = (0, 0)
        self._silence: Stopwatch | None = None
        self.ended_as = ""

    async def start(self) -> None:
        """Start the session and the task that takes its moments."""
        await self._stack.enter_async_context(self._session)
        self._task = asyncio.create_task(self._run(), name=f"session {self.session_id}")
        self._task.add_done_callback(self._finished)

    async def join(self, dialogue: Dialogue, kind: str) -> None:
        """Let ``dialogue`` hear the user and speak; the ``kind`` "none" only hears."""
        self._dialogue = await self._stack.enter_async_context(dialogue)
        self._is_answered = kind != "none"

    def when_over(self, call: Callable[[str], None]) -> None:
        """Call ``call(why)`` once the session is over."""
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

    # What is asked of the person.

    def speak(self, samples: FloatArray, rate: int, speech_id: str | None = None) -> None:
        """Take the next piece of an utterance; the first piece's ``speech_id`` names all of it.

        Raises:
            SessionError: a file or a text is being spoken, the queue is full, or it is over.
        """
        self._touch()
        if self._speaker.is_busy:
            raise SessionError("A file or a text is being spoken; interrupt it or wait.")
        self._speech_id = self._speech_id or speech_id
        self._session.push_audio(samples, rate, speech_id=self._speech_id)

    def end_speech(self) -> None:
        """The utterance of ``speak`` is complete."""
        self._touch()
        self._speech_id = None
        self._session.end_audio()

    def say(self, event_id: str, pieces: Pieces) -> None:
        """Speak what an iterator gives, after what is being said.

        Raises:
            SessionError: an utterance of ``speak`` has not ended, or too many wait.
        """
        self._touch()
        if self._speech_id is not None:
            raise SessionError("An utterance has not ended; send agent.speak_end first.")
        self._speaker.say(event_id, pieces)

    def interrupt(self) -> Interrupted:
        """Stop speaking at once; say how far it came."""
        self._touch()
        self._speaker.clear()
        self._speech_id = None
        self._silence = Stopwatch()
        waiting_s = self._session.queue_s
        said = None if self._dialogue is None else self._dialogue.interrupt()
        if said is None:
            return self._session.interrupt()
        return Interrupted(said.speech_id, said.position_s, waiting_s)

    def give_way(self) -> None:
        """Stop what was sent to be spoken, for the user speaks to the partner."""
        if self._is_answered and self._speaker.is_busy:
            self._speaker.clear()
            self._session.interrupt()

    def ask(self, text: str) -> None:
        """Take ``text`` as what the user says to the partner.

        Raises:
            SessionError: nobody answers here.
        """
        self._touch()
        if self._dialogue is None or not self._is_answered:
            raise SessionError("Nobody answers in this session; open one with an agent.")
        self._dialogue.ask(text)

    def say_by_partner(self, text: str) -> bool:
        """Let the partner say ``text``; False if there is none that talks."""
        self._touch()
        if self._dialogue is None or not self._is_answered:
            return False
        self._speaker.call(self._dialogue.say(text))
        return True

    def resume(self) -> float:
        """Say what the last interruption dropped; return the seconds queued again."""
        self._touch()
        return self._session.resume()

    def set_state(self, phase: Phase | None) -> None:
        """Set what the person does; None: as the sound has it."""
        self._touch()
        self._session.set_state(phase)

    def set_control(self, controls: Mapping[str, Any]) -> None:
        """Change ``controls``, words or values of motion/keyframes.py by name.

        Raises:
            InputError: a control or its value is not known.
        """
        self._touch()
        unknown = sorted(set(controls) - set(FIELDS))
        if unknown:
            raise InputError(
                f"No control is called {unknown[0][:40]!r}. Known: {', '.join(FIELDS)}."
            )
        try:
            self._session.set_control(**controls)
        except OverflowError as error:
            raise InputError("A number is too large for a control.") from error

    def hear(self, samples: FloatArray, rate: int) -> None:
        """Take what the user says, (n,) float32; it keeps no session open by itself."""
        self._check()
        if self._dialogue is not None:
            self._dialogue.hear(samples, rate)
        else:
            self._session.push_user_audio(samples, rate)

    def user_started(self) -> None:
        """The user began to speak."""
        self._touch()
        self._session.user_started()

    def user_ended(self) -> None:
        """The user has finished."""
        self._touch()
        self._session.user_ended()

    def keep_alive(self) -> None:
        """Count as activity."""
        self._touch()

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
            self._speaker.clear()
            await self._stack.aclose()
            events.cancel()

    def _show(self, moment: Moment) -> None:
        """Hand ``moment`` to the readers."""
        self._index, self._phase = moment.index, moment.phase
        if moment.phase is Phase.SPEAKING:
            self._active = moment.index
        elif self._silence is not None:
            self._observer.silenced(self._silence.elapsed_s())
            self._silence = None
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
        self._moments.close()
        self._messages.close()
        for call in self._on_over:
            call(self.ended_as)
        self._on_over.clear()

    def _check(self) -> None:
        """Refuse what comes after the end."""
        if self._over.is_set():
            raise SessionClosed("The session is over; open another one.")

    def _touch(self) -> None:
        """Note that somebody asked something."""
        self._check()
        self._active = self._index

    def _could_not_say(self, event_id: str, why: str) -> None:
        """Tell that an utterance could not be spoken."""
        self.tell(problem("not_spoken", why, event_id))
