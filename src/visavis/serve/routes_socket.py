"""The control protocol over a WebSocket, and, for those without WebRTC, picture and sound too."""

from __future__ import annotations

import asyncio
import logging
from struct import Struct
from typing import Annotated

from fastapi import APIRouter, Path, Query, WebSocket, WebSocketDisconnect

from visavis.serve.context import may_enter, server_of
from visavis.serve.control import Control
from visavis.serve.feeds import Feed
from visavis.serve.live import LiveSession
from visavis.serve.messages import as_pcm16, written
from visavis.serve.outputs.mjpeg import jpeg
from visavis.serve.schemas import ID_PATTERN
from visavis.stream.moments import Moment

_LOG = logging.getLogger(__name__)

router = APIRouter()
HEADER = Struct("<BBHI")
"""Before each binary message: kind, flags, rate / 100, index of the frame."""
PICTURE, SOUND = 1, 2
FRESH = 1
MOST_LISTENERS = 16
_PICTURES, _SOUNDS = 1, 12
_JPEG = 85
_POLICY, _GOING_AWAY, _TRY_LATER = 1008, 1001, 1013


@router.websocket("/api/sessions/{session_id}/ws")
async def talk(
    socket: WebSocket,
    session_id: Annotated[str, Path(pattern=ID_PATTERN)],
    media: Annotated[bool, Query()] = False,
    user_rate: Annotated[int, Query(ge=8_000, le=48_000)] = 16_000,
) -> None:
    """Carry messages of serve/messages.py; with ``media`` JPEG and PCM16 as binary messages too.

    What the client sends as binary messages is its microphone, PCM16 mono at ``user_rate``.
    """
    server = server_of(socket)
    if not may_enter(socket, session_id):
        await socket.close(_POLICY, "Give the session's token: ?token=TOKEN.")
        return
    live = server.sessions[session_id]
    if live.listeners >= MOST_LISTENERS:
        await socket.close(_TRY_LATER, "Enough clients are connected already.")
        return
    await socket.accept()
    talker = _Talker(socket, live, Control(live.person, server.stage.voices, user_rate))
    await talker.run(media)


class _Talker:
    """One client of one session."""

    def __init__(self, socket: WebSocket, live: LiveSession, control: Control) -> None:
        """Be about to talk over ``socket``."""
        self._socket = socket
        self._live = live
        self._control = control
        self._turn = asyncio.Lock()

    async def run(self, with_media: bool) -> None:
        """Talk until the client goes or the session ends."""
        tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._tell())]
        if with_media:
            pictures, sounds = self._live.subscribe(_PICTURES), self._live.subscribe(_SOUNDS)
            tasks.append(asyncio.create_task(self._show(pictures)))
            tasks.append(asyncio.create_task(self._sound(sounds)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception) and not isinstance(error, _GONE):
                _LOG.error("a connection failed", exc_info=error)

    async def _take(self) -> None:
        """Do what the client says."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("text")
            reply = self._control.take(message["bytes"] if data is None else data)
            if reply is not None:
                await self._send(written(reply))
            await asyncio.sleep(0)  # a flood of one client must not keep the others waiting

    async def _tell(self) -> None:
        """Send the session's messages; when they end, so does the connection."""
        feed = self._live.listen()
        try:
            async for message in feed:
                await self._send(written(message))
            await self._socket.close(_GOING_AWAY, self._live.ended_as)
        finally:
            feed.close()

    async def _show(self, feed: Feed[Moment]) -> None:
        """Send pictures, the newest each time."""
        try:
            async for moment in feed:
                picture = await asyncio.to_thread(jpeg, moment.image, _JPEG)
                header = HEADER.pack(PICTURE, FRESH * moment.is_fresh, 0, moment.index)
                await self._send(header + picture)
        finally:
            feed.close()

    async def _sound(self, feed: Feed[Moment]) -> None:
        """Send sound."""
        try:
            async for moment in feed:
                header = HEADER.pack(SOUND, 0, moment.rate // 100, moment.index)
                await self._send(header + as_pcm16(moment.sound))
        finally:
            feed.close()

    async def _send(self, data: str | bytes) -> None:
        """Send one message; one at a time."""
        async with self._turn:
            if isinstance(data, str):
                await self._socket.send_text(data)
            else:
                await self._socket.send_bytes(data)


_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What sending to a client that has gone raises."""
