"""LiveKit Agents: the agent gets a face, drawn in its own process or in a worker beside it.

In the agent's process (no account, no cloud, the agent's participant publishes the picture)::

    avatar = AvatarSession(open_face("portrait.jpg"))
    await avatar.start(session, room=ctx.room)      # before session.start(...)
    await session.start(agent=..., room=ctx.room)

In a process of its own, joined to the room with a token of kind "agent": ``start_worker``. Sound of
any rate comes in frames; pictures and sound go out through LiveKit's ``AvatarRunner``, which keeps
them together. Written for livekit-agents 1.8 (``livekit.agents.voice.avatar``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack

import numpy as np

from visavis.errors import MissingExtra
from visavis.integrations.speaker import Beat, Face, Speaker
from visavis.stream.settings import Settings
from visavis.types import MOTION_FPS, FloatArray

try:
    from livekit import rtc
    from livekit.agents import AgentSession, UserStateChangedEvent
    from livekit.agents.voice import avatar as lk
except ModuleNotFoundError as error:
    raise MissingExtra(
        'LiveKit Agents is not installed. Run: pip install "visavis[livekit]"'
    ) from error

DEFAULT_RATE = 24_000
"""Sound handed to the room, samples a second; what comes in is resampled if it is another."""
_QUEUE_MS = 200
"""How much LiveKit may hold of sound and pictures: the cushion and as much again."""
_PATIENCE_S = 0.2
"""How long an interruption waits for a runner that is itself waiting, for a listener say."""


class VisavisVideoGenerator(lk.VideoGenerator):
    """Sound in, pictures and sound out, for ``AvatarRunner``. ``start`` it in a running loop."""

    def __init__(self, face: Face, settings: Settings | None = None) -> None:
        """Be about to draw ``face``; ``settings.sound_rate`` is the rate of the room's sound."""
        self._speaker = Speaker(face, settings or Settings(sound_rate=DEFAULT_RATE))
        self._open = AsyncExitStack()
        self._passed_on = asyncio.Event()
        self.position_s = 0.0

    async def start(self) -> None:
        """Start the session that draws."""
        await self._open.enter_async_context(self._speaker)

    async def aclose(self) -> None:
        """Close it."""
        await self._open.aclose()

    @property
    def options(self) -> lk.AvatarOptions:
        """What ``AvatarRunner`` must know."""
        width, height = self._speaker.size
        return lk.AvatarOptions(
            video_width=width,
            video_height=height,
            video_fps=MOTION_FPS,
            audio_sample_rate=self._speaker.rate,
            audio_channels=1,
        )

    async def push_audio(self, frame: rtc.AudioFrame | lk.AudioSegmentEnd) -> None:
        """Say ``frame`` (any rate, any number of channels), or complete the segment."""
        if isinstance(frame, lk.AudioSegmentEnd):
            self._speaker.finish()
        else:
            await self._speaker.say(_samples(frame), frame.sample_rate)

    async def clear_buffer(self) -> None:
        """Stop speaking; return when the runner has passed on all it was given.

        What it is given later belongs to the next segment.
        """
        self.position_s = self._speaker.interrupt().handed_s
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._nothing_left(), _PATIENCE_S)

    async def _nothing_left(self) -> None:
        """Return when a beat has been passed on and no sound fades."""
        await self._passed_on.wait()
        while self._speaker.is_fading:
            await self._passed_on.wait()

    def user_state_changed(self, event: UserStateChangedEvent) -> None:
        """Listen while the user speaks."""
        session = self._speaker.session
        if event.new_state == "speaking":
            session.user_started()
        elif event.old_state == "speaking":
            session.user_ended()

    async def __aiter__(
        self,
    ) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | lk.AudioSegmentEnd]:
        """Yield pictures at 25 a second, and sound while somebody speaks."""
        async for beat in self._speaker.beats():
            for item in self._items(beat):
                yield item
            self._passed_on.set()
            self._passed_on.clear()

    def _items(self, beat: Beat) -> list[rtc.VideoFrame | rtc.AudioFrame | lk.AudioSegmentEnd]:
        """Return the end of what is over, the picture, and its sound."""
        items: list[rtc.VideoFrame | rtc.AudioFrame | lk.AudioSegmentEnd] = []
        if beat.ended_s is not None:
            self.position_s = beat.ended_s
            items.append(lk.AudioSegmentEnd())
        width, height = self._speaker.size
        data = np.ascontiguousarray(beat.image).tobytes()
        items.append(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, data))
        if beat.sound is not None:
            items.append(_frame(beat.sound, self._speaker.rate))
        return items


