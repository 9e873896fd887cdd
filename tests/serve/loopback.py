"""A whole server on a loopback port inside a test's own event loop, and WebRTC peers of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from visavis.provenance.policy import Policy
from visavis.serve.context import Server
from visavis.serve.run import DrainingServer, make_server
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage
from visavis.serve.voices import Voices
from visavis.stream.worker import Crew

SMALL: dict[str, Any] = {
    "port": 0, "max_sessions": 3, "size": 128, "quality": "draft", "drain_s": 0,
    "starts_per_minute": 1_000, "sessions_per_caller": 100,
}  # fmt: skip
"""Settings of a server that tests can afford."""


@dataclass(frozen=True)
class Running:
    """A server that takes connections at ``address``, and a client of it."""

    server: DrainingServer
    parts: Server
    address: str
    client: httpx.AsyncClient

    async def open(self, **wish: Any) -> dict[str, Any]:
        """Open a session."""
        answer = await self.client.post("/api/sessions", json=wish)
        assert answer.status_code == 201, answer.text
        opened: dict[str, Any] = answer.json()
        return opened

    def socket(self, opened: dict[str, Any], query: str = "") -> str:
        """Return the address of the session's WebSocket."""
        base = self.address.replace("http", "ws", 1)
        return f"{base}{opened['ws']}?token={opened['token']}{query}"


def bearer(opened: dict[str, Any]) -> dict[str, str]:
    """Return the header that opens a session."""
    return {"Authorization": f"Bearer {opened['token']}"}


@asynccontextmanager
async def running(**changes: Any) -> AsyncIterator[Running]:
    """Run a server with small settings and ``changes`` on a free port of 127.0.0.1."""
    voices = changes.pop("voices", None) or Voices(None)
    settings = ServerSettings(**{**SMALL, **changes})
    stage = Stage(settings, Policy(), Crew(1), voices)
    server = make_server(settings, stage)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
            assert not serving.done(), serving.result()
        scheme = "https" if settings.tls_cert else "http"
        address = f"{scheme}://127.0.0.1:{port}"
        try:
            async with httpx.AsyncClient(base_url=address, timeout=20, verify=False) as client:
                parts: Server = server.config.app.state.server  # type: ignore[union-attr]
                yield Running(server, parts, address, client)
        finally:
            server.should_exit = True
            await serving


@dataclass
class Seen:
    """What a WebRTC peer got: time stamps and means of pictures, sound levels, messages."""

    pictures: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    images: list[np.ndarray] = field(default_factory=list)
    sounds: list[tuple[int, float]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def kinds(self) -> list[str]:
        """Return the types of the messages in order."""
        return [message["type"] for message in self.messages]


def tone(seconds: float, rate: int = 24_000, pitch: float = 150.0) -> np.ndarray:
    """Return a buzz that a speech recogniser takes for a voice, (n,) float32."""
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sign(np.sin(2 * np.pi * pitch * t))).astype(np.float32)


class Buzz:
    """A voice that needs nothing: a tenth of a second for each character."""

    rate = 24_000

    def speak(self, text: str) -> Iterator[np.ndarray]:
        """Buzz."""
        yield tone(0.1 * len(text))


def pcm(sound: np.ndarray) -> bytes:
    """Return ``sound`` as little-endian PCM16."""
    return (sound * 32_767).astype("<i2").tobytes()


async def until(condition: Any, seconds: float = 8.0) -> None:
    """Wait until ``condition()`` holds; fail after ``seconds``."""
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {condition}")


def told(message: dict[str, Any]) -> str:
    """Return ``message`` as JSON."""
    return json.dumps(message)
