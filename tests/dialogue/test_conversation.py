import asyncio
import gc
import logging
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
import pytest
from talks import RATE, SILENCE, Talk, ToneVoice, talking

from visavis.dialogue.base import Dialogue, Happened, Said, Sound
from visavis.dialogue.conversation import AHEAD_S, MOST_WAITING, Conversation
from visavis.dialogue.join import converse, listening, partner_by
from visavis.dialogue.partners import ScriptedPartner, SilentPartner
from visavis.errors import ModelError, SessionClosed, SessionError
from visavis.stream.session import Session
from visavis.types import Phase

Parts = tuple[Any, Any, Any]


@pytest.fixture
def parts(animator: Any, prepared: Any, crew: Any) -> Parts:
    return animator, prepared, crew


class Noting(SilentPartner):
    """Answers with what it is given and notes what was heard of it."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.notes: list[Said] = []
        self.turns: list[Sound] = []
        self.left_off = 0

    async def reply(self, turn: Sound) -> AsyncGenerator[str | Sound, None]:
        self.turns.append(turn)
        answer = self.answers.pop(0)
        try:
            for piece in [answer] if isinstance(answer, str) else answer:
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    yield piece
        except (GeneratorExit, asyncio.CancelledError):
            self.left_off += 1
            raise

    def heard(self, said: Said) -> None:
        self.notes.append(said)


def with_partner(partner: Any, voice: Any = None) -> Callable[..., Dialogue]:
    def make(session: Session, tell: Callable[[Happened], None]) -> Dialogue:
        return Conversation(session, partner, listening(), voice or ToneVoice(), tell=tell)

    return make


def run(talk: Any) -> None:
    """Run a test that is a coroutine; nothing may be left over."""

    async def whole() -> None:
        await talk
        gc.collect()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others

    asyncio.run(whole())


def test_the_user_speaks_and_pauses_and_is_answered(parts: Parts, words: np.ndarray) -> None:
    async def talk() -> None:
        partner = Noting("One two three four. Five.")
        async with talking(parts, with_partner(partner)) as t:
            await t.frames(2)
            await t.hear(SILENCE)
            assert t.happened == []
            await t.hear(words)
            await t.until("user_started")
            assert (await t.frames_until(lambda m: m.phase is Phase.LISTENING, 20))[
                -1
            ].sound.any() == 0
            await t.hear(SILENCE)
            await t.until("reply_ended")
            assert t.kinds() == [
                "user_started", "user_ended", "reply_started", "reply_text", "reply_text",
                "reply_ended",
            ]  # fmt: skip
            assert [e.text for e in t.told("reply_text")] == ["One two three four.", "Five."]
            said = await t.frames_until(lambda m: m.speech_id == "reply-1", 20)
            said += await t.frames_until(lambda m: m.speech_id is None, 60)
            heard_s = sum(m.speech_id == "reply-1" for m in said) / 25
            assert heard_s == pytest.approx(0.04 * 24, abs=0.08)
            assert len(partner.turns[0].samples) == pytest.approx(len(words) + 0.4 * RATE, rel=0.15)
            t.dialogue.ask("Next?")
            assert partner.notes == [Said("reply-1", "One two three four. Five.", 0.96, True)]
            partner.answers.append("Yes.")
            await t.until("reply_ended", 2)
            assert partner.turns[1].text == "Next?"

    run(talk())


def test_an_echo_is_the_users_own_voice(parts: Parts, words: np.ndarray) -> None:
    async def talk() -> None:
        make = lambda session, tell: converse(session, partner_by("echo"), None, tell)  # noqa: E731
        async with talking(parts, make) as t:
            await t.hear(np.concatenate([SILENCE, words, SILENCE]))
            await t.until("reply_ended")
            await t.frames_until(lambda m: m.speech_id is not None, 30)
            await t.frames(75)
        sound = np.concatenate(t.sound)
        match = np.correlate(sound, words[8000:16000], "valid")
        at = int(match.argmax())
        assert np.allclose(sound[at : at + 8000], words[8000:16000], atol=0.02)

    run(talk())


def test_barge_in(parts: Parts, words: np.ndarray) -> None:
    async def talk() -> None:
        text = "Here is a long sentence that nobody wants to hear to its very end, believe me."
        partner = Noting(text + " And another one.", "Fine.")
        async with talking(parts, with_partner(partner)) as t:
            t.dialogue.ask("Talk!")
            await t.frames_until(lambda m: m.speech_id is not None, 40)
            await t.frames(24)
            await t.hear(words[:2400])
            await asyncio.sleep(0.1)
            assert not t.told("interrupted"), "a cough does not interrupt"
            await t.hear(np.concatenate([SILENCE[:4800], words]))
            cut = await t.until("interrupted")
            after = await t.frames(10)
            assert cut.position_s == pytest.approx(25 / 25, abs=0.001), "25 frames were handed out"
            assert cut.text == "Here is a long sentence"
            assert partner.notes == [Said("reply-1", cut.text, cut.position_s, False)]
            assert not np.concatenate([m.sound for m in after[1:]]).any()
            assert t.session.queue_s == 0
            assert {"interrupted", "user_started"} <= set(t.kinds())
            await t.hear(SILENCE)
            assert (await t.until("reply_ended", 2)).speech_id == "reply-2"

    run(talk())


def test_thinking_ends_when_the_user_goes_on(parts: Parts) -> None:
    async def talk() -> None:
        partner = Noting(["Let me see! ", 60.0, "Never said."], "Yes.")
        async with talking(parts, with_partner(partner)) as t:
            t.dialogue.ask("Hm?")
            await t.until("reply_text")
            t.dialogue.ask("Well?")
            await t.until("reply_ended")
            assert partner.left_off == 1
            assert [e.text for e in t.told("reply_text")] == ["Let me see!", "Yes."]
            assert partner.notes[0].is_whole is False

    run(talk())


def test_the_first_sentence_is_spoken_before_the_last_is_written(parts: Parts) -> None:
    async def talk() -> None:
        written = ["Fi", "rst. S", 0.3, "econ", "d", " one."]
        async with talking(parts, with_partner(Noting(written))) as t:
            t.dialogue.ask("Talk!")
            await t.until("reply_text")
            assert t.told("reply_text")[0].text == "First."
            while not t.session.queue_s:
                await asyncio.sleep(0.005)
            assert len(t.told("reply_text")) == 1
            await t.until("reply_ended")
            assert [e.text for e in t.told("reply_text")] == ["First.", "Second one."]

    run(talk())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([ModelError("The server answered 500.")], "answered 500"),
        ([ValueError("oh")], r"The partner failed \(ValueError\)"),
        (["First! ", ModelError("It hung up.")], "hung up"),
        ("Жук.", r"The partner failed \(ValueError\)"),
    ],
)
def test_failures_are_told_and_the_next_turn_is_answered(
    parts: Parts, answer: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        partner = Noting(answer, "Again.")
        async with talking(parts, with_partner(partner)) as t:
            t.dialogue.ask("Talk!")
            failed = await t.until("failed")
            assert failed.text in caplog.text
            await t.frames(3)
            t.dialogue.ask("Once more!")
            await t.until("reply_ended")
            assert t.told("reply_text")[-1].text == "Again."
            assert (await t.frames_until(lambda m: m.speech_id == "reply-2", 40))[-1].is_fresh
            assert re.search(why, failed.text)

    run(talk())
    caplog.clear()  # tracebacks hold on to all they have seen


def test_what_is_said_waits_its_turn(parts: Parts) -> None:
    async def talk() -> None:
        partner = Noting()
        async with talking(parts, with_partner(partner)) as t:
            names = await asyncio.gather(*(t.dialogue.say(text) for text in ("A.", "B.", "...")))
            assert names == ["reply-1", "reply-2", "reply-3"]
            frames = await t.frames_until(lambda m: m.speech_id == "reply-2", 60)
            spoken = [m.speech_id for m in frames if m.speech_id]
            assert spoken == sorted(spoken)
            assert "reply-1" in spoken
            await t.frames_until(lambda m: m.speech_id is None)
            assert t.dialogue.interrupt() is None
            assert [(s.text, s.is_whole) for s in partner.notes] == [
                ("A.", True), ("B.", True), ("", True),
            ]  # fmt: skip

    run(talk())


def test_a_long_text_never_waits_whole_in_the_session(parts: Parts) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting())) as t:
            saying = asyncio.create_task(t.dialogue.say("Some words, again and again. " * 20))
            most = 0.0
            for _ in range(90):
                await t.frames(1)
                most = max(most, t.session.queue_s)
                await asyncio.sleep(0.002)
            assert 4.0 < most <= AHEAD_S + 1.0
            assert not saying.done()
            said = t.dialogue.interrupt()
            assert said is not None
            assert said.text.startswith("Some words, again")
            assert await saying == "reply-1"
            assert t.session.queue_s == 0

    run(talk())


def test_too_much_to_say_and_no_voice_and_after_the_end(parts: Parts) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting())) as t:
            waiting = [asyncio.create_task(t.dialogue.say("A. " * 99)) for _ in range(MOST_WAITING)]
            await asyncio.sleep(0.05)
            with pytest.raises(SessionError, match="wait to be said"):
                await t.dialogue.say("B.")
            t.dialogue.interrupt()
            await asyncio.gather(*waiting)
        for call in (lambda: t.dialogue.hear(SILENCE, RATE), lambda: t.dialogue.ask("?")):
            with pytest.raises(SessionClosed):
                call()
        with pytest.raises(SessionClosed):
            await t.dialogue.__aenter__()
        make = lambda session, tell: Conversation(session, Noting(["Hm."]), listening(), tell=tell)  # noqa: E731
        async with talking(parts, make) as t:
            with pytest.raises(SessionError, match="no voice"):
                await t.dialogue.say("A.")
            t.dialogue.ask("?")
            assert "no voice" in (await t.until("failed")).text

    run(talk())


def test_the_session_ends_first(parts: Parts, words: np.ndarray) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting(["One! ", 0.1, "Two."]))) as t:
            t.dialogue.ask("Talk!")
            await t.until("reply_text")
            await t.session.close()
            assert "session is closed" in (await t.until("failed")).text
            with pytest.raises(SessionClosed):
                await t.hear(words)

    run(talk())


def test_the_conversation_ends_first_and_the_session_goes_on(parts: Parts) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting(["One two three! ", 60.0]))) as t:
            t.dialogue.ask("Talk!")
            await t.until("reply_text")
            while not t.session.queue_s:
                await asyncio.sleep(0.005)
            await t.dialogue.close()
            await t.frames_until(lambda m: m.speech_id == "reply-1", 30)
            await t.frames_until(lambda m: m.speech_id is None, 60)
            await t.frames(5)

    run(talk())


def test_a_microphone_that_outruns_the_machine_is_skipped(
    parts: Parts, words: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting("Yes."))) as t:
            for _ in range(70):
                t.dialogue.hear(SILENCE[:1600], RATE)
            assert "too slow to listen" in caplog.text
            await t.hear(np.concatenate([SILENCE, words, SILENCE]))
            await t.until("reply_ended")

    caplog.set_level(logging.WARNING)
    run(talk())


def test_sixteen_bits_and_other_rates_are_heard(parts: Parts, words: np.ndarray) -> None:
    async def talk() -> None:
        async with talking(parts, with_partner(Noting("Yes."))) as t:
            wide = np.repeat(np.concatenate([SILENCE, words, SILENCE]), 3)
            whole = np.round(wide * 32_767).astype(np.int16)
            for i in range(0, len(whole), 4800):
                t.dialogue.hear(whole[i : i + 4800], 48_000)
                await asyncio.sleep(0.002)
            await t.until("reply_ended")

    run(talk())


def test_the_script_goes_round() -> None:
    async def lines() -> list[Any]:
        partner = ScriptedPartner([" one ", "", "two"])
        return [await anext(partner.reply(Sound(SILENCE))) for _ in range(3)]

    assert asyncio.run(lines()) == ["one", "two", "one"]


def test_the_local_voice_in_a_session(parts: Parts) -> None:
    pytest.importorskip("hibari")
    from visavis.voice.speech import voice_by

    voice = voice_by("local")

    def make(session: Session, tell: Callable[[Happened], None]) -> Dialogue:
        return converse(session, partner_by("scripted"), voice, tell)

    async def talk() -> None:
        async with talking(parts, make) as t:
            t.dialogue.ask("Hello?")
            await t.frames_until(lambda m: m.speech_id is not None, 30)
            taken: Talk = t
            assert np.abs(np.concatenate([m.sound for m in await taken.frames(10)])).max() > 0.05

    run(talk())
