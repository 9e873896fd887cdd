"""Sound and pictures out of any file that FFmpeg decodes, in bounded memory.

Sample 0 of the sound and time 0 of the pictures are the same moment: the container's start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from visavis.errors import InputError, UnreadableMedia
from visavis.media.container import (
    SOUNDS,
    VIDEOS,
    Sound,
    decoded,
    mix_matrix,
    open_input,
    origin_s,
    sound_stream,
    timeline,
    trimmed,
)
from visavis.media.kinds import shown
from visavis.media.resample import Resampler
from visavis.types import SAMPLE_RATE, FloatArray, ImageArray

_EXACT = 0x4 | 0x4_0000 | 0x2000  # SWS_BICUBIC, ACCURATE_RND, FULL_CHR_H_INT: nameless in PyAV 17

Trim = tuple[float, "float | None"]
"""Start and end in seconds of the part to use; end None means to the end."""


def at_rate(sounds: Iterator[Sound], rate: int, channels: int) -> Iterator[FloatArray]:
    """Mix ``sounds`` to 1 or 2 channels at ``rate``; yields (n, channels) float32 in [-1, 1]."""
    for piece in _resampled(sounds, rate, channels):
        yield np.clip(piece.reshape(-1, channels), -1.0, 1.0)


def _resampled(sounds: Iterator[Sound], rate: int, channels: int) -> Iterator[FloatArray]:
    """Mix and resample; the filter may ring beyond [-1, 1]."""
    stream: Resampler | None = None
    rate_in = 0
    rest = np.zeros((0, channels), np.float32)
    for sound in sounds:
        if stream is None or sound.rate != rate_in:
            if stream is not None:
                yield stream.finish(rest)
            stream, rate_in = Resampler(sound.rate, rate, channels), sound.rate
        width = sound.samples.shape[1]
        same = width == channels
        mixed = sound.samples if same else sound.samples @ mix_matrix(sound.names, width, channels)
        yield stream.push(mixed)
    if stream is not None:
        yield stream.finish(rest)


def recut(pieces: Iterator[FloatArray], samples: int) -> Iterator[FloatArray]:
    """Cut pieces (n, …) anew into pieces of exactly ``samples`` rows; the last may be shorter."""
    held: list[FloatArray] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length < samples:
            continue
        joined = np.concatenate(held)
        whole = length - length % samples
        yield from (joined[i : i + samples] for i in range(0, whole, samples))
        held, length = [joined[whole:]], length - whole
    if length:
        yield np.concatenate(held)


def check_trim(trim: Trim | None) -> Trim:
    """Return ``trim`` with the default (0, None).

    Raises:
        InputError: negative, or the end is not after the start.
    """
    start, end = trim if trim is not None else (0.0, None)
    if not 0 <= start < float("inf") or (end is not None and not start < end):
        raise InputError(
            f"The trim {start} to {end} s is not a stretch of time. "
            "Give start and end in seconds, 0 <= start < end."
        )
    return start, None if end == float("inf") else end


class AudioReader:
    """The sound of one open file as mono float32 at ``SAMPLE_RATE``; read once, front to back.

    ``warnings`` grows while reading. ``duration_samples`` is the file's own word for the length of
    the (trimmed) sound, or None; the sound itself may be a little longer or shorter.
    """

    def __init__(self, sounds: Iterator[Sound], duration_samples: int | None, warnings: list[str]):
        """Wrap ``sounds``, already trimmed."""
        self._sounds = sounds
        self.duration_samples = duration_samples
        self.warnings = warnings

    def chunks(self, samples: int = SAMPLE_RATE) -> Iterator[FloatArray]:
        """Yield (samples,) float32 pieces; the last may be shorter."""
        pieces = at_rate(self._sounds, SAMPLE_RATE, 1)
        return recut((piece[:, 0] for piece in pieces), samples)


@contextmanager
def open_sounds(path: str | Path, trim: Trim | None, warnings: list[str]) -> Iterator[OpenSounds]:
    """Open the sound of ``path`` at its own rate and channels, checked to hold any.

    Raises:
        UnreadableMedia: no sound can be decoded.
        InputError: the sound is empty, or the trim lies outside it.
    """
    start_s, end_s = check_trim(trim)
    container = open_input(path, SOUNDS)
    try:
        stream = sound_stream(container, path)
        frames = timeline(container, stream, path, warnings)
        first = next((s for s in frames if len(s.samples)), None)
        if first is None:
            raise _nothing_decoded(path, warnings)
        sounds = trimmed(_with_first(first, frames), start_s, end_s)
        kept = next(sounds, None)
        if kept is None:
            raise InputError(
                f"The trim starts at {start_s} s, after the end of {shown(path)}. Start earlier."
            )
        duration = _duration_s(container, stream.duration, stream.time_base)
        yield OpenSounds(_with_first(kept, sounds), kept, _trimmed_s(duration, start_s, end_s))
    finally:
        container.close()


@dataclass(frozen=True)
class OpenSounds:
    """What ``open_sounds`` gives: all ``sounds``, the ``first`` of them, and ``duration_s``."""

    sounds: Iterator[Sound]
    first: Sound
    duration_s: Fraction | None


def _with_first(first: Sound, rest: Iterator[Sound]) -> Iterator[Sound]:
    """Put ``first`` back in front of ``rest``."""
    yield first
    yield from rest


def _nothing_decoded(path: str | Path, warnings: list[str]) -> InputError:
    """Return the error for a file that decodes to no sample."""
    if warnings:
        return UnreadableMedia(
            f"{shown(path)} is damaged: no sound could be decoded. Give {SOUNDS}."
        )
    return InputError(f"{shown(path)} is empty: it holds no sound. Record it again.")


def _duration_s(
    container: InputContainer, duration: int | None, time_base: Fraction | None
) -> Fraction | None:
    """Return the file's own statement of its length in seconds."""
    if duration is not None and time_base is not None and duration > 0:
        return duration * Fraction(time_base)
    if container.duration is not None and container.duration > 0:
        return Fraction(container.duration, av.time_base)
    return None


