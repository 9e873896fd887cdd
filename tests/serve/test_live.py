"""A session with an audience: fan-out, limits, utterances in turn, and ends that are whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydantic")

from loopback import tone, until  # noqa: E402

from visavis.api import load  # noqa: E402
from visavis.errors import InputError, SessionClosed, SessionError  # noqa: E402
from visavis.opening import DEMO_PORTRAIT  # noqa: E402
from visavis.provenance.badge import make_badge  # noqa: E402
from visavis.provenance.policy import Policy  # noqa: E402
from visavis.serve.avatars import open_avatar  # noqa: E402
from visavis.serve.live import LiveSession, Terms  # noqa: E402
from visavis.stream.session import Session  # noqa: E402
from visavis.stream.settings import Settings  # noqa: E402
from visavis.stream.worker import Crew  # noqa: E402
from visavis.types import Phase  # noqa: E402

SIZE = (96, 96)
TERMS = Terms(600, 600, 600, "made by AI", "AI")


@dataclass
class Counted:
    """An observer that remembers."""

    frames: int = 0
    first: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)

    def shown(self, frames: int, late: int) -> None:
        self.frames += frames

    def began(self, seconds: float) -> None:
        self.first.append(seconds)

    def silenced(self, seconds: float) -> None:
        self.silences.append(seconds)


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[Any, Any, Crew]]:
    animator = load(live=True, quality="draft")
    portrait = open_avatar(DEMO_PORTRAIT.read_bytes(), "demo", "0" * 32).portrait
    crew = Crew(1)
    yield animator, animator.prepare(portrait, SIZE), crew
    crew.close()


@asynccontextmanager
async def live_session(
    parts: tuple[Any, Any, Crew],
    terms: Terms = TERMS,
    counted: Counted | None = None,
    **settings: Any,
) -> AsyncIterator[LiveSession]:
    session = Session(*parts, Settings(sound_rate=16_000, **settings))
    live = LiveSession("s", session, terms, counted or Counted())
    await live.start()
    try:
        yield live
    finally:
        await live.close()


def test_every_reader_sees_the_same_moments_and_a_slow_one_holds_nobody_up(
    parts: tuple[Any, Any, Crew],
) -> None:
    async def play() -> None:
        async with live_session(parts) as live:
            fast, slow = live.subscribe(50), live.subscribe(2)
            first = [await anext(fast) for _ in range(10)]
            assert [m.index for m in first] == list(range(first[0].index, first[0].index + 10))
            held = await anext(slow)
            assert held.index == first[-2].index
            assert slow.dropped >= 8
            assert live.viewers == 2
            slow.close()
            assert live.viewers == 1
            await anext(fast)
        assert [m async for m in slow] != [], "what waited is still given; then it ends"
        assert live.state == "closed"

    asyncio.run(play())


def test_listeners_are_told_first_what_they_talk_to_and_last_that_it_is_over(
    parts: tuple[Any, Any, Crew],
) -> None:
    async def play() -> None:
        async with live_session(parts) as live:
            feed = live.listen()
            live.person.speak(tone(0.6), 24_000, "hello")
            live.person.end_speech()
            await until(lambda: any(m["type"] == "agent.speak_ended" for m in feed._items))
        told = [message async for message in feed]
        assert told[0] == {"type": "session.disclosure", "text": "made by AI", "badge": "AI"}
        assert told[1]["state"] == "connected"
        kinds = [m["type"] for m in told if m["type"].startswith("agent.speak")]
        assert kinds == ["agent.speak_started", "agent.speak_ended"]
        assert {m.get("event_id") for m in told if "event_id" in m} == {"hello"}
        assert told[-1] == {
            "type": "session.state_updated", "state": "closed", "reason": "closed",
        }  # fmt: skip

    asyncio.run(play())


def test_numbers_come_once_a_second_and_are_counted(parts: tuple[Any, Any, Crew]) -> None:
    async def play() -> None:
        counted = Counted()
        async with live_session(parts, counted=counted) as live:
            feed = live.listen()
            live.person.speak(tone(0.6), 24_000, "a")
            await until(lambda: sum(m["type"] == "metrics.frame" for m in feed._items) >= 2)
            told = [m for m in feed._items if m["type"] == "metrics.frame"]
            assert told[-1]["index"] - told[-2]["index"] == 25
            assert 0 < told[-1]["fps"] <= 25
            assert "queue_s" in told[-1]
            live.person.interrupt()
            await until(lambda: counted.silences)
            assert counted.silences[0] < 0.3
        assert counted.frames > 25
        assert len(counted.first) == 1

    asyncio.run(play())


@pytest.mark.parametrize(
    ("change", "reader", "why"),
    [
        ({"longest_s": 1}, True, "too_long"),
        ({"idle_s": 1}, True, "idle"),
        ({"unwatched_s": 1}, False, "unwatched"),
    ],
)
def test_sessions_end_by_themselves(
    parts: tuple[Any, Any, Crew], change: dict[str, int], reader: bool, why: str
) -> None:
    async def play() -> None:
        ends: list[str] = []
        async with live_session(parts, replace(TERMS, **change)) as live:
            live.when_over(ends.append)
            if reader:
                live.subscribe()
            await asyncio.wait_for(live.over(), 5)
            assert live.ended_as == why
            live.when_over(ends.append)
            assert ends == [why, why], "who asks too late is told at once"
            with pytest.raises(SessionClosed):
                live.person.keep_alive()

    asyncio.run(play())


def test_files_and_texts_are_spoken_in_turn_and_interrupted_together(
    parts: tuple[Any, Any, Crew],
) -> None:
    async def play() -> None:
        async with live_session(parts) as live:
            feed = live.listen()
            live.person.say("one", iter([(tone(0.3), 24_000), (tone(0.3), 24_000)]))
            live.person.say("two", iter([(tone(20), 24_000)]))
            live.person.say("three", iter([(tone(0.3), 24_000)]))
            with pytest.raises(SessionError, match="being spoken"):
                live.person.speak(tone(0.1), 24_000, "four")
            started = "agent.speak_started"
            await until(lambda: sum(m["type"] == started for m in feed._items) == 2)
            order = [m["event_id"] for m in feed._items if m["type"] == started]
            assert order == ["one", "two"]
            stopped = live.person.interrupt()
            assert stopped.speech_id == "two"
            assert stopped.dropped_s > 15
            await asyncio.sleep(0.05)
            live.person.speak(tone(0.2), 24_000, "four")
            with pytest.raises(SessionError, match=r"speak_end"):
                live.person.say("five", iter([]))
            live.person.end_speech()
            assert live.numbers()["queue_s"] < 1

    asyncio.run(play())


def test_an_utterance_that_fails_is_told_and_the_next_one_spoken(
    parts: tuple[Any, Any, Crew], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: Exception) -> Iterator[tuple[np.ndarray, int]]:
        yield tone(0.1), 24_000
        raise error

    async def play() -> None:
        async with live_session(parts) as live:
            feed = live.listen()
            live.person.say("one", broken(InputError("damaged")))
            live.person.say("two", broken(RuntimeError("a bug")))
            live.person.say("three", iter([(tone(0.3), 24_000)]))
            await until(lambda: any(m.get("event_id") == "three" for m in feed._items))
            told = [m for m in feed._items if m["type"] == "error"]
            assert [(m["event_id"], m["message"]) for m in told] == [("one", "damaged")]
        assert "an utterance failed" in caplog.text

    asyncio.run(play())


def test_the_badge_is_in_every_picture(parts: tuple[Any, Any, Crew]) -> None:
    async def play() -> None:
        badge = make_badge(SIZE, Policy())
        async with (
            live_session(parts) as plain,
            live_session(parts, replace(TERMS, badge=badge)) as marked,
        ):
            one, other = await anext(plain.subscribe()), await anext(marked.subscribe())
            changed = np.abs(one.image.astype(int) - other.image).max(axis=2) > 0
            rows, columns = np.nonzero(changed)
            assert rows.min() >= SIZE[1] // 2
            assert columns.min() >= 0

    asyncio.run(play())


def test_what_fails_inside_ends_this_session_alone_and_is_logged(
    parts: tuple[Any, Any, Crew], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def draw(self, *_: Any) -> None:
            raise ZeroDivisionError("a bug")

        is_shown = draw

    async def play() -> None:
        terms = replace(TERMS, badge=Broken())  # type: ignore[arg-type]
        async with live_session(parts) as other, live_session(parts, terms) as live:
            live.subscribe()
            await asyncio.wait_for(live.over(), 5)
            assert live.ended_as == "failed"
            await anext(other.subscribe())
            assert other.state == "connected"
        assert "session failed" in caplog.text

    asyncio.run(play())


def test_closing_twice_and_before_the_start_does_no_harm(parts: tuple[Any, Any, Crew]) -> None:
    async def play() -> None:
        session = Session(*parts, Settings())
        live = LiveSession("s", session, TERMS, Counted())
        assert live.state == "connecting"
        await live.close("never")
        await live.close()
        assert (live.state, live.ended_as) == ("closed", "never")
        assert [m async for m in live.subscribe()] == []

    asyncio.run(play())


def test_closing_at_once_leaves_no_task_behind(parts: tuple[Any, Any, Crew]) -> None:
    async def play() -> None:
        live = LiveSession("s", Session(*parts, Settings()), TERMS, Counted())
        await live.start()
        await asyncio.gather(live.close(), live.close(), live.close())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(play())


def test_what_the_user_says_reaches_the_session_and_states_can_be_set(
    parts: tuple[Any, Any, Crew],
) -> None:
    async def play() -> None:
        async with live_session(parts) as live:
            live.subscribe()
            live.person.hear(tone(0.1, 16_000), 16_000)
            with pytest.raises(SessionError, match="Nobody answers"):
                live.person.ask("hello?")
            live.person.set_state(Phase.LISTENING)
            await until(lambda: live.phase == "listening")
            live.person.set_state(None)
            live.person.set_control({"emotion": "happy", "gaze": "viewer"})
            with pytest.raises(InputError):
                live.person.set_control({"emotion": "hungry"})

    asyncio.run(play())
