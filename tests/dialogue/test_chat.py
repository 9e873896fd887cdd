import asyncio
import io
import json
import logging
import threading
import wave
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("httpx")
from servers import Answer, Asked, serving  # noqa: E402

from visavis.dialogue.base import Said, Sound, Understood
from visavis.dialogue.chat import MOST_MESSAGES, ChatPartner, ChatSettings, wave_file
from visavis.errors import ModelError
from visavis.voice.endpoint import endpoint

KEY = "sk-very-secret-key"
TURN = Sound(np.linspace(-1.5, 1.5, 16_000).astype(np.float32))


def sse(*words: str, finish: str | None = "stop", done: bool = True) -> bytes:
    """A streamed completion as OpenAI sends it."""
    chunks: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}}]
    chunks += [{"delta": {"content": word}} for word in words]
    if finish:
        chunks.append({"delta": {}, "finish_reason": finish})
    lines = [
        f"data: {json.dumps({'choices': [chunk]}, ensure_ascii=False)}\n\n" for chunk in chunks
    ]
    usage = f"data: {json.dumps({'choices': [], 'usage': {}})}\n\n"
    return ("".join(lines) + usage + ("data: [DONE]\n\n" if done else "")).encode()


def answered(
    completion: Callable[[Asked], Answer], transcript: Any = "What time is it?"
) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/audio/transcriptions"):
            if isinstance(transcript, Answer):
                return transcript
            told = json.dumps({"text": transcript}).encode()
            return Answer(kind="application/json", pieces=[told])
        assert asked.path == "/v1/chat/completions"
        return completion(asked)

    return answer


def streamed(data: bytes, size: int = 10**6, **options: Any) -> Answer:
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return Answer(kind="text/event-stream", pieces=pieces, **options)


def talked(answer: Callable[[Asked], Answer], *turns: Any, **settings: Any) -> tuple[Any, ...]:
    """What a partner answers to ``turns``, its history, and what the server was asked."""

    async def talk(url: str) -> tuple[list[list[str]], list[dict[str, str]]]:
        partner = ChatPartner(endpoint(url, KEY), ChatSettings("gpt-test", **settings))
        answers, understood = [], []
        try:
            for turn in turns:
                if isinstance(turn, Said):
                    partner.heard(turn)
                else:
                    pieces = [piece async for piece in partner.reply(turn)]
                    answers.append([piece for piece in pieces if isinstance(piece, str)])
                    understood += [piece.text for piece in pieces if isinstance(piece, Understood)]
        finally:
            await partner.close()
        told = [message["content"] for message in partner.history if message["role"] == "user"]
        assert understood == told
        return answers, partner.history

    with serving(answer) as server:
        answers, history = asyncio.run(talk(server.url))
    return answers, history, server.asked


@pytest.mark.parametrize("size", [1, 2, 7, 50, 10**6])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_answers_come_as_they_are_written_wherever_they_are_cut(size: int, ends: str) -> None:
    data = sse("It", " is", " nöön", ".").replace(b"\n", ends.encode())
    data = b": a comment" + 2 * ends.encode() + b"event: x" + ends.encode() + data
    answers, history, asked = talked(answered(lambda a: streamed(data, size)), TURN)
    assert answers == [["It", " is", " nöön", "."]]
    assert history == [{"role": "user", "content": "What time is it?"}]
    first, second = asked
    assert first.headers["Authorization"] == second.headers["Authorization"] == f"Bearer {KEY}"
    assert b'filename="turn.wav"' in first.body
    assert b"whisper-1" in first.body
    assert second.told["stream"] is True
    assert second.told["model"] == "gpt-test"
    assert [m["role"] for m in second.told["messages"]] == ["system", "user"]


def test_the_history_is_what_was_really_heard() -> None:
    long = Said("reply-1", "It is", 0.5, False)
    silent = Said("reply-2", "", 0.0, False)
    whole = Said("reply-3", "Noon.", 1.0, True)
    typed = Sound(TURN.samples[:0], text="And now?")
    _, history, asked = talked(
        answered(lambda a: streamed(sse("It is noon."))), TURN, long, silent, typed, whole, typed
    )
    assert [(m["role"], m["content"]) for m in history] == [
        ("user", "What time is it?"),
        ("assistant", "It is …"),
        ("user", "And now?"),
        ("assistant", "Noon."),
        ("user", "And now?"),
    ]
    assert asked[-1].told["messages"][1:] == history


