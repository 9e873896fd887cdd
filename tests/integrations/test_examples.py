"""The examples do what their first lines say; their servers are left out."""

from __future__ import annotations

import asyncio
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from visavis.integrations.speaker import Face

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def load(name: str, framework: str) -> ModuleType:
    """Return the example ``name``, skipping the test where ``framework`` is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(framework)
        path = EXAMPLES / name
        spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_the_livekit_agent_greets(face: Face) -> None:
    example = load("livekit_agent/agent.py", "livekit.agents")
    rtc = example.rtc

    class Room(rtc.EventEmitter[Any]):  # type: ignore[name-defined, misc]
        name = "room"
        local_participant = SimpleNamespace(identity="agent", track_publications={})

        def isconnected(self) -> bool:
            return False

    async def greeting() -> None:
        session, avatar = example.session_of(None), example.AvatarSession(face)
        heard: list[Any] = []
        await avatar.start(session, Room())
        push = avatar._generator.push_audio

        async def overheard(frame: Any) -> None:
            heard.extend([frame] if isinstance(frame, rtc.AudioFrame) else [])
            await push(frame)

        avatar._generator.push_audio = overheard
        await session.start(example.Agent(instructions=""))
        session.say(example.GREETING, audio=example.recording())
        while len(heard) < 20:
            await asyncio.sleep(0.01)
        await avatar.aclose()
        await session.aclose()
        assert {(frame.sample_rate, frame.num_channels) for frame in heard} == {(16_000, 1)}
        assert max(np.abs(np.frombuffer(frame.data, np.int16)).max() for frame in heard) > 1_000

    asyncio.run(asyncio.wait_for(greeting(), 20))


def test_the_pipecat_bot_says_what_it_heard(face: Face, words: np.ndarray) -> None:
    example = load("pipecat_bot/bot.py", "pipecat.runner")
    from pipecat.tests.utils import SleepFrame, run_test

    def heard(pcm: np.ndarray) -> list[Any]:
        pieces = [pcm[i : i + 320].tobytes() for i in range(0, len(pcm), 320)]
        return [example.InputAudioRawFrame(piece, 16_000, 1) for piece in pieces]

    async def echoed() -> None:
        frames = [
            *heard(words[:16_000]),
            example.VADUserStartedSpeakingFrame(),
            *heard(words[16_000:32_000]),
            example.VADUserStoppedSpeakingFrame(),
            SleepFrame(),
        ]
        down, _ = await run_test(example.Echo(), frames_to_send=frames)
        said = [frame.audio for frame in down if isinstance(frame, example.TTSAudioRawFrame)]
        assert b"".join(said) == words[16_000 - 6_400 : 32_000].tobytes()
        names = [type(frame).__name__ for frame in down]
        assert names.index("InterruptionFrame") < names.index("TTSStartedFrame")
        assert names.index("TTSStartedFrame") < names.index("TTSStoppedFrame")

    asyncio.run(echoed())
    assert (example.PARAMS.video_out_width, example.PARAMS.video_out_framerate) == (512, 25)


def test_the_fastrtc_demo_has_a_page_and_a_conversation(monkeypatch: Any) -> None:
    example = load("fastrtc_demo/app.py", "fastrtc")
    codecs = [(codec, codec.DEFAULT_BITRATE, codec.MAX_BITRATE) for codec in (example.vpx,)]
    stream = example.stream_of(str(example.DEMO_PORTRAIT), partner="none", size=64)
    assert example.vpx.DEFAULT_BITRATE == example.BITRATE
    for codec, usual, most in codecs:
        monkeypatch.setattr(codec, "DEFAULT_BITRATE", usual)
        monkeypatch.setattr(codec, "MAX_BITRATE", most)
    assert stream.event_handler.copy().fps == 25
    assert stream.ui.blocks
    stream.event_handler._face.crew.close()
