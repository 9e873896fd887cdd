"""FastRTC's own Stream behind a real server, called by a real WebRTC peer on the loopback."""

from __future__ import annotations

import asyncio
import fractions
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("fastrtc")
    import httpx
    import uvicorn
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
    from av import AudioFrame
    from fastapi import FastAPI
    from fastrtc import Stream

    from visavis.integrations.fastrtc import Talk, VisavisHandler

from visavis.dialogue.join import converse, partner_by
from visavis.integrations.speaker import Face
from visavis.media.resample import resample
from visavis.stream.session import Session

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
RATE = 48_000


class Microphone(AudioStreamTrack):
    """Speaks ``pcm`` at 48 kHz in 20 ms frames, then is silent."""

    def __init__(self, pcm: np.ndarray) -> None:
        super().__init__()
        self._pcm, self._at = pcm, 0

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(0.02)
        piece = np.zeros(960, np.int16)
        part = self._pcm[self._at : self._at + 960]
        piece[: len(part)] = part
        frame = AudioFrame.from_ndarray(piece[None], layout="mono")
        frame.sample_rate, frame.pts = RATE, self._at
        frame.time_base = fractions.Fraction(1, RATE)
        self._at += 960
        return frame


class Caller:
    """A browser without a picture: what it says, hears, sees and is told."""

    def __init__(self, name: str, says: np.ndarray) -> None:
        self.name = name
        self.peer = RTCPeerConnection(RTCConfiguration([]))
        self.sounds: list[tuple[float, AudioFrame]] = []
        self.pictures: list[tuple[float, Any]] = []
        self.told: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.peer.on("track", self._meet)
        channel = self.peer.createDataChannel("text")
        channel.on("message", lambda message: self.told.append(json.loads(message)))
        self.peer.addTrack(Microphone(says))
        self.peer.addTrack(VideoStreamTrack())

    def _meet(self, track: Any) -> None:
        got = self.sounds if track.kind == "audio" else self.pictures
        self._tasks.append(asyncio.create_task(self._take(track, got)))

    async def _take(self, track: Any, got: list[tuple[float, Any]]) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            got.append((asyncio.get_running_loop().time(), frame))

    async def call(self, port: int) -> dict[str, Any]:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        offer = {"sdp": self.peer.localDescription.sdp, "type": "offer", "webrtc_id": self.name}
        async with httpx.AsyncClient(timeout=10) as client:
            reply = await client.post(f"http://127.0.0.1:{port}/webrtc/offer", json=offer)
        answer = reply.json()
        if "sdp" in answer:
            described = RTCSessionDescription(answer["sdp"], answer["type"])
            await self.peer.setRemoteDescription(described)
        return dict(answer)

    async def hang_up(self) -> None:
        await self.peer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def loud(self) -> list[float]:
        """When something was heard."""
        return [t for t, frame in self.sounds if np.abs(frame.to_ndarray()).max() > 300]


@asynccontextmanager
async def served(stream: Stream) -> AsyncIterator[int]:
    app = FastAPI()
    stream.mount(app)
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


def meet(
    face: Face, work: Callable[[Stream, int], Awaitable[None]], talk: Talk | None = None
) -> None:
    async def meeting() -> None:
        stream = Stream(
            VisavisHandler(face, talk),
            modality="audio-video",
            mode="send-receive",
            concurrency_limit=2,
            server_rtc_configuration={"iceServers": []},
            verbose=False,
        )
        async with served(stream) as port:
            await work(stream, port)

    asyncio.run(asyncio.wait_for(meeting(), 60))


async def until(condition: Callable[[], Any]) -> None:
    async def holds() -> None:
        while not condition():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(holds(), 20)


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (0.4 * 32_767 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)