def test_only_the_latest_of_a_long_history_is_sent() -> None:
    typed = [Sound(TURN.samples[:0], text=f"{i}") for i in range(MOST_MESSAGES + 5)]
    _, history, asked = talked(answered(lambda a: streamed(sse("Yes."))), *typed)
    assert len(history) == MOST_MESSAGES + 5
    sent = asked[-1].told["messages"]
    assert len(sent) == MOST_MESSAGES + 1
    assert sent[0]["role"] == "system"
    assert sent[-1]["content"] == f"{MOST_MESSAGES + 4}"


def test_what_is_no_word_is_not_answered() -> None:
    for transcript in ("", "  "):
        answers, history, asked = talked(answered(lambda a: streamed(b""), transcript), TURN)
        assert (answers, history, len(asked)) == ([[]], [], 1)
    answers, _, asked = talked(answered(lambda a: streamed(b"")), TURN, hearing=None)
    assert (answers, asked) == ([[]], [])


@pytest.mark.parametrize(
    "data",
    [
        sse("Yes", ".", done=False),
        sse("Yes", ".", finish=None),
        sse("Yes", ".") + b"data: {}",
    ],
)
def test_servers_end_their_answers_in_more_than_one_way(data: bytes) -> None:
    assert talked(answered(lambda a: streamed(data)), TURN)[0] == [["Yes", "."]]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, pieces=[KEY.encode()]), "the key is missing or wrong"),
        (Answer(429, pieces=[b'{"error":{"message":"No credit"}}']), "No credit"),
        (Answer(500), "answered 500"),
        (Answer(404, pieces=[b'{"error":{"message":"no gpt-test"}}']), "no gpt-test"),
        (streamed(sse("Ye", finish=None, done=False)), "hung up in the middle"),
        (streamed(sse("Ye")[:80], breaks_off=True), "does not answer"),
        (streamed(b'data: {"error":{"message":"overloaded"}}\n\n'), "overloaded"),
        (streamed(b"data: nonsense\n\n"), "no chunk of an answer"),
        (streamed(b'data: {"choices":[{"delta":null}]}\n\n'), "no chunk of an answer"),
        (streamed(b"data: [1]\n\n"), "no chunk of an answer"),
        (streamed(b"x" * 1_100_000), "a line without an end"),
        (Answer(kind="application/json", pieces=[b'{"choices":[]}']), "hung up in the middle"),
    ],
)
def test_refusals_say_what_they_mean_and_never_the_key(
    answer: Answer, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelError, match=told) as caught:
        talked(answered(lambda a: answer), TURN)
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("transcript", "told"),
    [
        (Answer(429), "answered 429"),
        (Answer(pieces=[b"<html>"]), "no text for the speech"),
        (Answer(pieces=[b'{"words":1}']), "no text for the speech"),
        (Answer(pieces=[b"{"], breaks_off=True), "does not answer"),
    ],
)
def test_speech_that_is_not_understood(transcript: Answer, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        talked(answered(lambda a: streamed(b""), transcript), TURN)


def test_an_answer_without_an_end_is_cut() -> None:
    endless = sse(*["word " * 1000] * 10)
    assert sum(map(len, talked(answered(lambda a: streamed(endless)), TURN)[0][0])) == 20_000


def test_leaving_off_hangs_up() -> None:
    gone = threading.Event()

    def endless(asked: Asked) -> Answer:
        line = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
        return streamed(line * 400, len(line), between=lambda: gone.wait(0.01))

    async def talk(url: str) -> list[str]:
        partner = ChatPartner(endpoint(url), ChatSettings("m"))
        answer = partner.reply(Sound(TURN.samples[:0], text="Talk!"))
        assert await anext(answer) == Understood("Talk!")
        pieces = [str(await anext(answer)), str(await anext(answer))]
        await answer.aclose()
        await asyncio.sleep(0.1)
        await partner.close()
        return pieces

    with serving(answered(endless)) as server:
        assert asyncio.run(talk(server.url)) == ["word ", "word "]
        gone.set()


def test_the_recording_is_a_wave_file() -> None:
    with wave.open(io.BytesIO(wave_file(TURN.samples, 16_000))) as file:
        assert file.getparams()[:4] == (1, 2, 16_000, 16_000)
        levels = np.frombuffer(file.readframes(16_000), "<i2")
    assert np.allclose(levels / 32_767, np.clip(TURN.samples, -1, 1), atol=1e-4)
