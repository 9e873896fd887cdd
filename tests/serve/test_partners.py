"""Partners in a served session: they hear the microphone, answer, and give way."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

pytest.importorskip("fastapi")
websockets = pytest.importorskip("websockets")

from loopback import Buzz, pcm, running, until  # noqa: E402
from test_socket import Client, join  # noqa: E402

from visavis.errors import InputError  # noqa: E402
from visavis.serve.partners import Partners  # noqa: E402
from visavis.serve.settings import ServerSettings  # noqa: E402
from visavis.serve.voices import Voices  # noqa: E402


async def speak(client: Client, sound: np.ndarray) -> None:
    """Say ``sound`` at 16 kHz into the microphone in real time, then be silent for a while."""
    padded = np.concatenate([sound, np.zeros(32_000, np.float32)])
    for start in range(0, len(padded), 1_600):
        await client.wire.send(pcm(padded[start : start + 1_600]))
        await asyncio.sleep(0.1)


def test_an_echo_answers_what_is_said_and_can_be_spoken_over(speech: np.ndarray) -> None:
    async def play() -> None:
        async with running(agent="echo") as server:
            opened = await server.open()
            assert opened["agent"] == "echo"
            client = await join(server, opened)
            talking = asyncio.create_task(speak(client, speech[:32_000]))
            await until(lambda: client.of("user.speech_started"))
            await until(lambda: client.of("agent.speak_started"), 12)
            await talking
            assert client.of("user.speech_ended")
            assert client.of("agent.reply_started")
            await client.wire.close()

    asyncio.run(play())


def test_what_is_written_is_answered_where_somebody_answers() -> None:
    async def play() -> None:
        async with running(agent="scripted", voices=Voices(Buzz())) as server:
            opened = await server.open()
            client = await join(server, opened)
            await client.send(type="user.text", text="How are you?")
            await until(lambda: client.of("agent.said"))
            await until(lambda: client.of("agent.speak_started"))
            assert client.of("agent.said")[0]["text"]
            await client.send(type="agent.interrupt")
            await until(lambda: client.of("agent.speak_interrupted"))
            await client.send(type="agent.say", text="Hi")
            await until(lambda: len(client.of("agent.speak_started")) == 2)
            assert client.of("error") == []
            await client.wire.close()

    asyncio.run(play())


def test_only_partners_that_can_speak_are_offered() -> None:
    silent = Partners(ServerSettings(), Voices(None))
    assert silent.names == ("none", "echo")
    with pytest.raises(InputError, match="none, echo"):
        silent.check("scripted")
    own = Partners(ServerSettings(agent="chat:m@http://127.0.0.1:1/v1"), Voices(Buzz()))
    assert own.names == ("none", "echo", "scripted", "chat")
    assert own.check(None) == "chat"
    with pytest.raises(InputError):
        own.check("chat:other@http://evil.example/v1")
    with pytest.raises(InputError):
        Partners(ServerSettings(agent="nobody"), Voices(Buzz()))
