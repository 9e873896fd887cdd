import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest

pytest.importorskip("websockets")
from realtime_server import RealtimeServer, realtime_server  # noqa: E402
from talks import RATE, SILENCE, Talk, talking  # noqa: E402

from visavis.dialogue import realtime  # noqa: E402
from visavis.dialogue.base import Dialogue, Happened  # noqa: E402
from visavis.dialogue.join import Chosen, converse, partner_by  # noqa: E402
from visavis.dialogue.realtime_messages import RealtimeSettings, read, session_update  # noqa: E402
from visavis.errors import SessionClosed, SessionError  # noqa: E402
from visavis.stream.session import Session  # noqa: E402
from visavis.types import Phase  # noqa: E402

KEY = "sk-very-secret-key"
STARTED = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "u"}
STOPPED = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 0, "item_id": "u"}


@pytest.fixture
def parts(animator: Any, prepared: Any, crew: Any) -> tuple[Any, Any, Any]:
    return animator, prepared, crew


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "_PATIENCE_S", (0.02, 0.02))


def with_server(server: RealtimeServer, **changes: Any) -> Callable[..., Dialogue]:
    chosen: Chosen = replace(partner_by(server.url, KEY), **changes)

    def make(session: Session, tell: Callable[[Happened], None]) -> Dialogue:
        return converse(session, chosen, None, tell)

    return make


def run(talk: Any) -> None:
    async def whole() -> None:
        await asyncio.wait_for(talk, 30)
        gc.collect()
        await asyncio.sleep(0.05)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [t for t in others if "visavis" in t.get_name()], others

    asyncio.run(whole())


async def connected(server: RealtimeServer, t: Talk) -> None:
    await server.until("session.update")


@pytest.mark.parametrize("beta", [False, True])
def test_the_user_is_heard_and_the_answer_is_spoken(
    parts: Any, words: np.ndarray, beta: bool
) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            await t.frames(1)
            await t.hear(words)
            await server.send(STARTED)
            await t.until("user_started")
            assert (await t.frames(3))[-1].phase is Phase.LISTENING
            await server.send(STOPPED)
            await server.answer("item-1", 1.3, text="Good day to you.", beta=beta)
            await t.until("reply_ended")
            frames = await t.frames_until(lambda m: m.speech_id == "item-1", 40)
            frames += await t.frames_until(lambda m: m.speech_id is None, 60)
            spoken = [m for m in frames if m.speech_id == "item-1"]
            assert len(spoken) / 25 == pytest.approx(1.3, abs=0.05)
            assert np.abs(np.concatenate([m.sound for m in spoken])).max() == pytest.approx(
                8_000 / 32_768, rel=0.05
            )
            assert t.told("reply_text")[0].text == "Good day to you."
            await asyncio.sleep(0.05)
            heard = server.heard() / 32_767
            assert len(heard) == pytest.approx(len(words) * 1.5, abs=900)
            assert server.wrong == []
            request = server.requests[0]
            assert request.path == "/v1/realtime?model=gpt-rt"
            assert request.headers["Authorization"] == f"Bearer {KEY}"

    run(talk())


