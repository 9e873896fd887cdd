"""Sessions on a real crew: pace, order, failures, endings."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from visavis.animator import MotionAnimator, Prepared
from visavis.errors import InputError, SessionClosed
from visavis.stream.grid import SLOT_NS
from visavis.stream.moments import Event, Moment
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.timing import SYSTEM, ManualClock
from visavis.types import Phase

FAST = Settings(is_paced=False, sound_rate=24_000)

Play = Callable[[Callable[[Session], Coroutine[Any, Any, Any]]], Any]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 30))


async def taken(session: Session, count: int) -> list[Moment]:
    moments = []
    async for moment in session:
        moments.append(moment)
        if len(moments) == count:
            return moments
    return moments


def play(
    animator: MotionAnimator,
    prepared: Prepared,
    act: Callable[[Session], Coroutine[Any, Any, Any]],
    settings: Settings = FAST,
) -> Any:
    async def whole() -> Any:
        crew = Crew(2)
        try:
            async with Session(animator, prepared, crew, settings) as session:
                return await act(session)
        finally:
            crew.close()

    return run(whole())


def test_frames_are_numbered_and_carry_their_sound(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    async def act(session: Session) -> list[Moment]:
        session.push_audio(speech[:32_000], 16_000, "hello")
        session.end_audio()
        return await taken(session, 70)

    moments = play(animator, prepared, act)
    assert [m.index for m in moments] == list(range(70))
    assert {m.image.shape for m in moments} == {(96, 96, 3)}
    assert {len(m.sound) for m in moments} == {960}
    assert all(m.is_fresh for m in moments)
    assert [m.speech_id for m in moments].count("hello") == 50
    moving = [np.abs(a.image.astype(int) - b.image).max() for a, b in zip(moments, moments[1:])]  # noqa: B905
    assert max(moving) > 20


def test_the_same_pushes_give_the_same_pictures(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    async def act(session: Session) -> list[Moment]:
        session.push_audio(speech[:16_000], 16_000)
        session.end_audio()
        return await taken(session, 40)

    one, two = (play(animator, prepared, act) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))


def test_events_tell_what_happens(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    firsts: list[int] = []

    async def act(session: Session) -> list[Event]:
        session.push_audio(speech[:16_000], 16_000, "a")
        session.end_audio()
        session.push_audio(speech[16_000:], 16_000, "b")
        session.end_audio()
        moments = await taken(session, 60)
        firsts.append(next(m.index for m in moments if m.speech_id == "a"))
        session.interrupt()
        await taken(session, 5)
        await session.close()
        return [event async for event in session.events]

    events = play(animator, prepared, act)
    kinds = [(e.kind, e.speech_id) for e in events if e.kind.startswith("speak")]
    assert kinds == [
        ("speak_started", "a"), ("speak_ended", "a"), ("speak_started", "b"),
        ("speak_interrupted", "b"),
    ]  # fmt: skip
    begun = next(e for e in events if e.kind == "speak_started")
    assert begun.index in firsts, "the frame in which it is first heard"
    stopped = next(e for e in events if e.kind == "speak_interrupted")
    assert stopped.position_s == pytest.approx((60 - 25) / 25, abs=0.09)
    states = [e.detail for e in events if e.kind == "state_changed"]
    assert states == ["speaking", "listening"]
    assert events[-1].kind == "closed"


def test_frames_come_on_the_grid(animator: MotionAnimator, prepared: Prepared) -> None:
    async def act(session: Session) -> list[int]:
        times = []
        async for _ in session:
            times.append(SYSTEM.now_ns())
            if len(times) == 26:
                return times
        return times

    times = play(animator, prepared, act, Settings())
    due = times[0] + np.arange(26) * SLOT_NS
    assert (np.array(times) - due > -1e6).all(), "early"
    assert np.median(np.array(times) - due) < SLOT_NS, "behind the grid by a frame"


def test_on_a_clock_moved_by_hand_sound_never_waits_for_pictures(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    blocked = threading.Event()

    class Slow(MotionAnimator):
        """Draws nothing while it is blocked."""

        def draw(self, *args: Any, **kwargs: Any) -> Any:
            blocked.wait(20)
            return animator.draw(*args, **kwargs)

    slow = Slow(animator._features, animator._motion, animator._renderer)  # noqa: SLF001

    async def whole() -> tuple[list[Moment], list[Event]]:
        crew, clock = Crew(1), ManualClock()
        blocked.set()
        async with Session(slow, prepared, crew, Settings(sound_rate=16_000), clock) as session:
            session.push_audio(speech[:48_000], 16_000)
            session.end_audio()
            moments: list[Moment] = []
            reader = asyncio.create_task(_read(session, moments))
            while len(moments) < 1:
                await asyncio.sleep(0.01)
            for i in range(90):
                if i in (20, 60):
                    blocked.clear() if i == 20 else blocked.set()
                await clock.advance(SLOT_NS)
                await asyncio.sleep(0.01)
            blocked.set()
            await session.close()
            await clock.advance(SLOT_NS)
            await reader
            events = [event async for event in session.events]
        await asyncio.to_thread(crew.close)
        return moments, events

    moments, events = run(whole())
    late = [m for m in moments if not m.is_fresh]
    assert len(late) >= 30
    heard = np.concatenate([m.sound for m in moments if m.speech_id])
    assert np.allclose(heard[:48_000], speech[:48_000], atol=1e-6), "sound broke"
    levels = [int(e.detail) for e in events if e.kind == "quality_changed"]
    assert levels[:3] == [1, 2, 3]


async def _read(session: Session, into: list[Moment]) -> None:
    async for moment in session:
        into.append(moment)  # noqa: PERF401


def test_a_failing_session_ends_alone(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    class Failing(MotionAnimator):
        """Cannot draw its tenth frame."""

        def draw(self, prepared: Any, motion: Any, first: int = 0) -> Any:
            if first == 10:
                raise ZeroDivisionError("no such frame")
            return animator.draw(prepared, motion, first)

    failing = Failing(animator._features, animator._motion, animator._renderer)  # noqa: SLF001

    async def whole() -> None:
        crew = Crew(2)
        bad = Session(failing, prepared, crew, FAST)
        good = Session(animator, prepared, crew, FAST)
        async with bad, good:
            lost, fine = await asyncio.gather(taken(bad, 40), taken(good, 40))
            assert len(lost) == 10
            assert len(fine) == 40
            assert isinstance(bad.error, ZeroDivisionError)
            events = [event async for event in bad.events]
            assert events[-1].kind == "failed"
            with pytest.raises(SessionClosed, match="no such frame"):
                bad.push_audio(speech, 16_000)
        crew.close()

    run(whole())


def test_a_session_whose_planning_fails_ends_too(
    animator: MotionAnimator, prepared: Prepared
) -> None:
    class Failing(MotionAnimator):
        """Cannot go back."""

        def cut(self, state: Any, frame: int) -> Any:
            raise RuntimeError("no way back")

    failing = Failing(animator._features, animator._motion, animator._renderer)  # noqa: SLF001

    async def act(session: Session) -> list[Moment]:
        async def speak_later() -> None:
            await asyncio.sleep(0.2)
            session.push_audio(np.ones(16_000, np.float32), 16_000)

        later = asyncio.create_task(speak_later())
        moments = await taken(session, 10_000)
        await later
        assert isinstance(session.error, RuntimeError)
        return moments

    assert len(play(failing, prepared, act, Settings())) < 100


def test_misuse_is_told(animator: MotionAnimator, prepared: Prepared, speech: np.ndarray) -> None:
    async def whole() -> None:
        crew = Crew(1)
        session = Session(animator, prepared, crew, FAST)
        with pytest.raises(SessionClosed, match="new"):
            session.push_audio(speech, 16_000)
        async with session:
            with pytest.raises(InputError, match="No control is called"):
                session.set_control(mood="good")
            with pytest.raises(InputError, match="set_state"):
                session.set_control(phase="idle")
            with pytest.raises(InputError, match="sound"):
                session.push_audio(np.zeros((2, 2)), 16_000)
            session.push_audio(np.zeros(0, np.float32), 16_000)
            session.set_control(emotion="happy", gaze="viewer", energy="1.2")
            session.set_state(Phase.LISTENING)
            assert (await taken(session, 12))[-1].phase is Phase.LISTENING
        with pytest.raises(SessionClosed, match="closed"):
            session.interrupt()
        with pytest.raises(SessionClosed):
            await session.__aenter__()
        await session.close()
        crew.close()

    run(whole())


def test_sessions_come_and_go_and_leave_nothing(
    animator: MotionAnimator, prepared: Prepared, speech: np.ndarray
) -> None:
    async def whole() -> tuple[int, int]:
        crew = Crew(2)
        tasks, seen = len(asyncio.all_tasks()), []
        for i in range(30):
            async with Session(animator, prepared, crew, FAST) as session:
                session.push_audio(speech, 16_000)
                if i % 2:
                    await taken(session, 3)
            del session
        gc.collect()
        left = sum(ref() is not None for ref in seen)
        more = len(asyncio.all_tasks()) - tasks
        crew.close()
        return left, more

    assert run(whole()) == (0, 0)


def test_the_crew_does_what_is_urgent_first() -> None:
    async def whole() -> list[int]:
        crew, order, gate = Crew(1), [], threading.Event()
        first = asyncio.create_task(crew.run(gate.wait, 0))
        await asyncio.sleep(0.05)
        later = [asyncio.create_task(crew.run(lambda n=n: order.append(n), n)) for n in (5, 1, 3)]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(first, *later)
        crew.close()
        return order

    assert run(whole()) == [1, 3, 5]
