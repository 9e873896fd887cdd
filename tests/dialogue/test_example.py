"""The example of the dialogue loop, run as a person would."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np

from product import ROOT


def test_the_conversation_is_recorded_with_both_voices(tmp_path: Path, words: np.ndarray) -> None:
    user = tmp_path / "user.wav"
    with wave.open(str(user), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        quiet = np.zeros(8_000)
        levels = np.concatenate([quiet, words[: int(1.2 * 16_000)], quiet]) * 32_767
        file.writeframes(levels.astype("<i2").tobytes())
    command = [sys.executable, str(ROOT / "examples/conversation.py"), "user.wav", "talk.mp4"]
    done = subprocess.run(
        [*command, "--partner", "echo"], cwd=tmp_path, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    told = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert told[:4] == ["user_started", "user_ended", "reply_started", "reply_ended"]
    with av.open(str(tmp_path / "talk.mp4")) as video:
        frames = [frame.to_ndarray() for frame in video.decode(audio=0)]
    sound = np.concatenate(frames, axis=1).mean(0)
    loud = np.abs(sound[: len(sound) // 4800 * 4800]).reshape(-1, 4800).max(1) > 0.05
    assert len(sound) / 48_000 > 4.0
    user_spoke, partner_spoke = loud[5:17].mean(), loud[20:40].mean()
    assert user_spoke > 0.5
    assert partner_spoke > 0.3, "the echo is in the recording too"
