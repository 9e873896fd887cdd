"""Moments into a container as they come: H.264 and AAC, for files, streams and media servers.

Picture and sound of a moment carry the moment's own time. A moment that was dropped on the way
leaves no picture (the one before is shown longer) and silence in place of its sound, so that
picture and sound stay together however much is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)
from av.video.stream import VideoStream

from visavis.media.encode import even, to_bt709
from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS, FloatArray

SOUND_BIT_RATE = 96_000
_GRID = Fraction(1, MOTION_FPS)


class ByteSink(Protocol):
    """What a container can be written to piece by piece."""

    def write(self, data: bytes) -> int:
        """Take ``data``; return how many bytes that were."""


class Pieces:
    """Collects what the muxer writes until it is taken."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep ``data``."""
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return everything that came since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


@dataclass(frozen=True)
class Encoding:
    """How moments are encoded: FFmpeg's name of the container and its options, x264's options.

    ``keyframe_every`` frames a picture stands for itself: a viewer can join there. ``tags`` go into
    the container's metadata.
    """

    muxer: str
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    video_options: Mapping[str, str] = field(default_factory=dict)
    bit_rate: int = 0
    keyframe_every: int = MOTION_FPS
    tags: Mapping[str, str] = field(default_factory=dict)


class LiveMuxer:
    """One container being written. Its methods block: call them away from the event loop."""

    def __init__(self, target: str | ByteSink, encoding: Encoding, first: Moment) -> None:
        """Open ``target`` for moments like ``first``, which is time 0.

        Raises:
            FFmpegError, OSError: it cannot be opened.
        """
        self._first = first.index
        self._rate = first.rate
        self._samples = 0
        self._colours = VideoReformatter()
        self._container: OutputContainer = av.open(
            target,  # type: ignore[arg-type]
            "w",
            format=encoding.muxer,
            options=dict(encoding.muxer_options),
        )
        self._container.metadata.update(encoding.tags)
        self._picture = _add_picture(self._container, encoding, first)
        self._sound = _add_sound(self._container, first.rate)
        self.frames = 0
        try:
            self._container.start_encoding()  # opens the file, or connects
        except (FFmpegError, OSError):
            self.abandon()
            raise

    def write(self, moment: Moment) -> None:
        """Append ``moment``; it must come after the one before.

        Raises:
            FFmpegError, OSError: it cannot be written.
        """
        at = moment.index - self._first
        picture = to_bt709(self._colours, even(moment.image))
        picture.pts, picture.time_base = at, _GRID
        packets: list[Packet[VideoStream | AudioStream]] = list(self._picture.encode(picture))
        packets += self._heard(moment.sound, at * self._rate // MOTION_FPS)
        self._container.mux(packets)
        self.frames += 1

    def _heard(self, sound: FloatArray, start: int) -> list[Packet[VideoStream | AudioStream]]:
        """Return the packets of ``sound``, which begins at sample ``start``, after silence."""
        missing = max(start - self._samples, 0)
        packets: list[Packet[VideoStream | AudioStream]] = []
        for samples in (np.zeros(missing, np.float32), sound):
            if len(samples):
                block = np.ascontiguousarray(samples[None], np.float32)
                frame = AudioFrame.from_ndarray(block, "fltp", "mono")
                frame.sample_rate = self._rate
                frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
                packets += self._sound.encode(frame)
                self._samples += len(samples)
        return packets

    def finish(self) -> None:
        """Write what the encoders still hold, and the container's end.

        Raises:
            FFmpegError, OSError: it cannot be written.
        """
        self._container.mux([*self._picture.encode(None), *self._sound.encode(None)])
        self._container.close()

    def abandon(self) -> None:
        """Let go of everything without an end; twice is as good as once."""
        with suppress(FFmpegError, OSError):
            self._container.close()


def _add_picture(container: OutputContainer, encoding: Encoding, first: Moment) -> VideoStream:
    """Add the picture stream to ``container``."""
    options = {"tune": "zerolatency", **encoding.video_options}
    stream = container.add_stream("libx264", rate=MOTION_FPS, options=options)
    assert isinstance(stream, VideoStream)
    height, width = even(first.image).shape[:2]
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.gop_size = _GRID, encoding.keyframe_every
    context.thread_count = 1
    if encoding.bit_rate:
        context.bit_rate = encoding.bit_rate
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _add_sound(container: OutputContainer, rate: int) -> AudioStream:
    """Add the sound stream to ``container``."""
    stream = container.add_stream("aac", rate=rate, layout="mono", bit_rate=SOUND_BIT_RATE)
    assert isinstance(stream, AudioStream)
    stream.codec_context.format = "fltp"
    return stream
