"""A Realtime server on 127.0.0.1 that is strict about what it is told and scripted."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

_FIELDS = {
    "session.update": {"type", "session"},
    "input_audio_buffer.append": {"type", "audio"},
    "conversation.item.create": {"type", "item"},
    "conversation.item.truncate": {"type", "item_id", "content_index", "audio_end_ms"},
    "response.create": {"type", "response"},
    "response.cancel": {"type"},
}


@dataclass
class RealtimeServer:
    """``got`` holds what the clients sent; ``wrong`` what no server would accept."""

    port: int = 0
    got: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    refuses: HTTPStatus | None = None
    item_ms: dict[str, int] = field(default_factory=dict)
    rate: int = 24_000

    @property
    def url(self) -> str:
        return f"realtime:gpt-rt@ws://127.0.0.1:{self.port}/v1"

    def kinds(self) -> list[str]:
        return [m["type"] for m in self.got if m["type"] != "input_audio_buffer.append"]

    def heard(self) -> np.ndarray:
        sound = [m["audio"] for m in self.got if m["type"] == "input_audio_buffer.append"]
        return np.concatenate([np.frombuffer(base64.b64decode(s), "<i2") for s in sound])

    async def until(self, kind: str, times: int = 1) -> dict[str, Any]:
        """Wait until ``kind`` has been received ``times`` times."""

        def found() -> list[dict[str, Any]]:
            return [m for m in self.got if m["type"] == kind]

        async def waiting() -> None:
            while len(found()) < times:
                await asyncio.sleep(0.005)

        await asyncio.wait_for(waiting(), 8.0)
        return found()[times - 1]

    async def send(self, *messages: dict[str, Any] | str) -> None:
        for message in messages:
            await self.sockets[-1].send(
                message if isinstance(message, str) else json.dumps(message)
            )

    async def answer(
        self, item: str, seconds: float, *, text: str = "", beta: bool = False, end: bool = True
    ) -> None:
        """Say ``seconds`` of a tone as ``item``, faster than it is heard, in odd pieces."""
        output = "" if beta else "output_"
        ids = {"response_id": f"r-{item}", "item_id": item, "output_index": 0, "content_index": 0}
        tone = np.round(8_000 * np.sin(np.arange(int(seconds * self.rate)) / 20)).astype("<i2")
        self.item_ms[item] = self.item_ms.get(item, 0) + int(1000 * seconds)
        await self.send({"type": "response.created", "response": {"id": f"r-{item}"}})
        transcript = f"response.{output}audio_transcript"
        for word in text.split(" ") if text else []:
            await self.send({"type": f"{transcript}.delta", **ids, "delta": word + " "})
        for i in range(0, len(tone), 4_801):
            delta = base64.b64encode(tone[i : i + 4_801].tobytes()).decode()
            await self.send({"type": f"response.{output}audio.delta", **ids, "delta": delta})
        if end:
            await self.send(
                {"type": f"{transcript}.done", **ids},
                {"type": f"response.{output}audio.done", **ids},
                {"type": "response.done", "response": {"id": f"r-{item}", "status": "completed"}},
            )

    def judge(self, data: str | bytes) -> None:
        """Keep what a client sent, and note what is wrong with it."""
        message = json.loads(data)
        self.got.append(message)
        allowed = _FIELDS.get(message.get("type"), set())
        if not set(message) <= allowed:
            self.wrong.append(f"{message}")
        if message["type"] == "conversation.item.truncate":
            length = self.item_ms.get(message["item_id"], -1)
            if not 0 <= message["audio_end_ms"] <= length:
                self.wrong.append(f"{message} of {length} ms")
        if message["type"] == "session.update":
            session = message["session"]
            if session["type"] != "realtime" or session["output_modalities"] != ["audio"]:
                self.wrong.append(f"{session}")


@asynccontextmanager
async def realtime_server(
    script: Callable[[RealtimeServer], Awaitable[None]] | None = None, rate: int = 24_000
) -> AsyncIterator[RealtimeServer]:
    """Serve as long as the block lasts; ``script`` runs on each connection."""
    told = RealtimeServer(rate=rate)

    async def handle(socket: ServerConnection) -> None:
        told.sockets.append(socket)
        await socket.send(json.dumps({"type": "session.created", "session": {}}))
        if script is not None:
            await script(told)
        with suppress(ConnectionClosed):
            async for data in socket:
                told.judge(data)

    def refuse(socket: ServerConnection, request: Any) -> Any:
        told.requests.append(request)
        if told.refuses is None:
            return None
        return socket.respond(told.refuses, '{"error":{"message":"not today"}}')

    async with serve(handle, "127.0.0.1", 0, process_request=refuse) as server:
        told.port = server.sockets[0].getsockname()[1]
        yield told
