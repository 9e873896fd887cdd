"""One live conversation: sound in at any pace, pictures and sound out on the grid.

``async for moment in session`` hands out frame ``n`` at ``n / 25`` seconds with the sound that is
heard meanwhile: sound is the master, and a picture that is not ready in time is replaced by the one
before. Pictures are made on the crew's threads, the most urgent of all sessions first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from functools import partial
from types import TracebackType
from typing import Any

from visavis.animator import LiveAnimator, Prepared
from visavis.errors import InputError, SessionClosed
from visavis.motion.keyframes import changed
from visavis.stream.grid import Grid
from visavis.stream.moments import Event, Interrupted, Moment
from visavis.stream.overload import LEVELS, Load, is_drawn, judged
from visavis.stream.score import Planned, Score
from visavis.stream.settings import Settings, as_sound
from visavis.stream.stats import Stats
from visavis.stream.worker import Crew, Done
from visavis.timing import SYSTEM, Clock
from visavis.types import FloatArray, ImageArray, Motion, Phase

_EVENTS = 512
"""How many events wait for a reader, at most."""


class Life(Enum):
    """NEW until it is entered, CLOSED when it is over."""

    NEW = "new"
    LIVE = "live"
    CLOSED = "closed"


class Session:
    """One conversation with one portrait. Everything is called on the event loop's thread."""

    def __init__(
        self,
        animator: LiveAnimator,
        prepared: Prepared,
        crew: Crew,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        clock: Clock = SYSTEM,
    ) -> None:
        """Be about to play ``prepared`` with ``animator`` on the threads of ``crew``."""
        self._animator = animator
        self._looks = (prepared, animator.rough(prepared))
        self._crew = crew
        self._settings = settings
        self._grid = Grid(clock)
        self._score = Score(
            animator, prepared, settings.seed, settings.sound_rate, settings.plan,
            settings.longest_queue_s,
        )  # fmt: skip
        self._life = Life.NEW
        self._drawn: dict[int, tuple[Motion | None, ImageArray]] = {}
        self._last_image: ImageArray | None = None
        self._load = Load()
        self._draw_ms = 20.0
        self._speaking: str | None = None
        self._shown_phase = Phase.IDLE
        self._events: asyncio.Queue[Event] = asyncio.Queue(_EVENTS)
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self._director: asyncio.Task[None] | None = None
        self._stats = Stats()
        self.error: BaseException | None = None

    # ---- life

    async def __aenter__(self) -> Session:
        """Begin to live."""
        if self._life is not Life.NEW:
            raise SessionClosed("This session has been used. Make another one.")
        self._life = Life.LIVE
        self._director = asyncio.create_task(self._direct(), name="visavis-session")
        self._director.add_done_callback(self._check_director)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End the session; closing twice does no harm."""
        if self._life is Life.CLOSED:
            return
        self._life = Life.CLOSED
        self._tell("closed")
        self._ready.set()
        if self._director is not None:
            self._director.cancel()
            await asyncio.gather(self._director, return_exceptions=True)

    @property
    def is_live(self) -> bool:
        """Whether it has begun and not ended."""
        return self._life is Life.LIVE

    def _check_live(self) -> None:
        if self._life is not Life.LIVE:
            why = f" ({self.error})" if self.error else ""
            raise SessionClosed(f"This session is {self._life.value}{why}. Enter another one.")

    # ---- what goes in

    def push_audio(
        self, samples: FloatArray, rate: int, speech_id: str | None = None
    ) -> str | None:
        """Queue the next piece (n,) of speech, at its own pace; return the utterance's name.

        Float in [-1, 1] or int16. A piece after ``end_audio``, or with another ``speech_id``,
        begins the next utterance.

        Raises:
            QueueFull: too much waits. SessionClosed: it is not live. InputError: not sound.
        """
        self._check_live()
        sound = as_sound(samples, rate)
        if not len(sound):
            return speech_id
        name = self._score.push(sound, rate, speech_id)
        self._stats.pushed(name, self._grid.now_ns())
        self._wake.set()
        return name

    def end_audio(self) -> None:
        """Complete the utterance; what is pushed next is another one."""
        self._check_live()
        self._score.end()
        self._wake.set()

    def push_user_audio(self, samples: FloatArray, rate: int) -> None:
        """Take what the user says as it is heard; the face listens to it."""
        self._check_live()
        sound = as_sound(samples, rate)
        if len(sound):
            self._score.overhear(sound, rate)

    def user_started(self) -> None:
        """The user begins to speak."""
        self._check_live()
        self._score.user(is_speaking=True)
        self._wake.set()

    def user_ended(self) -> None:
        """The user has ended."""
        self._check_live()
        self._score.user(is_speaking=False)
        self._wake.set()

    def interrupt(self) -> Interrupted:
        """Be silent at once: drop waiting sound and pictures; return where speech stopped."""
        self._check_live()
        stopped = self._score.interrupt()
        if stopped.speech_id is not None or stopped.dropped_s:
            self._tell("speak_interrupted", stopped.speech_id, stopped.position_s)
        self._speaking = None
        self._wake.set()
        return stopped

    def resume(self) -> float:
        """Say what the last interruption dropped; return its seconds, 0 if there is nothing."""
        self._check_live()
        seconds = self._score.resume()
        self._wake.set()
        return seconds

    def set_state(self, phase: Phase | None) -> None:
        """Listen or idle until told otherwise; None: as it follows from what is heard.

        Whoever has something to say speaks in any case.
        """
        self._check_live()
        self._score.force(phase)
        self._wake.set()

    def set_control(self, **words: Any) -> None:
        """Change controls (fields of ``Controls``, in the words of motion/keyframes.py).

        Raises:
            InputError: a control or its value is unknown; ``phase`` is ``set_state``'s.
        """
        self._check_live()
        if "phase" in words:
            raise InputError("The phase is no control of a live session. Use set_state.")
        self._score.control(changed(self._score.controls, words))
        self._wake.set()

    # ---- what comes out

    @property
    def queue_s(self) -> float:
        """Seconds of speech that wait to be heard."""
        return self._score.queue_s

    @property
    def phase(self) -> Phase:
        """What it does in the frame handed out last."""
        return self._shown_phase

    @property
    def events(self) -> AsyncIterator[Event]:
        """What happens; one reader. It ends with "closed" or "failed"."""
        return self._happenings()

    async def _happenings(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if event.kind in ("closed", "failed"):
                return

    def stats(self) -> Stats:
        """Return what it has done so far; the object goes on counting."""
        return self._stats

    def __aiter__(self) -> AsyncIterator[Moment]:
        """Iterate over the moments to come; one reader."""
        return self._moments()

    async def _moments(self) -> AsyncIterator[Moment]:
        self._check_live()
        while await self._due():
            yield self._hand_out()

    async def _due(self) -> bool:
        """Wait until the next frame is to be handed out; False: the session is over."""
        score = self._score
        is_waited_for = not self._grid.has_begun or not self._settings.is_paced
        while is_waited_for and self.is_live and not self._is_there(score.next):
            self._ready.clear()
            await self._ready.wait()
        if self._settings.is_paced and self.is_live:
            await self._grid.wait(score.next)
        return self.is_live

    def _is_there(self, index: int) -> bool:
        """Return whether frame ``index`` has been drawn, or is not to be."""
        planned = self._score.planned
        if not planned or planned[0].index != index:
            return False
        is_left_out = self._last_image is not None and not is_drawn(self._load.level, index)
        return is_left_out or self._has_drawn(planned[0])

    def _has_drawn(self, frame: Planned) -> bool:
        """Return whether the picture of ``frame`` is there, of this very motion."""
        return frame.index in self._drawn and self._drawn[frame.index][0] is frame.motion

    def _hand_out(self) -> Moment:
        """Return the next moment, and note what happened."""
        index = self._score.next
        is_late = not self._is_there(index)
        frame = self._score.take()
        _, image = self._drawn.pop(index, (None, self._last_image))
        assert image is not None, index
        self._last_image = image
        self._note(frame, is_late)
        self._wake.set()
        return Moment(
            index=index,
            image=image,
            sound=frame.sound,
            rate=self._settings.sound_rate,
            phase=frame.phase,
            is_fresh=not is_late,
            speech_id=frame.speech_id,
            motion=frame.motion,
        )

    def _note(self, frame: Planned, is_late: bool) -> None:
        """Count the frame handed out, judge the load, tell what changed."""
        self._stats.frames += 1
        self._stats.late_frames += int(is_late)
        for index in [i for i in self._drawn if i < frame.index]:
            del self._drawn[index]
        if self._settings.is_paced:
            self._load = judged(self._load, is_late)
            self._score.keep = 2 if self._load.strain > 0 or self._load.level else 1
        if self._load.level != self._stats.level:
            self._stats.level = self._load.level
            self._tell("quality_changed", detail=str(self._load.level), index=frame.index)
        if frame.speech_id != self._speaking:
            self._change_speech(frame)
        if frame.phase is not self._shown_phase:
            self._shown_phase = frame.phase
            self._tell("state_changed", detail=frame.phase.value, index=frame.index)

    def _change_speech(self, frame: Planned) -> None:
        if self._speaking is not None:
            self._tell("speak_ended", self._speaking, index=frame.index)
        self._speaking = frame.speech_id
        if frame.speech_id is None:
            return
        self._tell("speak_started", frame.speech_id, index=frame.index)
        self._stats.shown(frame.speech_id, self._grid.now_ns())

    def _tell(
        self,
        kind: str,
        speech_id: str | None = None,
        position_s: float = 0.0,
        detail: str = "",
        index: int | None = None,
    ) -> None:
        """Queue an event of frame ``index``, by default the next one; unread, the oldest go."""
        if self._events.full():
            self._events.get_nowait()
        at = self._score.next if index is None else index
        self._events.put_nowait(Event(kind, at, speech_id, position_s, detail))

    # ---- what is made

    async def _direct(self) -> None:
        """Have motion made and pictures drawn, one job at a time, until the session ends."""
        while self.is_live:
            self._wake.clear()
            if not await self._work():
                await self._wake.wait()

    async def _work(self) -> bool:
        """Do the most urgent job; return whether there was one."""
        ahead, score = self._settings.ahead, self._score
        move = score.next_move(ahead, may_gap=self._settings.is_paced)
        if score.speech is not None:
            self._stats.begun(*score.speech, self._grid.now_ns())
        frame = self._to_draw()
        if move is not None and (frame is None or len(score.planned) < ahead):
            done = await self._crew.run(move.run, self._grid.due_ns(score.made))
            if self._is_fine(done, "move"):
                score.accept(move, *done.value)
        elif frame is not None:
            await self._draw(frame)
        return move is not None or frame is not None

    def _to_draw(self) -> Planned | None:
        """Return the frame to draw now: the first that is missing and can still be in time."""
        missing = [
            p for p in self._score.planned
            if p.index < self._score.next + self._settings.ahead
            and not self._has_drawn(p)
            and (is_drawn(self._load.level, p.index) or self._last_image is None)
        ]  # fmt: skip
        if not self._settings.is_paced or not self._grid.has_begun:
            return missing[0] if missing else None
        ready = self._grid.now_ns() + 1e6 * self._draw_ms
        in_time = [p for p in missing if self._grid.due_ns(p.index) >= ready]
        return next(iter(in_time or missing[-1:]), None)

    async def _draw(self, frame: Planned) -> None:
        """Draw ``frame`` and keep its picture, unless it has been taken back meanwhile."""
        assert frame.motion is not None
        look, motion, index = self._looks[LEVELS[self._load.level][0]], frame.motion, frame.index
        draw = partial(self._animator.draw, look, motion, index)
        done = await self._crew.run(draw, self._grid.due_ns(index))
        if not self._is_fine(done, "draw"):
            return
        self._stats.drawn += 1
        self._draw_ms += 0.1 * (done.ms - self._draw_ms)
        if any(p.motion is motion for p in self._score.planned):
            self._drawn[index] = (motion, done.value[0].image)
            self._stats.made(index, self._grid.now_ns())
            self._ready.set()

    def _is_fine(self, done: Done, stage: str) -> bool:
        """Count the job; an error ends this session."""
        self._stats.stage_ms[stage] += done.ms
        if done.error is not None:
            self._fail(done.error)
        return self.is_live

    def _check_director(self, task: asyncio.Task[None]) -> None:
        """See to it that a session whose planning fails ends, and does not just stand still."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End the session because of ``error``."""
        if self._life is Life.LIVE:
            self.error = error
            self._life = Life.CLOSED
            self._tell("failed", detail=f"{type(error).__name__}: {error}")
            self._ready.set()
