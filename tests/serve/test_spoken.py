"""Utterances from iterators: in turn, never far ahead, and files that leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from visavis.errors import QueueFull, UnreadableMedia
from visavis.opening import DEMO_SPEECH
from visavis.serve import spoken
from visavis.serve.sounds import sound_pieces
from visavis.serve.spoken import Speaker


class Mouth:
    """Counts what it is given and holds what waits."""

    def __init__(self) -> None:
        self.said: list[tuple[str | None, float]] = []
        self.ends = 0
        self.waiting_s = 0.0

    def push_audio(self, samples: np.ndarray, rate: int, speech_id: str | None = None) -> None:
        self.said.append((speech_id, len(samples) / rate))
        self.waiting_s += len(samples) / rate

    def end_audio(self) -> None:
        self.ends += 1


def seconds(count: int) -> Iterator[tuple[np.ndarray, int]]:
    for _ in range(count):
        yield np.zeros(8_000, np.float32), 8_000


def speaker(mouth: Mouth) -> Speaker:
    return Speaker(mouth, lambda: mouth.waiting_s, lambda *_: None)


def test_no_more_is_asked_for_than_the_session_soon_needs() -> None:
    async def play() -> None:
        mouth = Mouth()
        talk = speaker(mouth)
        talk.say("long", seconds(100))
        await asyncio.sleep(0.3)
        assert len(mouth.said) == spoken.AHEAD_S + 1
        mouth.waiting_s = 0
        await asyncio.sleep(0.3)
        assert len(mouth.said) == 2 * (spoken.AHEAD_S + 1)
        assert talk.is_busy
        talk.clear()
        await asyncio.sleep(0.05)
        assert not talk.is_busy
        assert mouth.ends == 0

    asyncio.run(play())


def test_utterances_wait_for_each_other_and_not_without_number() -> None:
    async def play() -> None:
        mouth = Mouth()
        talk = speaker(mouth)
        for number in range(spoken.MOST_WAITING):
            talk.say(str(number), seconds(1))
        with pytest.raises(QueueFull):
            talk.say("more", seconds(1))
        for _ in range(100):
            mouth.waiting_s = 0
            await asyncio.sleep(0.02)
        assert [name for name, _ in mouth.said] == [str(n) for n in range(spoken.MOST_WAITING)]
        assert mouth.ends == spoken.MOST_WAITING

    asyncio.run(play())


def test_what_a_partner_cannot_say_is_told() -> None:
    async def refuse() -> None:
        raise QueueFull("too much")

    async def play() -> None:
        told: list[tuple[str, str]] = []
        talk = Speaker(Mouth(), lambda: 0.0, lambda *why: told.append(why))
        talk.call("a", refuse())
        await asyncio.sleep(0.01)
        assert told == [("a", "too much")]
        assert not talk.is_busy

    asyncio.run(play())


def test_an_uploaded_recording_is_read_piece_by_piece_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def play() -> None:
        pieces = await sound_pieces(DEMO_SPEECH.read_bytes())
        assert len(list(tmp_path.iterdir())) == 1
        whole = list(pieces)
        assert {rate for _, rate in whole} == {48_000}
        assert max(len(samples) for samples, _ in whole) == 96_000
        assert list(tmp_path.iterdir()) == []
        unfinished = await sound_pieces(DEMO_SPEECH.read_bytes())
        del unfinished
        for _ in range(100):  # the thread that decoded lets go of it a moment later
            gc.collect()
            if not list(tmp_path.iterdir()):
                break
            await asyncio.sleep(0.01)
        assert list(tmp_path.iterdir()) == []
        for data in (b"", b"RIFF", b"x" * 1_000):
            with pytest.raises(UnreadableMedia) as refused:
                await sound_pieces(data)
            assert str(tmp_path) not in str(refused.value)
        assert list(tmp_path.iterdir()) == []

    asyncio.run(play())