def test_a_caller_sees_a_face_that_says_what_it_is_given(face: Face) -> None:
    still = asyncio.run(first_picture(face))

    async def work(stream: Stream, port: int) -> None:
        caller = Caller("one", tone(0))
        assert set(await caller.call(port)) == {"sdp", "type"}
        await until(lambda: len(caller.pictures) > 30)
        assert not caller.loud()
        started = asyncio.get_running_loop().time()
        stream.set_input("one", (RATE, tone(1.0)))
        await until(caller.loud)
        await until(lambda: caller.sounds[-1][0] - caller.loud()[-1] > 0.5)
        handler = stream.handlers["one"]
        session = handler.session
        await caller.hang_up()
        await until(lambda: not session.is_live and not stream.handlers)

        loud = caller.loud()
        assert loud[0] > started
        assert len(loud) * 0.02 == pytest.approx(1.0, abs=0.1)
        pts = np.diff([frame.pts for _, frame in caller.pictures])
        assert set(pts) == {90_000 // 25}
        assert {(f.width, f.height) for _, f in caller.pictures} == {(96, 96)}
        samples = np.diff([frame.pts for _, frame in caller.sounds])
        assert set(samples) == {960}
        seen = caller.pictures[20][1].to_ndarray(format="rgb24").astype(float)
        assert np.abs(seen - still).mean() < 0.6 * np.abs(seen - still[..., ::-1]).mean()

    meet(face, work)


async def first_picture(face: Face) -> np.ndarray:
    async with face.session(VisavisHandler(face).settings) as session:
        async for moment in session:
            return moment.image.astype(float)
    raise AssertionError


def test_a_caller_is_answered(face: Face, words: np.ndarray) -> None:
    question = resample((words[16_000:40_000] / 32_768).astype(np.float32), 16_000, RATE)

    async def work(stream: Stream, port: int) -> None:
        caller = Caller("one", (question * 32_767).astype(np.int16))
        await caller.call(port)
        await until(caller.loud)
        await caller.hang_up()

    meet(face, work, lambda session: converse(session, partner_by("echo")))


class Guest:
    """A conversation that says back the first that is loud."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_open = self.has_spoken = False

    async def __aenter__(self) -> Guest:
        self.is_open = True
        return self

    async def __aexit__(self, *reason: object) -> None:
        self.is_open = False

    def hear(self, samples: np.ndarray, rate: int) -> None:
        assert (rate, samples.dtype) == (RATE, np.float32)
        if np.abs(samples).max() > 0.1 and not self.has_spoken:
            self.has_spoken = True
            self.session.push_audio(np.tile(samples, 20), rate)
            self.session.end_audio()


def test_each_caller_has_a_conversation_of_its_own(face: Face) -> None:
    guests: list[Guest] = []

    def talk(session: Session) -> Any:
        guests.append(Guest(session))
        return guests[-1]

    async def work(stream: Stream, port: int) -> None:
        one, two, third = Caller("one", tone(9.0)), Caller("two", tone(0)), Caller("3", tone(0))
        await one.call(port)
        await two.call(port)
        refused = await third.call(port)
        assert refused["meta"]["error"] == "concurrency_limit_reached"
        await until(one.loud)
        await until(lambda: len(two.pictures) > 20)
        assert not two.loud()
        assert [guest.is_open for guest in guests] == [True, True]
        assert sorted(guest.has_spoken for guest in guests) == [False, True]
        await one.hang_up()
        await until(lambda: not all(guest.is_open for guest in guests))
        seen = len(two.pictures)
        await until(lambda: len(two.pictures) > seen + 10)
        await two.hang_up()
        await third.hang_up()
        await until(lambda: not any(guest.is_open for guest in guests))

    meet(face, work, talk)


def test_a_recording_that_is_too_long_is_refused_in_words(face: Face) -> None:
    async def work(stream: Stream, port: int) -> None:
        caller = Caller("one", tone(0))
        await caller.call(port)
        await until(lambda: len(caller.pictures) > 5)
        stream.set_input("one", (RATE, np.zeros((RATE * 70, 2), np.int16)))
        await until(lambda: any(message["type"] == "warning" for message in caller.told))
        (warning,) = [m["data"] for m in caller.told if m["type"] == "warning"]
        assert "60 s are possible" in warning
        await caller.hang_up()

    meet(face, work)


def test_a_session_that_fails_ends_the_call(face: Face) -> None:
    async def work(stream: Stream, port: int) -> None:
        caller = Caller("one", tone(0))
        await caller.call(port)
        await until(lambda: len(caller.pictures) > 5)
        await stream.handlers["one"].session.close()
        await until(lambda: any(message["type"] == "end_stream" for message in caller.told))
        await caller.hang_up()

    meet(face, work)
