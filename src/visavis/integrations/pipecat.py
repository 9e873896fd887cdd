"""Pipecat: a video service that stands after the TTS and gives the bot a face.

::

    video = VisavisVideoService(face=open_face("portrait.jpg"))
    Pipeline([transport.input(), stt, user, llm, tts, video, transport.output(), assistant])

with ``video_out_enabled``, ``video_out_is_live``, 25 frames a second and the face's size among the
transport's parameters. The service takes what the TTS says and hands on the same sound with the
pictures that belong to it; everything else passes through. Written for pipecat-ai 1.14.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visavis.errors import InputError, MissingExtra, SessionError
from visavis.integrations.speaker import Beat, Face, Speaker
from visavis.stream.settings import Settings
from visavis.types import FloatArray

try:
    from pipecat.frames.frames import (
        AudioRawFrame,
        CancelFrame,
        EndFrame,
        Frame,
        InputAudioRawFrame,
        InterruptionFrame,
        OutputImageRawFrame,
        OutputTransportReadyFrame,
        ServiceUpdateSettingsFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
    from pipecat.services.ai_service import AIService
    from pipecat.services.settings import NOT_GIVEN, NotGiven, ServiceSettings
except ModuleNotFoundError as error:
    raise MissingExtra('Pipecat is not installed. Run: pip install "visavis[pipecat]"') from error


@dataclass
class VisavisVideoSettings(ServiceSettings):
    """Controls of the face, to be changed while it runs by a ``ServiceUpdateSettingsFrame``.

    Words as on the command line (``visavis animate --help``); any other control goes into
    ``extra``, for instance ``extra={"head": "0,10,0"}``.
    """

    emotion: str | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    intensity: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    gaze: str | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    energy: float | NotGiven = field(default_factory=lambda: NOT_GIVEN)


class VisavisVideoService(AIService):
    """Draws the bot's face. Event ``on_interrupted(service, position_s)``: how much was said."""

    Settings = VisavisVideoSettings

    def __init__(
        self, *, face: Face, settings: VisavisVideoSettings | None = None, **kwargs: Any
    ) -> None:
        """Be about to draw ``face``, prepared once and shared by any number of services."""
        chosen = VisavisVideoSettings(None, {}, "neutral", 0.0, "free", 1.0)
        if settings is not None:
            chosen.apply_update(settings)
        super().__init__(settings=chosen, **kwargs)
        self._face = face
        self._speaker: Speaker | None = None
        self._open = AsyncExitStack()
        self._showing: asyncio.Task[None] | None = None
        self._stops: deque[TTSStoppedFrame] = deque()
        self._is_silent = asyncio.Event()
        self._is_silent.set()
        self._register_event_handler("on_interrupted")

    def can_generate_metrics(self) -> bool:
        """Yes: the time from the first sound of a turn to its first picture, as TTFB."""
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Start the session, at the sound rate of the pipeline."""
        await super().setup(setup)
        settings = Settings(sound_rate=setup.audio_out_sample_rate)
        self._speaker = Speaker(self._face, settings)
        await self._open.enter_async_context(self._speaker)
        await self._control(self._settings.given_fields())

    async def stop(self, frame: EndFrame) -> None:
        """Say what was begun, then stop."""
        await super().stop(frame)
        if self._speaker is not None and self._showing is not None:
            self._speaker.finish()
            await self._is_silent.wait()
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Stop at once."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """Let go of everything."""
        await super().cleanup()
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take sound to say, and what changes the face; pass everything else on."""
        await super().process_frame(frame, direction)
        speaker = self._speaker
        if speaker is None:
            await self.push_frame(frame, direction)
        elif isinstance(frame, TTSAudioRawFrame):
            await self._say(speaker, frame)
        elif isinstance(frame, TTSStoppedFrame) and speaker.finish():
            self._stops.append(frame)
        elif isinstance(frame, InterruptionFrame) and speaker.is_speaking:
            await self._interrupt(speaker, frame, direction)
        else:
            await self._mind(speaker, frame)
            await self.push_frame(frame, direction)

    async def _mind(self, speaker: Speaker, frame: Frame) -> None:
        """Let the face follow ``frame``, which is passed on."""
        if isinstance(frame, TTSStartedFrame):
            await self.start_ttfb_metrics()
        elif isinstance(frame, UserStartedSpeakingFrame):
            speaker.session.user_started()
        elif isinstance(frame, UserStoppedSpeakingFrame):
            speaker.session.user_ended()
        elif isinstance(frame, InputAudioRawFrame):
            speaker.session.push_user_audio(_samples(frame), frame.sample_rate)
        elif isinstance(frame, OutputTransportReadyFrame):
            self._show(speaker)
        elif isinstance(frame, ServiceUpdateSettingsFrame):
            await self._follow(frame)

    async def _follow(self, frame: ServiceUpdateSettingsFrame[Any]) -> None:
        """Set the controls that ``frame`` changes, if it is for this service."""
        if isinstance(frame.delta, VisavisVideoSettings) and frame.service in (None, self):
            changed = await self._update_settings(frame.delta)
            new = self._settings.given_fields()
            await self._control({name: new[name] for name in changed})

    async def _say(self, speaker: Speaker, frame: TTSAudioRawFrame) -> None:
        """Say ``frame`` instead of passing it on."""
        self._is_silent.clear()
        self._show(speaker)
        await speaker.say(_samples(frame), frame.sample_rate)

    async def _interrupt(
        self, speaker: Speaker, frame: InterruptionFrame, direction: FrameDirection
    ) -> None:
        """Stop speaking, tell everybody downstream that it is over, and how far it came."""
        cut = speaker.interrupt()
        self._stops.clear()
        self._is_silent.set()
        await self.push_frame(frame, direction)
        await self.push_frame(TTSStoppedFrame())
        await self._call_event_handler("on_interrupted", cut.due_s)

    async def _control(self, given: dict[str, Any]) -> None:
        """Set the controls ``given``; what cannot be done is reported upstream."""
        controls = {name: value for name, value in given.items() if name != "model"}
        if self._speaker is not None:
            try:
                self._speaker.session.set_control(**controls)
            except InputError as error:
                await self.push_error(str(error), exception=error)

    def _show(self, speaker: Speaker) -> None:
        """Begin to push pictures, once the transport is ready or there is something to say."""
        if self._showing is None:
            self._showing = self.create_task(self._push_beats(speaker), "beats")

    async def _push_beats(self, speaker: Speaker) -> None:
        """Push pictures and sound downstream until the session is over."""
        try:
            async for beat in speaker.beats():
                await self._push_beat(speaker, beat)
        except SessionError as error:
            await self.push_error(str(error), exception=error)
        finally:
            self._is_silent.set()

    async def _push_beat(self, speaker: Speaker, beat: Beat) -> None:
        """Push one picture, with the sound that is due."""
        if beat.ended_s is not None and self._stops:
            await self.push_frame(self._stops.popleft())
        if not speaker.is_speaking:
            self._is_silent.set()
        if beat.sound is not None and not beat.is_fade:
            pcm = np.clip(np.rint(beat.sound * 32768), -32768, 32767).astype(np.int16)
            await self.push_frame(TTSAudioRawFrame(pcm.tobytes(), speaker.rate, 1))
        if beat.is_first:
            await self.stop_ttfb_metrics()
        data = np.ascontiguousarray(beat.image).tobytes()
        await self.push_frame(OutputImageRawFrame(data, speaker.size, "RGB"))

    async def _close(self) -> None:
        """Stop drawing; may be called again."""
        if self._showing is not None:
            await self.cancel_task(self._showing)
            self._showing = None
        await self._open.aclose()


def _samples(frame: AudioRawFrame) -> FloatArray:
    """Return the sound of ``frame`` as (n,) float32 in [-1, 1], its channels mixed."""
    pcm = np.frombuffer(frame.audio, np.int16).reshape(-1, frame.num_channels)
    return (pcm.mean(axis=1) / 32768).astype(np.float32)
