"""A WebRTC peer as a browser is one: offers, decodes what comes, talks on a data channel."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from loopback import Running, Seen, bearer, until


class Microphone(MediaStreamTrack):
    """Plays ``sound`` (n,) float32 at 48 kHz, then silence, in real time."""

    kind = "audio"

    def __init__(self, sound: np.ndarray) -> None:
        super().__init__()
        self._sound = sound
        self._at = 0

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(0.02)
        piece = np.zeros(960, np.int16)
        part = self._sound[self._at : self._at + 960]
        piece[: len(part)] = part * 32_767
        frame = AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._at, Fraction(1, 48_000)
        self._at += 960
        return frame


class Viewer:
    """One peer of a running server."""

    def __init__(self, microphone: np.ndarray | None = None, keep_images: bool = False) -> None:
        self.pc = RTCPeerConnection()
        self.seen = Seen()
        self.channel = self.pc.createDataChannel("control")
        self._keep_images = keep_images
        self._tasks: set[asyncio.Task[None]] = set()
        self.pc.addTransceiver("video", direction="recvonly")
        if microphone is None:
            self.pc.addTransceiver("audio", direction="recvonly")
        else:
            self.pc.addTrack(Microphone(microphone))
        self.channel.on("message", lambda text: self.seen.messages.append(_json(text)))
        self.pc.on("track", lambda track: self._tasks.add(asyncio.ensure_future(self._take(track))))

    async def _take(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame: Any = await track.recv()
                if track.kind == "audio":
                    level = float(np.abs(frame.to_ndarray().astype(np.float32)).mean())
                    self.seen.sounds.append((frame.pts, level))
                    continue
                self.seen.pictures.append((frame.pts, (frame.width, frame.height)))
                if self._keep_images:
                    self.seen.images.append(frame.to_ndarray(format="rgb24"))
        except MediaStreamError:
            pass

    async def offer(self) -> str:
        """Return the SDP of the offer."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def take(self, answer: str) -> None:
        """Take the answer and wait until connected."""
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await until(lambda: self.pc.connectionState == "connected")

    async def connect(self, server: Running, opened: dict[str, Any]) -> dict[str, Any]:
        """Connect to a session by POST /api/offer."""
        body = {"sdp": await self.offer(), "type": "offer", "session_id": opened["session_id"]}
        answer = await server.client.post("/api/offer", json=body, headers=bearer(opened))
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json()
        await self.take(given["sdp"])
        await until(lambda: self.channel.readyState == "open")
        return given

    async def close(self) -> None:
        """Hang up."""
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _json(text: str) -> dict[str, Any]:
    import json

    message: dict[str, Any] = json.loads(text)
    return message
