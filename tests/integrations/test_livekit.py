"""LiveKit's own classes, from AgentSession to the WebRTC tracks; only the server is missing.

``Room`` stands for the SFU: it keeps what is published, and passes byte streams and calls on to
another room. Tracks are LiveKit's native ones and are read through its native streams.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("livekit.agents")
    from livekit import rtc
    from livekit.agents import Agent, AgentSession, UserStateChangedEvent
    from livekit.agents.voice import avatar as lk

    from visavis.integrations.livekit import AvatarSession, VisavisVideoGenerator, start_worker

from visavis.integrations.speaker import Face
from visavis.media.resample import resample
from visavis.stream.settings import Settings
from visavis.types import Phase

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE = 24_000
FADE = round(0.015 * RATE)


class Participant:
    """One end of a room without a server."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        self.state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        self.tracks: list[Any] = []
        self.track_publications: dict[str, Any] = {}
        self._rpc_handlers: dict[str, Any] = {}
        self.streams: dict[str, Any] = {}
        self.others: dict[str, Participant] = {}

    async def publish_track(self, track: Any, options: Any) -> Any:
        self.tracks.append(track)
        publication = SimpleNamespace(kind=track.kind, wait_for_subscription=_at_once)
        self.track_publications[track.name] = publication
        return publication

    def register_rpc_method(self, method: str, handler: Any) -> None:
        self._rpc_handlers[method] = handler

    async def perform_rpc(self, destination_identity: str, method: str, payload: str) -> str:
        data = SimpleNamespace(caller_identity=self.identity, payload=payload)
        return self.others[destination_identity]._rpc_handlers[method](data)

    async def stream_bytes(
        self, name: str, topic: str, destination_identities: list[str], attributes: Any
    ) -> Stream:
        stream = Stream(attributes)
        self.others[destination_identities[0]].streams[topic](stream, self.identity)
        return stream


