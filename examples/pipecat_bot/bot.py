"""A Pipecat bot with a face that says back what you say, without any account.

    python bot.py -t webrtc          then open http://localhost:7860/client

``VISAVIS_PORTRAIT`` names another picture. Put your STT, LLM and TTS where ``Echo`` stands.
"""

from __future__ import annotations

import os
from functools import cache

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import SmallWebRTCRunnerArguments
from pipecat.transports.base_transport import BaseTransport, TransportParams
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from visavis.integrations.pipecat import VisavisVideoService
from visavis.integrations.speaker import Face, open_face
from visavis.opening import DEMO_PORTRAIT

SIZE = 512
LEAD_S = 0.4
"""Seconds before the voice was noticed that belong to what was said."""


@cache
def face() -> Face:
    """Return the face, opened once for all callers."""
    return open_face(os.environ.get("VISAVIS_PORTRAIT", str(DEMO_PORTRAIT)), SIZE)


class Echo(FrameProcessor):
    """Says what the user said, and is silent as soon as the user speaks again."""

    def __init__(self) -> None:
        """Have heard nothing."""
        super().__init__()
        self._heard: list[InputAudioRawFrame] = []
        self._is_user_speaking = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Listen, interrupt and answer; pass everything on."""
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self._heard.append(frame)
            kept = round(LEAD_S * frame.sample_rate / frame.num_frames)
            if not self._is_user_speaking:
                del self._heard[:-kept]
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            self._is_user_speaking = True
            await self.broadcast_interruption()
            await self.push_frame(UserStartedSpeakingFrame())
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._is_user_speaking = False
            await self.push_frame(UserStoppedSpeakingFrame())
            await self._answer()

    async def _answer(self) -> None:
        """Say what was heard, as a TTS would."""
        heard, self._heard = self._heard, []
        await self.push_frame(TTSStartedFrame())
        for frame in heard:
            sound = TTSAudioRawFrame(frame.audio, frame.sample_rate, frame.num_channels)
            await self.push_frame(sound)
        await self.push_frame(TTSStoppedFrame())


def worker_for(transport: BaseTransport) -> PipelineWorker:
    """Return the bot for one caller."""
    video = VisavisVideoService(face=face(), settings=VisavisVideoService.Settings(gaze="viewer"))
    vad = VADProcessor(vad_analyzer=SileroVADAnalyzer())
    pipeline = Pipeline([transport.input(), vad, Echo(), video, transport.output()])
    params = PipelineParams(audio_out_sample_rate=24_000, enable_metrics=True)
    return PipelineWorker(pipeline, params=params)


PARAMS = TransportParams(
    audio_in_enabled=True,
    audio_out_enabled=True,
    video_out_enabled=True,
    video_out_is_live=True,
    video_out_width=SIZE,
    video_out_height=SIZE,
    video_out_framerate=25,
)


async def bot(arguments: SmallWebRTCRunnerArguments) -> None:
    """Serve one caller; Pipecat's runner calls this for each."""
    transport = SmallWebRTCTransport(webrtc_connection=arguments.webrtc_connection, params=PARAMS)
    worker = worker_for(transport)

    @transport.event_handler("on_client_disconnected")
    async def gone(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
