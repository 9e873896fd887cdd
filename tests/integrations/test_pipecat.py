"""Pipecat's own pipeline and output transport; only the wire at its end is a list."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pipecat")
    from pipecat.frames.frames import (
        BotStartedSpeakingFrame,
        BotStoppedSpeakingFrame,
        CancelFrame,
        EndFrame,
        ErrorFrame,
        Frame,
        InputAudioRawFrame,
        InterruptionFrame,
        MetricsFrame,
        OutputAudioRawFrame,
        OutputImageRawFrame,
        OutputTransportReadyFrame,
        ServiceUpdateSettingsFrame,
        TextFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
    )
    from pipecat.metrics.metrics import TTFBMetricsData
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.transports.base_output import BaseOutputTransport
    from pipecat.transports.base_transport import TransportParams
    from pipecat.workers.runner import WorkerRunner

    from visavis.integrations.pipecat import VisavisVideoService

from visavis.integrations.speaker import CUSHION, Face
from visavis.types import Phase

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE = 24_000
SLOT = RATE // 25
PARAMS = TransportParams(
    audio_out_enabled=True,
    audio_out_end_silence_secs=0,
    video_out_enabled=True,
    video_out_is_live=True,
    video_out_width=96,
    video_out_height=96,
    video_out_framerate=25,
)


class Wire(BaseOutputTransport):
    """An output transport that plays sound at its pace into a list, and pictures into another."""

    def __init__(self) -> None:
        super().__init__(PARAMS)
        self.sounds: list[np.ndarray] = []
        self.images: list[OutputImageRawFrame] = []
        self._played_s = 0.0

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = asyncio.get_running_loop().time()
        self._played_s = max(self._played_s, now)
        await asyncio.sleep(self._played_s - now)
        self._played_s += frame.num_frames / frame.sample_rate
        self.sounds.append(np.frombuffer(frame.audio, np.int16))
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.images.append(frame)
        return True

    def heard(self) -> np.ndarray:
        return np.concatenate(self.sounds)

    def said(self) -> np.ndarray:
        """Return what was heard without silence: a busy machine makes pauses."""
        heard = self.heard()
        return heard[heard != 0]


class Tap(FrameProcessor):
    """Remembers what passes, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.down: list[Frame] = []
        self.up: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        (self.down if direction is FrameDirection.DOWNSTREAM else self.up).append(frame)
        await self.push_frame(frame, direction)

    def of(self, kind: type) -> list[Any]:
        return [frame for frame in self.down if isinstance(frame, kind)]