class AvatarSession(lk.AvatarSession):
    """A face for an agent, drawn in the agent's process; its own participant publishes it."""

    _room: rtc.Room | None

    def __init__(self, face: Face, settings: Settings | None = None) -> None:
        """Be about to give the agent ``face``."""
        super().__init__()
        self._generator = VisavisVideoGenerator(face, settings)
        self._open = AsyncExitStack()

    @property
    def provider(self) -> str:
        """Who draws, in LiveKit's metrics."""
        return "visavis"

    @property
    def avatar_identity(self) -> str:
        """The participant that shows the face: the agent itself."""
        return "" if self._room is None else self._room.local_participant.identity

    async def start(self, agent_session: AgentSession, room: rtc.Room) -> None:
        """Take over what ``agent_session`` says; call it before ``agent_session.start``."""
        await super().start(agent_session, room)
        generator = self._generator
        sound = _Said(generator)
        self._open.push_async_callback(generator.aclose)
        runner = await _run(generator, room, sound)
        self._open.push_async_callback(runner.aclose)
        agent_session.on("user_state_changed", generator.user_state_changed)
        self._open.callback(agent_session.off, "user_state_changed", generator.user_state_changed)
        agent_session.output.replace_audio_tail(sound)

    async def aclose(self) -> None:
        """Stop showing the face. The agent stays in the room.

        LiveKit's own ``aclose`` removes the avatar's participant, which here is the agent.
        """
        await self._open.aclose()
        if self._room is not None:
            self._room.off("connection_state_changed", self._on_connection_state_changed)
            self._room = None
        await super().aclose()


class _Exact(lk.AudioReceiver):
    """Reports the generator's position, where the runner would count whole frames."""

    generator: VisavisVideoGenerator

    def notify_playback_finished(
        self, playback_position: float, interrupted: bool
    ) -> Coroutine[None, None, None] | None:
        """Tell the agent how much was heard."""
        return super().notify_playback_finished(self.generator.position_s, interrupted)


class _Said(_Exact, lk.QueueAudioOutput):
    """What an agent in this process says."""

    def __init__(self, generator: VisavisVideoGenerator) -> None:
        """Take sound of any rate for ``generator``."""
        super().__init__(sample_rate=None, wait_playback_start=True)
        self.generator = generator


class _Sent(_Exact, lk.DataStreamAudioReceiver):
    """What an agent elsewhere says."""

    def __init__(
        self, generator: VisavisVideoGenerator, room: rtc.Room, sender: str | None
    ) -> None:
        """Take what participant ``sender`` of ``room`` sends, by default the first that does."""
        super().__init__(room, sender_identity=sender)
        self.generator = generator


async def start_worker(
    generator: VisavisVideoGenerator, room: rtc.Room, sender: str | None = None
) -> lk.AvatarRunner:
    """Show ``generator`` in ``room``, saying what an agent that runs elsewhere sends.

    The agent sends by ``DataStreamAudioOutput(room, destination_identity=...)``; ``sender`` is its
    identity if others might send too. Close the runner that is returned, then the generator.
    """
    return await _run(generator, room, _Sent(generator, room, sender))


async def _run(
    generator: VisavisVideoGenerator, room: rtc.Room, sound: lk.AudioReceiver
) -> lk.AvatarRunner:
    """Start drawing, and publishing what is drawn."""
    await generator.start()
    runner = lk.AvatarRunner(
        room,
        audio_recv=sound,
        video_gen=generator,
        options=generator.options,
        _queue_size_ms=_QUEUE_MS,
    )
    await runner.start()
    return runner


def _samples(frame: rtc.AudioFrame) -> FloatArray:
    """Return the sound of ``frame`` as (n,) float32 in [-1, 1], its channels mixed."""
    pcm = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
    return (pcm.mean(axis=1) / 32768).astype(np.float32)


def _frame(sound: FloatArray, rate: int) -> rtc.AudioFrame:
    """Return ``sound`` (n,) as 16-bit LiveKit frame."""
    pcm = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    return rtc.AudioFrame(pcm.tobytes(), rate, 1, len(pcm))