def _trimmed_s(duration: Fraction | None, start_s: float, end_s: float | None) -> Fraction | None:
    """Return the length in seconds that the trim leaves of ``duration``."""
    if duration is None:
        return None
    end = duration if end_s is None else min(duration, Fraction(end_s))
    return max(end - Fraction(start_s), Fraction(0))


@contextmanager
def open_audio(path: str | Path, trim: Trim | None = None) -> Iterator[AudioReader]:
    """Open the sound of any recording or video as mono float32 at ``SAMPLE_RATE``.

    Args:
        path: a file; playlists, pipes and devices are refused.
        trim: the part to read, (start, end) in seconds.

    Raises:
        UnreadableMedia: missing, of another kind, without sound, or damaged beyond use.
        InputError: empty, or the trim lies outside the sound.
    """
    warnings: list[str] = []
    with open_sounds(path, trim, warnings) as opened:
        duration = opened.duration_s
        samples = None if duration is None else round(duration * SAMPLE_RATE)
        yield AudioReader(opened.sounds, samples, warnings)


def has_sound(path: str | Path) -> bool:
    """Tell whether the video ``path`` has a sound track.

    Raises:
        UnreadableMedia: it cannot be opened.
    """
    with open_input(path, VIDEOS) as container:
        return container.streams.best("audio") is not None


class VideoReader:
    """The pictures of one video, decoded one at a time, upright, full-range sRGB values.

    Iterate once for pairs of image (h, w, 3) RGB uint8 and integer time stamp; the stamp times
    ``time_base`` is in seconds on the clock of ``open_audio``. ``size`` is (width, height) as
    shown, ``fps`` the average frame rate, and ``ticks_fps`` that of a clock with a tick for each
    picture: more than the average where rates vary, and no less where time stamps jump. Use as a
    context manager to close the file early.
    """

    def __init__(self, path: str | Path) -> None:
        """Open ``path``.

        Raises:
            UnreadableMedia: missing, of another kind, without pictures, or damaged beyond use.
        """
        self.warnings: list[str] = []
        self._container = open_input(path, VIDEOS)
        stream = next((s for s in self._container.streams.video if not _is_cover(s)), None)
        if stream is None or stream.codec_context is None:
            self._container.close()
            raise UnreadableMedia(f"{shown(path)} holds no moving pictures. Give {VIDEOS}.")
        stream.thread_type = "AUTO"
        self._frames: Iterator[VideoFrame] = decoded(self._container, stream, self.warnings)
        first = next(self._frames, None)
        if first is None:
            self._container.close()
            raise UnreadableMedia(f"{shown(path)} is damaged: no picture could be decoded.")
        self._first = first
        self.time_base = Fraction(stream.time_base or 1)
        self.fps = Fraction(stream.average_rate or stream.guessed_rate or 25)
        self.ticks_fps = Fraction(stream.guessed_rate or self.fps)
        self.rotation = first.rotation % 360
        turned = self.rotation % 180 == 90
        self.size = (first.height, first.width) if turned else (first.width, first.height)
        self.frames = stream.frames or None
        start = origin_s(self._container)
        self._start = round((start or Fraction(0)) / self.time_base)

    def __iter__(self) -> Iterator[tuple[ImageArray, int]]:
        """Yield (image, stamp) in the order of showing."""
        yield self._picture(self._first)
        for frame in self._frames:
            yield self._picture(frame)

    def pictures(self, fps: int, trim: Trim | None = None) -> Iterator[ImageArray]:
        """Yield what is shown at n / ``fps`` seconds after the trim's start, up to its end.

        Raises:
            InputError: the trim begins after the last picture.
        """
        start_s, end_s = check_trim(trim)
        start = Fraction(start_s).limit_denominator(10**6)  # 0.4 is two fifths
        end = None if end_s is None else Fraction(end_s).limit_denominator(10**6)
        held: ImageArray | None = None
        until, count = Fraction(0), 0
        for image, stamp in self:
            until = stamp * self.time_base
            while held is not None and start + Fraction(count, fps) < until:
                yield held
                count += 1
            if end is not None and start + Fraction(count, fps) >= end:
                return
            held = image
        until += 1 / self.fps
        end = until if end is None else min(end, until)
        while held is not None and start + Fraction(count, fps) < end:
            yield held
            count += 1
        if not count:
            raise InputError(f"The trim starts at {float(start)} s, after the last picture.")

    def _picture(self, frame: VideoFrame) -> tuple[ImageArray, int]:
        """Return the upright image of ``frame`` and its stamp."""
        first = self._first
        image = frame.to_ndarray(
            format="rgb24", width=first.width, height=first.height, interpolation=_EXACT
        )
        upright: ImageArray = np.ascontiguousarray(np.rot90(image, self.rotation // 90), np.uint8)
        return upright, (frame.pts or 0) - self._start

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> VideoReader:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def _is_cover(stream: VideoStream) -> bool:
    """Tell whether ``stream`` is the cover picture of a recording."""
    return bool(stream.disposition & Disposition.attached_pic)