class Stream:
    """A byte stream: what is written at one end is read at the other."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.info = SimpleNamespace(attributes=attributes, stream_id="one")
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        self._pieces.put_nowait(data)

    async def aclose(self) -> None:
        self._pieces.put_nowait(None)

    async def __anext__(self) -> bytes:
        piece = await self._pieces.get()
        if piece is None:
            raise StopAsyncIteration
        return piece


async def _at_once() -> None:
    return


class Room(rtc.EventEmitter[Any]):
    def __init__(self, identity: str = "agent") -> None:
        super().__init__()
        self.name = "room"
        self.local_participant = Participant(identity)

    @property
    def remote_participants(self) -> dict[str, Participant]:
        return self.local_participant.others

    def isconnected(self) -> bool:
        return True

    def register_byte_stream_handler(self, topic: str, handler: Any) -> None:
        self.local_participant.streams[topic] = handler

    def meet(self, other: Room) -> None:
        self.remote_participants[other.local_participant.identity] = other.local_participant
        other.remote_participants[self.local_participant.identity] = self.local_participant


class Viewer:
    """Somebody in the room who takes what the avatar publishes."""

    def __init__(self, room: Room, rate: int = RATE) -> None:
        self._room, self._rate = room, rate
        self.sounds: list[np.ndarray] = []
        self.pictures: list[tuple[int, int, int]] = []

    async def __aenter__(self) -> Viewer:
        self._tasks = [asyncio.create_task(self._watch())]
        return self

    async def __aexit__(self, *reason: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        while len(self._room.local_participant.tracks) < 2:
            await asyncio.sleep(0.005)
        sound, picture = self._room.local_participant.tracks
        self._tasks.append(asyncio.create_task(self._see(picture)))
        stream = rtc.AudioStream.from_track(track=sound, sample_rate=self._rate, num_channels=1)
        try:
            async for event in stream:
                self.sounds.append(np.frombuffer(event.frame.data, np.int16).copy())
        finally:
            await stream.aclose()

    async def _see(self, track: Any) -> None:
        stream = rtc.VideoStream.from_track(track=track)
        try:
            async for event in stream:
                self.pictures.append((event.timestamp_us, event.frame.width, event.frame.height))
        finally:
            await stream.aclose()

    async def hears(self, count: int) -> None:
        """Return when so many samples were heard, or after a while; the runner is a bit ahead."""
        for _ in range(100):
            await asyncio.sleep(0.02)
            if sum(len(piece) for piece in self.sounds if piece.any()) >= count:
                break

    def heard(self) -> np.ndarray:
        """Return the sound from its first to its last sample that is not zero.

        A source that has nothing plays 10 ms of silence, between the frames it is given: a busy
        machine may leave gaps, but nothing is lost or changed.
        """
        sound = np.concatenate([piece for piece in self.sounds if piece.any()])
        (places,) = np.nonzero(sound)
        return sound[places[0] : places[-1] + 1]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def frames(pcm: np.ndarray, rate: int, channels: int = 1) -> list[rtc.AudioFrame]:
    step = rate // 50
    pieces = [np.repeat(pcm[i : i + step], channels) for i in range(0, len(pcm), step)]
    return [rtc.AudioFrame(p.tobytes(), rate, channels, len(p) // channels) for p in pieces]


async def spoken(pcm: np.ndarray, rate: int = RATE) -> AsyncIterator[rtc.AudioFrame]:
    for frame in frames(pcm, rate):
        yield frame


def test_an_agent_speaks_through_the_face_is_interrupted_and_goes_on(
    face: Face, words: np.ndarray
) -> None:
    async def conversation() -> None:
        room, agent = Room(), AgentSession[None]()
        avatar = AvatarSession(face)
        ends: list[Any] = []
        starts: list[Any] = []
        async with Viewer(room) as viewer:
            await avatar.start(agent, room)
            await agent.start(Agent(instructions=""))
            assert agent.output.audio is not None
            agent.output.audio.on("playback_started", starts.append)
            agent.output.audio.on("playback_finished", ends.append)

            await agent.say("one", audio=spoken(words[:12_345])).wait_for_playout()
            assert (ends[0].playback_position, ends[0].interrupted) == (12_345 / RATE, False)
            await viewer.hears(12_345)
            assert np.array_equal(viewer.heard(), words[:12_345])

            viewer.sounds.clear()
            speech = agent.say("two", audio=spoken(words))
            await asyncio.sleep(0.9)
            speech.interrupt()
            await speech.wait_for_playout()
            await asyncio.sleep(0.5)
            position = round(ends[1].playback_position * RATE)
            assert ends[1].interrupted
            assert 0.5 * RATE < position < len(words)
            heard = viewer.heard()
            assert np.array_equal(heard[:position], words[:position])
            assert len(heard) <= position + FADE

            viewer.sounds.clear()
            await agent.say("three", audio=spoken(words[-6_000:])).wait_for_playout()
            await viewer.hears(6_000)
            assert np.array_equal(viewer.heard(), words[-6_000:])
            assert len(starts) == 3
            assert [end.playback_position for end in ends[2:]] == [0.25]
            await avatar.aclose()
        assert avatar.provider == "visavis"
        assert room.local_participant.identity == "agent"
        await agent.aclose()
        times = [time for time, _, _ in viewer.pictures]
        assert len(times) > 40
        assert (times[-1] - times[0]) / 1000 / (len(times) - 1) > 38

    run(conversation())


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (24_000, 2), (48_000, 1)])
def test_a_runner_takes_sound_of_any_rate(
    face: Face, words: np.ndarray, rate: int, channels: int
) -> None:
    pcm = (0.4 * 32_767 * np.sin(np.arange(rate) * 2 * np.pi * 150 / rate)).astype(np.int16)
    expected = resample((pcm / 32_768).astype(np.float32), rate, RATE)

    async def played() -> None:
        room = Room()
        generator = VisavisVideoGenerator(face)
        sound = lk.QueueAudioOutput(wait_playback_start=True)
        await generator.start()
        runner = lk.AvatarRunner(
            room, audio_recv=sound, video_gen=generator, options=generator.options
        )
        async with Viewer(room) as viewer:
            await runner.start()
            for frame in frames(pcm, rate, channels):
                await sound.capture_frame(frame)
            sound.flush()
            end = await sound.wait_for_playout()
            await viewer.hears(RATE)
            await runner.aclose()
            await generator.aclose()
        assert not end.interrupted
        assert 1.0 <= end.playback_position <= 1.5
        heard = viewer.heard()[:23_000] / 32_768
        lags = [np.abs(heard[:-8] - expected[k:][: len(heard) - 8]).max() for k in range(8)]
        assert min(lags) < 2e-3
        assert {(w, h) for _, w, h in viewer.pictures} == {(96, 96)}

    run(played())


def test_pictures_come_before_their_sound_and_segments_end_once(
    face: Face, words: np.ndarray
) -> None:
    async def generated() -> None:
        settings = Settings(sound_rate=RATE, is_paced=False)
        generator = VisavisVideoGenerator(face, settings)
        await generator.start()
        for frame in frames(words[:RATE], RATE):
            await generator.push_audio(frame)
        await generator.push_audio(lk.AudioSegmentEnd())
        await generator.push_audio(lk.AudioSegmentEnd())
        items: list[Any] = []
        async for item in generator:
            items.append(item)
            if len(items) == 80:
                break
        await generator.aclose()
        kinds = "".join({rtc.VideoFrame: "v", rtc.AudioFrame: "a"}.get(type(i), "e") for i in items)
        assert kinds.count("e") == 1
        assert kinds.index("e") > kinds.rindex("a")
        assert "aa" not in kinds
        assert kinds[0] == "v"
        sounds = [np.frombuffer(i.data, np.int16) for i in items if isinstance(i, rtc.AudioFrame)]
        assert np.array_equal(np.concatenate(sounds)[:RATE], words[:RATE])
        assert all(i.type == rtc.VideoBufferType.RGB24 for i in items if hasattr(i, "width"))

    run(generated())


def test_an_agent_elsewhere_speaks_through_a_worker(face: Face, words: np.ndarray) -> None:
    async def apart() -> None:
        agent, worker = Room("agent"), Room("avatar")
        agent.meet(worker)
        generator = VisavisVideoGenerator(face)
        runner = await start_worker(generator, worker, sender="agent")
        sink = lk.DataStreamAudioOutput(
            agent, destination_identity="avatar", sample_rate=RATE, wait_playback_start=True
        )
        async with Viewer(worker) as viewer:
            for frame in frames(words[:13_000], RATE):
                await sink.capture_frame(frame)
            sink.flush()
            end = await sink.wait_for_playout()
            assert (end.playback_position, end.interrupted) == (13_000 / RATE, False)
            await viewer.hears(13_000)
            assert np.array_equal(viewer.heard(), words[:13_000])
            viewer.sounds.clear()
            for frame in frames(words, RATE):
                await sink.capture_frame(frame)
            await asyncio.sleep(0.7)
            sink.clear_buffer()
            sink.flush()
            end = await sink.wait_for_playout()
            await asyncio.sleep(0.5)
            position = round(end.playback_position * RATE)
            assert end.interrupted
            assert np.array_equal(viewer.heard()[:position], words[:position])
            assert len(viewer.heard()) <= position + FADE
        await runner.aclose()
        await generator.aclose()

    run(apart())


def test_the_face_listens_while_the_user_speaks(face: Face) -> None:
    async def listened() -> None:
        room, agent = Room(), AgentSession[None]()
        avatar = AvatarSession(face)
        await avatar.start(agent, room)
        generator = avatar._generator
        phases: list[Phase] = []
        for old, new in (("listening", "speaking"), ("speaking", "listening")):
            event = UserStateChangedEvent(old_state=old, new_state=new)
            agent.emit("user_state_changed", event)
            await asyncio.sleep(0.4)
            phases.append(generator._speaker.session.phase)
        assert phases[0] is Phase.LISTENING
        await avatar.aclose()
        assert not generator._speaker.session.is_live
        assert avatar.avatar_identity == ""

    run(listened())