def test_barge_in_tells_the_server_what_was_really_heard(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            text = "one two three four five six seven eight nine ten"
            await server.answer("item-1", 9.0, text=text)
            await t.frames_until(lambda m: m.speech_id == "item-1", 40)
            await t.frames(49)
            await server.send(STARTED)
            cut = await t.until("interrupted")
            told = await server.until("conversation.item.truncate")
            assert cut.position_s == pytest.approx(2.0), "50 frames were handed out"
            assert (told["item_id"], told["audio_end_ms"]) == ("item-1", 2000)
            assert cut.text == "one two"
            assert t.session.queue_s == 0
            after = await t.frames(10)
            assert not np.concatenate([m.sound for m in after[1:]]).any()
            await server.answer("item-1", 2.0)
            assert not (await t.frames(10))[-1].sound.any(), "deltas after the cut are not spoken"
            await server.answer("item-2", 0.5)
            await t.frames_until(lambda m: m.speech_id == "item-2", 40)
            assert server.kinds() == ["session.update", "conversation.item.truncate"]
            assert server.wrong == []

    run(talk())


def test_interrupting_by_hand_cancels_the_answer(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            await server.answer("item-1", 1.0, end=False)
            await t.frames_until(lambda m: m.speech_id == "item-1", 40)
            said = t.dialogue.interrupt()
            assert said is not None
            assert (said.speech_id, said.is_whole) == ("item-1", False)
            assert t.dialogue.interrupt() is None
            await server.until("conversation.item.truncate")
            assert server.kinds() == [
                "session.update", "response.cancel", "conversation.item.truncate"
            ]  # fmt: skip
            late = {"type": "response.output_audio.delta", "delta": "AAAA", "item_id": "item-9"}
            await server.send({**late, "response_id": "r-item-1"})
            await asyncio.sleep(0.05)
            assert t.session.queue_s == 0, "another item of the cancelled answer is not spoken"
            assert server.wrong == []

    run(talk())


def test_typed_turns_and_words_to_say(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            t.dialogue.ask("What time is it?")
            assert await t.dialogue.say("Good bye.") == ""
            await server.until("response.create", 2)
            item, _, recited = server.got[1:4]
            assert item["item"]["content"] == [{"type": "input_text", "text": "What time is it?"}]
            assert "Good bye." in recited["response"]["instructions"]
            assert server.wrong == []

    run(talk())


def test_other_rates_and_settings(parts: Any, words: np.ndarray) -> None:
    async def talk() -> None:
        async with realtime_server(rate=16_000) as server:
            make = with_server(server, rate=16_000, voice="marin", prompt="Be brief.", hearing="w")
            async with talking(parts, make) as t:
                session = (await server.until("session.update"))["session"]
                await t.hear(words)
                await server.answer("item-1", 1.0)
                await server.send(
                    {"type": "conversation.item.input_audio_transcription.completed",
                     "item_id": "u", "transcript": " Hello. "}
                )  # fmt: skip
                assert (await t.until("user_said")).text == "Hello."
                frames = await t.frames_until(lambda m: m.speech_id == "item-1", 40)
                frames += await t.frames_until(lambda m: m.speech_id is None, 60)
                assert sum(m.speech_id == "item-1" for m in frames) == 25
                assert len(server.heard()) == len(words)
        audio = session["audio"]
        assert audio["input"]["format"] == audio["output"]["format"]
        assert audio["output"]["format"]["rate"] == 16_000
        assert audio["output"]["voice"] == "marin"
        assert audio["input"]["transcription"] == {"model": "w"}
        assert session["instructions"] == "Be brief."

    run(talk())


def test_a_minute_in_a_burst_waits_outside_the_session(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            await server.answer("item-1", 75.0)
            most = 0.0
            await t.frames_until(lambda m: m.speech_id == "item-1", 40)
            for _ in range(60):
                await t.frames(1)
                await asyncio.sleep(0.002)
                most = max(most, t.session.queue_s)
            assert most < realtime.AHEAD_S + 0.5
            said = t.dialogue.interrupt()
            assert said is not None
            assert said.position_s == pytest.approx(61 / 25)
            await server.until("conversation.item.truncate")
            assert server.wrong == []

    run(talk())


def test_nonsense_is_passed_over(parts: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            delta = {"type": "response.output_audio.delta", "item_id": "i", "response_id": "r"}
            await server.send(
                "no json", "[1]", "{}", '{"type":7}', {"type": "response.created"},
                {**delta, "delta": "not base64!"}, {**delta, "delta": 5},
                {**delta, "item_id": None},
                {"type": "response.output_audio_transcript.delta", "item_id": "i", "delta": 5},
                {"type": "response.done"}, {"type": "something.new"},
                {"type": "error", "error": {"message": f"bad  {KEY}"}}, {"type": "error"},
            )  # fmt: skip
            await t.until("failed", 2)
            assert [e.text.split(": ")[1] for e in t.told("failed")] == [
                "bad …", "an error without a reason",
            ]  # fmt: skip
            await server.send({"type": "response.done", "response": {"status": "failed"}})
            await t.until("failed", 3)
            await server.answer("item-1", 0.5)
            await t.frames_until(lambda m: m.speech_id == "item-1", 40)
        ours = [r for r in caplog.records if not r.name.startswith("websockets.server")]
        assert not [r for r in ours if KEY in r.getMessage()]

    caplog.set_level(logging.DEBUG)
    run(talk())


def test_a_broken_connection_is_made_again(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            await server.answer("item-1", 0.4, end=False)
            await t.frames_until(lambda m: m.speech_id == "item-1", 40)
            server.sockets[-1].transport.abort()
            await t.until("failed")
            await t.frames_until(lambda m: m.speech_id is None, 40)
            await server.until("session.update", 2)
            await server.answer("item-2", 0.4)
            await t.frames_until(lambda m: m.speech_id == "item-2", 40)
            t.dialogue.hear(SILENCE, RATE)
            await server.until("input_audio_buffer.append")
            await server.sockets[-1].close()
            await server.until("session.update", 3)

    run(talk())


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (HTTPStatus.UNAUTHORIZED, "the key is missing or wrong"),
        (HTTPStatus.NOT_FOUND, "no such model"),
        (HTTPStatus.TOO_MANY_REQUESTS, "answered 429; given up"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "answered 500; given up"),
    ],
)
def test_a_server_that_refuses(parts: Any, status: HTTPStatus, told: str) -> None:
    async def talk() -> None:
        async with realtime_server() as server:
            server.refuses = status
            async with talking(parts, with_server(server)) as t:
                tries = 3 if "given up" in told else 1
                assert told in (await t.until("failed", tries)).text
                await asyncio.sleep(0.05)
                assert len(server.requests) == tries
                with pytest.raises(SessionError, match="no connection"):
                    await t.dialogue.say("Hello.")
                for _ in range(70):
                    t.dialogue.hear(SILENCE[:1600], RATE)
                await t.frames(3)
            with pytest.raises(SessionClosed):
                t.dialogue.hear(SILENCE, RATE)
            with pytest.raises(SessionClosed):
                await t.dialogue.__aenter__()

    run(talk())


def test_nobody_there(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server:
            gone = server
        async with talking(parts, with_server(gone)) as t:
            assert "given up" in (await t.until("failed", 3)).text

    run(talk())


def test_the_session_ends_first(parts: Any) -> None:
    async def talk() -> None:
        async with realtime_server() as server, talking(parts, with_server(server)) as t:
            await connected(server, t)
            await t.session.close()
            await server.answer("item-1", 0.4)
            assert "session is closed" in (await t.until("failed")).text

    run(talk())


def test_messages() -> None:
    plain = session_update(RealtimeSettings("m"))["session"]
    assert "instructions" not in plain
    assert "transcription" not in plain["audio"]["input"]
    assert read(b'{"type": "response.audio.delta"}')["type"] == "response.output_audio.delta"
    assert read("null") == {"type": ""}
