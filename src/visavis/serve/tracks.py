"""What a WebRTC peer is sent: a session's pictures and sound on one clock, counted from frame 0.

Late pictures are dropped, never queued: the feed of the pictures holds one. Sound is sent in the
moment's halves on a schedule of its own, a packet every 20 ms, and as much later as pictures take
to be encoded: aiortc's sender reports tie what the RTP timestamps say to when the packets leave,
and receivers line sound and picture up by that.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from visavis.serve.feeds import Feed
from visavis.stream.moments import Moment
from visavis.timing import SYSTEM, Clock
from visavis.types import MOTION_FPS, FloatArray

PICTURES, SOUNDS = 1, 12
"""Moments that wait for a track: the newest picture, half a second of sound."""
_PICTURE_CLOCK = 90_000
_PACKET_NS = 20_000_000
_MOMENT_NS = 2 * _PACKET_NS
LATER_NS = 20_000_000
"""How much later sound is sent than it was handed out: about what encoding a picture takes."""
_OFF_NS = 30_000_000
"""A schedule that is so far from what comes begins anew."""
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

    def __init__(self, feed: Feed[Moment], clock: Clock = SYSTEM) -> None:
        """Send what ``feed`` gives, at the pace of ``clock``."""
        super().__init__()
        self._feed = feed
        self._clock = clock
        self._rest: list[AudioFrame] = []
        self._due_ns = 0

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms when due; pts counts samples from frame 0 of the session."""
        if not self._rest or self.readyState != "live":
            self._rest = _packets(await _next(self, self._feed))
            self._keep_schedule()
        await self._clock.sleep_until(self._due_ns)
        self._due_ns += _PACKET_NS
        return self._rest.pop(0)

    def _keep_schedule(self) -> None:
        """Begin the schedule anew if it is off; moments that wait in the feed are late already."""
        due = self._clock.now_ns() + LATER_NS - len(self._feed) * _MOMENT_NS
        if abs(self._due_ns - due) > _OFF_NS:
            self._due_ns = due

    def stop(self) -> None:
        """Take nothing more."""
        self._feed.close()
        super().stop()


def _packets(moment: Moment) -> list[AudioFrame]:
    """Return the sound of ``moment`` in packets."""
    samples = moment.rate // 50
    start = moment.index * (moment.rate // MOTION_FPS)
    cuts = range(0, len(moment.sound), samples)
    return [_packet(moment.sound[i : i + samples], moment.rate, start + i) for i in cuts]


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