class Bot:
    """A pipeline of tap, service, tap and wire."""

    def __init__(self, face: Face, **settings: Any) -> None:
        chosen = VisavisVideoService.Settings(**settings)
        self.video = VisavisVideoService(face=face, settings=chosen)
        self.before, self.after, self.wire = Tap(), Tap(), Wire()
        self.worker = PipelineWorker(
            Pipeline([self.before, self.video, self.after, self.wire]),
            params=PipelineParams(audio_out_sample_rate=RATE, enable_metrics=True),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )

    def run(self, talk: Callable[[Bot], Awaitable[None]]) -> None:
        async def running() -> None:
            ready = asyncio.Event()

            async def talking() -> None:
                await ready.wait()
                try:
                    await asyncio.wait_for(talk(self), 15)
                except BaseException:
                    await self.worker.cancel()
                    raise

            @self.worker.event_handler("on_pipeline_started")
            async def started(*_: Any) -> None:
                ready.set()

            runner = WorkerRunner(handle_sigint=False)
            await runner.add_workers(self.worker)
            await asyncio.gather(runner.run(), talking())

        asyncio.run(running())

    async def say(self, pcm: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
        step = rate // 50
        pieces = [np.repeat(pcm[i : i + step], channels) for i in range(0, len(pcm), step)]
        sounds = [TTSAudioRawFrame(piece.tobytes(), rate, channels) for piece in pieces]
        await self.worker.queue_frames([TTSStartedFrame(), *sounds, TTSStoppedFrame()])

    async def hears(self, kind: type, count: int = 1) -> None:
        """Wait until so many frames of ``kind`` have come out."""
        while len(self.after.of(kind)) < count:
            await asyncio.sleep(0.01)


def test_speech_comes_out_as_it_went_in_with_pictures(face: Face, words: np.ndarray) -> None:
    async def talk(bot: Bot) -> None:
        await bot.worker.queue_frame(TextFrame("hello"))
        await bot.say(words[:20_000])
        await bot.say(words[20_000:29_600])
        await bot.hears(TTSStoppedFrame, 2)
        await bot.worker.queue_frame(EndFrame())

    bot = Bot(face)
    bot.run(talk)
    assert np.array_equal(bot.wire.said(), words[:29_600])
    assert len(bot.wire.heard()) % SLOT == 0
    sounds = bot.after.of(TTSAudioRawFrame)
    assert [frame.num_frames for frame in sounds[:2]] == [SLOT * (CUSHION + 1), SLOT]
    originals = {frame.id for frame in bot.before.of(TTSAudioRawFrame)}
    assert not originals & {frame.id for frame in sounds}
    assert [frame.text for frame in bot.after.of(TextFrame)] == ["hello"]
    pictures = bot.after.of(OutputImageRawFrame)
    assert {(frame.size, frame.format, len(frame.image)) for frame in pictures} == {
        ((96, 96), "RGB", 96 * 96 * 3)
    }
    assert len({frame.image for frame in pictures}) > 3
    order = [type(f) for f in bot.after.down if isinstance(f, TTSAudioRawFrame | TTSStoppedFrame)]
    assert order[-1] is TTSStoppedFrame
    assert order.count(TTSStoppedFrame) == 2
    kinds = (BotStartedSpeakingFrame, BotStoppedSpeakingFrame)
    assert sum(isinstance(frame, kinds) for frame in bot.before.up) >= 2


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_speech_of_any_rate_is_taken_and_the_end_waits_for_it(
    face: Face, rate: int, channels: int
) -> None:
    pcm = (0.4 * 32_767 * np.sin(np.arange(rate // 2) * 2 * np.pi * 150 / rate)).astype(np.int16)

    async def talk(bot: Bot) -> None:
        await bot.say(pcm, rate, channels)
        await bot.worker.queue_frame(EndFrame())

    bot = Bot(face)
    bot.run(talk)
    heard = bot.wire.heard() / 32_768
    expected = 0.4 * np.sin(np.arange(RATE // 2) * 2 * np.pi * 150 / RATE)
    assert len(bot.after.of(TTSStoppedFrame)) == 1
    assert np.abs(heard[100:11_900] - expected[100:11_900]).max() < 0.01


def test_an_interruption_stops_speech_and_says_how_far_it_came(
    face: Face, words: np.ndarray
) -> None:
    positions: list[float] = []

    async def talk(bot: Bot) -> None:
        @bot.video.event_handler("on_interrupted")
        async def interrupted(service: Any, position_s: float) -> None:
            positions.append(position_s)

        await bot.worker.queue_frame(InterruptionFrame())
        await bot.say(words)
        await bot.hears(TTSAudioRawFrame, 15)
        await bot.worker.queue_frame(InterruptionFrame())
        await bot.hears(InterruptionFrame, 2)
        said = len(bot.after.of(TTSAudioRawFrame))
        await asyncio.sleep(0.3)
        assert len(bot.after.of(TTSAudioRawFrame)) == said
        bot.wire.sounds.clear()
        assert len(bot.after.of(TTSStoppedFrame)) == 1
        await bot.say(words[-9_600:])
        await bot.hears(TTSStoppedFrame, 2)
        await bot.worker.queue_frame(EndFrame())

    bot = Bot(face)
    bot.run(talk)
    assert len(positions) == 1
    assert 0.56 <= positions[0] < 1.6
    assert np.array_equal(bot.wire.said(), words[-9_600:])
    assert len(bot.after.of(TTSStoppedFrame)) == 2
    sounds = bot.after.of(TTSAudioRawFrame)
    before = np.concatenate([np.frombuffer(frame.audio, np.int16) for frame in sounds])
    handed = np.count_nonzero(before) - 9_600
    assert np.array_equal(before[before != 0][:handed], words[:handed])
    assert positions[0] <= handed / RATE <= positions[0] + (CUSHION + 1) * 0.04


def test_it_listens_follows_settings_and_measures(face: Face, words: np.ndarray) -> None:
    phases: list[Phase] = []

    async def talk(bot: Bot) -> None:
        assert bot.video._speaker is not None
        session = bot.video._speaker.session
        await bot.worker.queue_frame(UserStartedSpeakingFrame())
        for start in range(0, 6_400, 320):
            piece = words[start : start + 320].tobytes()
            await bot.worker.queue_frame(InputAudioRawFrame(piece, 16_000, 1))
        await asyncio.sleep(0.4)
        phases.append(session.phase)
        await bot.worker.queue_frame(UserStoppedSpeakingFrame())
        change = VisavisVideoService.Settings(emotion="happy", extra={"head": "0,10,0"})
        await bot.worker.queue_frame(ServiceUpdateSettingsFrame(delta=change, service=bot.video))
        wrong = VisavisVideoService.Settings(gaze="sideways")
        await bot.worker.queue_frame(ServiceUpdateSettingsFrame(delta=wrong))
        await bot.say(words[:4_800])
        await bot.hears(TTSStoppedFrame)
        controls = session._score.controls
        assert (controls.emotion, controls.head, controls.gaze) == ("happy", (0, 10, 0), (0, 0))
        await bot.worker.queue_frame(EndFrame())

    bot = Bot(face, gaze="viewer")
    bot.run(talk)
    assert phases == [Phase.LISTENING]
    assert len(bot.after.of(InputAudioRawFrame)) == 20
    assert len(bot.after.of(ServiceUpdateSettingsFrame)) == 2
    errors = [frame.error for frame in bot.before.up if isinstance(frame, ErrorFrame)]
    assert len(errors) == 1
    assert "gaze 'sideways' is not understood" in errors[0]
    values = [
        data.value
        for frame in bot.after.of(MetricsFrame)
        for data in frame.data
        if isinstance(data, TTFBMetricsData) and data.value
    ]
    assert len(values) == 1
    assert 0.02 < values[0] < 2


def test_pictures_come_without_speech_and_stop_at_once(face: Face, words: np.ndarray) -> None:
    async def talk(bot: Bot) -> None:
        assert bot.video._speaker is not None
        await bot.hears(OutputImageRawFrame, 5)
        await bot.say(words)
        await bot.hears(TTSAudioRawFrame)
        await bot.worker.queue_frame(CancelFrame())

    bot = Bot(face)
    bot.run(talk)
    assert bot.video._speaker is not None
    assert not bot.video._speaker.session.is_live
    ready = [isinstance(frame, OutputTransportReadyFrame) for frame in bot.after.up]
    assert any(ready)
    assert len(bot.wire.images) < 30
    assert bot.video.can_generate_metrics()
