"""What a peer is sent: time stamps from frame 0, packets of 20 ms at their pace, nothing late."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

pytest.importorskip("aiortc")

from aiortc.mediastreams import MediaStreamError  # noqa: E402
from av import AudioFrame  # noqa: E402

from visavis.serve.feeds import Fan  # noqa: E402
from visavis.serve.tracks import PICTURES, SOUNDS, PictureTrack, SoundTrack, heard  # noqa: E402
from visavis.stream.moments import Moment  # noqa: E402
from visavis.timing import Stopwatch  # noqa: E402
from visavis.types import Phase  # noqa: E402


def moment(index: int) -> Moment:
    image = np.full((32, 48, 3), index % 256, np.uint8)
    sound = np.full(1920, index / 100, np.float32)
    return Moment(index, image, sound, 48_000, Phase.IDLE)


def test_pictures_carry_their_time_and_only_the_newest_is_sent() -> None:
    async def play() -> None:
        fan: Fan[Moment] = Fan()
        track = PictureTrack(fan.subscribe(PICTURES))
        for index in (7, 8, 9):
            fan.offer(moment(index))
        frame = await track.recv()
        assert (frame.pts, frame.time_base.denominator) == (9 * 3600, 90_000)
        assert (frame.width, frame.height) == (48, 32)
        assert frame.to_ndarray(format="rgb24").mean() == 9
        fan.close()
        with pytest.raises(MediaStreamError):
            await track.recv()
        assert track.readyState == "ended"

    asyncio.run(play())


def test_sound_is_cut_in_packets_that_follow_each_other_at_their_pace() -> None:
    async def play() -> None:
        fan: Fan[Moment] = Fan()
        track = SoundTrack(fan.subscribe(SOUNDS))
        fan.offer(moment(10))
        first, watch = await track.recv(), Stopwatch()
        second = await track.recv()
        assert watch.elapsed_s() > 0.015, "the second half is due 20 ms later"
        assert [f.pts for f in (first, second)] == [19_200, 20_160]
        assert {f.samples for f in (first, second)} == {960}
        assert first.to_ndarray()[0, 0] == pytest.approx(0.1 * 32_767, abs=1)
        for index in range(11, 15):
            fan.offer(moment(index))
        watch = Stopwatch()
        behind = [(await track.recv()).pts for _ in range(6)]
        assert watch.elapsed_s() < 0.01, "who is behind catches up"
        assert behind == list(range(21_120, 21_120 + 6 * 960, 960))
        last = await track.recv()
        assert 0.01 < watch.elapsed_s() < 0.1, "the newest is as late as pictures are"
        assert last.pts == 21_120 + 6 * 960
        track.stop()
        assert len(fan) == 0
        with pytest.raises(MediaStreamError):
            await track.recv()

    asyncio.run(play())


def test_a_microphone_of_two_channels_is_heard_as_one() -> None:
    levels = np.array([[16_384, -16_384, 8_192, 8_192]], np.int16)
    frame = AudioFrame.from_ndarray(levels, format="s16", layout="stereo")
    np.testing.assert_allclose(heard(frame), [0, 0.25])
