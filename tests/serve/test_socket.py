"""The WebSocket: the control protocol, picture and sound as binary messages, and bad clients."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
websockets = pytest.importorskip("websockets")

from loopback import Running, bearer, pcm, running, told, tone, until  # noqa: E402
from PIL import Image  # noqa: E402
from websockets.asyncio.client import ClientConnection, connect  # noqa: E402
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from visavis.serve.routes_socket import FRESH, HEADER, PICTURE, SOUND  # noqa: E402


class Client:
    """Keeps what a connection gets."""

    def __init__(self, wire: ClientConnection) -> None:
        self.wire = wire
        self.messages: list[dict[str, Any]] = []
        self.media: list[tuple[int, int, int, int, bytes]] = []
        self.task = asyncio.create_task(self._take())

    async def _take(self) -> None:
        try:
            async for data in self.wire:
                if isinstance(data, str):
                    self.messages.append(json.loads(data))
                else:
                    self.media.append((*HEADER.unpack(data[:8]), data[8:]))
        except ConnectionClosed:
            pass

    async def send(self, **message: Any) -> None:
        await self.wire.send(told(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


async def join(server: Running, opened: dict[str, Any], query: str = "") -> Client:
    return Client(await connect(server.socket(opened, query), max_size=None))


def test_sound_goes_in_and_picture_and_sound_come_out_together() -> None:
    async def play() -> None:
        async with running() as server:
            client = await join(server, await server.open(), "&media=1")
            await until(lambda: len(client.media) > 10)
            sound = base64.b64encode(pcm(tone(1.0, 16_000))).decode()
            await client.send(type="agent.speak", event_id="a", audio=sound, sample_rate=16_000)
            await client.send(type="agent.speak_end")
            await until(lambda: client.of("agent.speak_ended"))
            assert client.messages[0]["type"] == "session.disclosure"
            pictures = [m for m in client.media if m[0] == PICTURE]
            sounds = {m[3]: m for m in client.media if m[0] == SOUND}
            assert {m[3] for m in pictures} <= set(sounds), "each picture has its sound"
            assert all(m[1] & FRESH in (0, FRESH) and m[2] == 0 for m in pictures)
            image = Image.open(io.BytesIO(pictures[-1][4]))
            assert (image.format, image.size) == ("JPEG", (128, 128))
            assert all(m[2] == 480 and len(m[4]) == 2 * 1920 for m in sounds.values())
            levels = {n: np.abs(np.frombuffer(m[4], "<i2")).max() for n, m in sounds.items()}
            started = client.of("agent.speak_started")[0]["index"]
            assert levels[started + 5] > 5_000
            assert levels[min(levels)] == 0
            heard = sum(level > 3_000 for level in levels.values())
            assert heard == pytest.approx(25, abs=2), "one second"
            await client.wire.close()

    asyncio.run(play())


def test_every_verb_does_what_it_says() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            client = await join(server, opened)
            live = server.parts.sessions[opened["session_id"]]
            await client.send(type="agent.start_listening")
            await until(lambda: live.phase == "listening")
            await client.send(type="agent.set_state", state="idle")
            await until(lambda: live.phase == "idle")
            await client.send(type="agent.stop_listening")
            await client.send(type="agent.set_control", emotion="happy", gaze="viewer", energy=1.2)
            await client.wire.send(pcm(tone(0.1, 16_000)))
            voice = base64.b64encode(pcm(tone(0.1, 16_000))).decode()
            await client.send(type="agent.user_audio", audio=voice)
            sound = base64.b64encode(pcm(tone(1.0))).decode()
            for _ in range(4):
                await client.send(type="agent.speak", event_id="long", audio=sound)
            await until(lambda: live.phase == "speaking")
            await client.send(type="agent.interrupt")
            await until(lambda: client.of("agent.speak_interrupted"))
            await client.send(type="agent.resume")
            await until(lambda: len(client.of("agent.speak_started")) == 2)
            await client.send(type="session.keep_alive")
            await client.send(type="agent.interrupt")
            await until(lambda: client.of("metrics.frame"))
            assert client.of("error") == []
            states = [m["state"] for m in client.of("agent.state_changed")]
            assert "listening" in states
            assert "speaking" in states
            await client.wire.close()

    asyncio.run(play())


WRONG = [
    ("{", "bad_message"), ("[]", "bad_message"), ('{"type": "agent.dance"}', "bad_message"),
    (b"\x00", "bad_message"),
    (told({"type": "agent.speak", "audio": "???"}), "bad_message"),
    (told({"type": "agent.set_control", "emotion": "hungry"}), "invalid"),
    (told({"type": "agent.set_control", "phase": "idle"}), "invalid"),
    (told({"type": "agent.set_control", "intensity": 10**400}), "invalid"),
    (told({"type": "agent.set_control", "gaze": [[1], {}]}), "invalid"),
    (told({"type": "agent.set_control", "gain": {"jawOpen": "NaN"}}), "invalid"),
    (told({"type": "agent.set_control", "self": 1}), "invalid"),
    (told({"type": "agent.set_control", "": 1}), "invalid"),
    (told({"type": "agent.say", "text": "hello", "event_id": "x"}), "not_available"),
    (told({"type": "user.text", "text": "hello"}), "refused"),
]  # fmt: skip


def test_wrong_messages_are_answered_and_the_connection_goes_on() -> None:
    async def play() -> None:
        async with running() as server:
            client = await join(server, await server.open())
            for nr, (data, code) in enumerate(WRONG, 1):
                await client.wire.send(data)
                await until(lambda nr=nr: len(client.of("error")) == nr)
                error = client.of("error")[-1]
                assert error["code"] == code, (data, error)
                assert "Traceback" not in error["message"]
            assert client.of("error")[-2]["event_id"] == "x"
            sound = base64.b64encode(pcm(tone(10.0, 8_000))).decode()
            for _ in range(8):
                await client.send(type="agent.speak", audio=sound, sample_rate=8_000)
            await until(lambda: client.of("error")[-1]["code"] == "queue_full")
            await client.send(type="session.keep_alive")
            await until(lambda: client.of("metrics.frame"))
            await client.wire.close()

    asyncio.run(play())


def test_nobody_enters_without_the_token_of_that_session() -> None:
    async def play() -> None:
        async with running() as server:
            first, second = await server.open(), await server.open()
            base = server.address.replace("http", "ws")
            for address in (
                f"{base}{first['ws']}",
                f"{base}{first['ws']}?token=x",
                f"{base}{first['ws']}?token={second['token']}",
                f"{base}/api/sessions/{'0' * 32}/ws?token={first['token']}",
                f"{base}/api/sessions/..%2f..%2fetc/ws?token={first['token']}",
                server.socket(first, "&user_rate=1"),
                server.socket(first, "&media=perhaps"),
            ):
                with pytest.raises(InvalidStatus):
                    await connect(address)
            with pytest.raises(InvalidStatus):
                await connect(server.socket(first), origin="https://evil.example")
            path = f"/api/sessions/{first['session_id']}"
            client = await join(server, first)
            await server.client.delete(path, headers=bearer(first))
            await asyncio.wait_for(client.task, 5)
            assert client.messages[-1] == {
                "type": "session.state_updated", "state": "closed", "reason": "deleted",
            }  # fmt: skip
            with pytest.raises(InvalidStatus):
                await connect(server.socket(first))

    asyncio.run(play())


def test_a_message_that_is_too_long_ends_the_connection_and_not_the_session() -> None:
    async def play() -> None:
        async with running(max_message_bytes=10_000) as server:
            opened = await server.open()
            client = await join(server, opened)
            await client.wire.send("x" * 20_000)
            await asyncio.wait_for(client.task, 5)
            assert client.wire.close_code == 1009
            assert server.parts.sessions[opened["session_id"]].state == "connected"

    asyncio.run(play())


def test_a_client_that_is_torn_off_or_never_reads_leaves_others_alone() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            watching = await join(server, opened, "&media=1")
            live = server.parts.sessions[opened["session_id"]]
            torn = await join(server, opened, "&media=1")
            stuck = await connect(server.socket(opened, "&media=1"), max_queue=1)
            await until(lambda: live.viewers == 6)
            torn.wire.transport.abort()
            await until(lambda: live.viewers == 4)
            seen = len(watching.media)
            await until(lambda: len(watching.media) > seen + 40)
            assert live.state == "connected"
            stuck.transport.abort()
            await watching.wire.close()
            await until(lambda: live.viewers == 0)

    asyncio.run(play())
