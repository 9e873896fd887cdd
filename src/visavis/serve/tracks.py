"""What a WebRTC peer is sent: a session's pictures and sound on one clock, counted from frame 0.

Late pictures are dropped, never queued: the feed of the pictures holds one. Sound is sent in the
moment's halves of 20 ms, the second one 20 ms after the first, so that what the RTP timestamps say
and when the packets leave agree (receivers line sound and picture up by that).
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from visavis.serve.feeds import Feed
from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS, FloatArray

PICTURES, SOUNDS = 1, 12
"""Moments that wait for a track: the newest picture, half a second of sound."""
_PICTURE_CLOCK = 90_000
_PACKET_S = 0.02
_FULL = 32_767


class PictureTrack(MediaStreamTrack):  # type: ignore[misc] # aiortc's classes are untyped here
    """The pictures of a session."""

    kind = "video"

    def __init__(self, feed: Feed[Moment]) -> None:
        """Send what ``feed`` gives."""
        super().__init__()
        self._feed = feed

    async def recv(self) -> VideoFrame:
        """Return the newest picture; pts counts 1/90000 s from frame 0 of the session."""
        moment = await _next(self, self._feed)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(moment.image), format="rgb24")
        frame.pts = moment.index * (_PICTURE_CLOCK // MOTION_FPS)
        frame.time_base = Fraction(1, _PICTURE_CLOCK)
        return frame

    def stop(self) -> None:
        """Take nothing more."""
        self._feed.close()
        super().stop()


class SoundTrack(MediaStreamTrack):  # type: ignore[misc]
    """The sound of a session in packets of 20 ms."""

    kind = "audio"

    def __init__(self, feed: Feed[Moment]) -> None:
        """Send what ``feed`` gives."""
        super().__init__()
        self._feed = feed
        self._rest: list[AudioFrame] = []

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms; pts counts samples from frame 0 of the session."""
        if self._rest and self.readyState == "live":
            if not len(self._feed):  # not behind: keep to the pace
                await asyncio.sleep(_PACKET_S)
            return self._rest.pop(0)
        moment = await _next(self, self._feed)
        samples = round(moment.rate * _PACKET_S)
        start = moment.index * (moment.rate // MOTION_FPS)
        halves = range(0, len(moment.sound), samples)
        packets = [_packet(moment.sound[i : i + samples], moment.rate, start + i) for i in halves]
        self._rest = packets[1:]
        return packets[0]

    def stop(self) -> None:
        """Take nothing more."""
        self._feed.close()
        super().stop()


def _packet(sound: FloatArray, rate: int, pts: int) -> AudioFrame:
    """Return ``sound`` (n,) float32 as a frame of 16-bit mono."""
    levels = np.round(np.clip(sound, -1, 1) * _FULL).astype(np.int16)
    frame = AudioFrame.from_ndarray(levels[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
    return frame


async def _next(track: MediaStreamTrack, feed: Feed[Moment]) -> Moment:
    """Return the next moment of ``feed``; its end is the track's."""
    try:
        if track.readyState == "live":
            return await anext(feed)
    except StopAsyncIteration:
        track.stop()
    raise MediaStreamError


def heard(frame: AudioFrame) -> FloatArray:
    """Return the samples (n,) float32 in [-1, 1] of a decoded frame, its channels averaged."""
    levels = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
    mono: FloatArray = levels.mean(1, dtype=np.float32) / (_FULL + 1)
    return mono
