"""Opening media files safely with FFmpeg, and their sound laid out on the file's own clock.

Only self-contained formats are let in (no playlists, no descriptions of network streams) and only
the ``file`` protocol: a hostile file reaches neither the network nor other files of this machine.
Time 0 is the moment at which a player would start: the container's start, with encoder priming and
edit lists taken off by FFmpeg.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from visavis.errors import UnreadableMedia
from visavis.media.kinds import head_of, kind_of, regular_file, shown
from visavis.types import FloatArray

_DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gif,gsm,loas,m4v,matroska,"
    "mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,rm,sox,tak,truehd,tta,voc,w64,wav,wtv,wv"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}

_RATES = range(2_000, 768_001)
_TOLERANCE_S = Fraction(15, 1000)  # below one lost AAC, Opus or MP3 packet, above rounded stamps
_UNSAFE_PLANES = 8  # PyAV reads beyond the end of a frame's table of planes from here on
_LONGEST_GAP_S = 600
_LONGEST_OVERLAP_S = 10

SOUNDS = "a recording (WAV, MP3, M4A, Ogg, Opus, FLAC) or a video with sound"
VIDEOS = "a video (MP4, MOV, WebM, MKV, AVI or GIF)"


@dataclass(frozen=True)
class Sound:
    """Consecutive samples (n, channels) float32 in [-1, 1] at ``rate``.

    ``names`` are FFmpeg's channel names such as ``("FL", "FR")``, empty when unknown.
    """

    samples: FloatArray
    rate: int
    names: tuple[str, ...]


def open_input(path: str | Path, accepted: str) -> InputContainer:
    """Open ``path`` for demuxing.

    Raises:
        UnreadableMedia: not a media file of a self-contained kind; says what it seems to be.
    """
    place = regular_file(path, accepted)
    try:
        return av.open(str(place), "r", options=dict(_OPTIONS), metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        kind = kind_of(head_of(place))
        raise UnreadableMedia(
            f"{shown(path)} cannot be read (it seems to be {kind}). Give {accepted}."
        ) from error


def sound_stream(container: InputContainer, path: str | Path) -> AudioStream:
    """Return the main sound stream of ``container``.

    Raises:
        UnreadableMedia: it has none, or one of an impossible rate.
    """
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        kind = kind_of(head_of(Path(path)))
        raise UnreadableMedia(
            f"{shown(path)} holds no sound (it seems to be {kind}). Give {SOUNDS}."
        )
    if stream.codec_context is None:
        raise UnreadableMedia(f"{shown(path)} has sound of an unknown coding. Give {SOUNDS}.")
    _check_rate(stream.codec_context.sample_rate, path)
    return stream


def _check_rate(rate: int, path: str | Path) -> None:
    """Refuse sample rates outside ``_RATES``."""
    if rate not in _RATES:
        raise UnreadableMedia(
            f"{shown(path)} has a sample rate of {rate} Hz; 8 to 192 kHz are read. "
            "Convert it to 48 kHz WAV."
        )


def origin_s(container: InputContainer) -> Fraction | None:
    """Return the container's start in seconds, or None when its sound alone decides."""
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not pictures or container.start_time is None:
        return None
    return Fraction(container.start_time, av.time_base)


def decoded(
    container: InputContainer, stream: AudioStream | VideoStream, warnings: list[str]
) -> Iterator[Any]:
    """Yield the stream's decoded frames; damaged packets are skipped with one warning."""
    for packet in _packets(container, stream, warnings):
        try:
            frames = packet.decode()
        except (FFmpegError, ValueError):
            _warn_once(warnings, "Damaged parts of the file were skipped.")
            continue
        yield from frames


def _packets(container: InputContainer, stream: Stream, warnings: list[str]) -> Iterator[Any]:
    """Yield packets until the end of the file or the first place that cannot be demuxed."""
    try:
        yield from container.demux(stream)
    except (FFmpegError, OSError):
        _warn_once(warnings, "The file breaks off; what could be read before was used.")


def _warn_once(warnings: list[str], text: str) -> None:
    """Add ``text`` to ``warnings`` unless it is there."""
    if text not in warnings:
        warnings.append(text)


def _to_float(frame: AudioFrame) -> FloatArray:
    """Return the frame's samples as (n, channels) float32 in [-1, 1], NaN as silence."""
    channels = max(len(frame.layout.channels), 1)
    packed = frame.format.packed.name
    if packed == "s64" or (frame.format.is_planar and channels >= _UNSAFE_PLANES):
        (frame,) = AudioResampler(format="dbl" if packed == "s64" else packed).resample(frame)
    raw: NDArray[Any] = frame.to_ndarray()
    values = raw.T if frame.format.is_planar else raw.reshape(-1, channels)
    if raw.dtype == np.uint8:
        unsigned: FloatArray = values.astype(np.float32)
        return (unsigned - 128.0) / 128.0
    if np.issubdtype(raw.dtype, np.integer):
        scale = 1.0 / -float(np.iinfo(raw.dtype).min)
        return (values * scale).astype(np.float32)
    sane: FloatArray = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1.0, 1.0)
    return sane.astype(np.float32)


def _sound_of(frame: AudioFrame, path: str | Path) -> Sound:
    """Return the sound of one decoded frame."""
    _check_rate(frame.sample_rate, path)
    names = tuple(channel.name for channel in frame.layout.channels)
    return Sound(_to_float(frame), frame.sample_rate, names)


def timeline(
    container: InputContainer, stream: AudioStream, path: str | Path, warnings: list[str]
) -> Iterator[Sound]:
    """Yield the stream's sound without holes, its first sample at the file's time 0.

    Gaps in the time stamps become silence, overlaps are cut, impossible stamps are ignored.
    """
    origin = origin_s(container)
    now: Fraction | None = None  # the file's clock at the next sample, in seconds
    for frame in decoded(container, stream, warnings):
        sound = _sound_of(frame, path)
        stamp = _stamp_s(frame)
        if now is None:
            origin = origin if origin is not None else stamp
            now = origin if origin is not None else Fraction(0)
            tolerance = Fraction(1, 2 * sound.rate)
        lag = (stamp - now) if stamp is not None else Fraction(0)
        if lag > _LONGEST_GAP_S or lag < -_LONGEST_OVERLAP_S:
            _warn_once(warnings, "Impossible time stamps in the file were ignored.")
            now, lag = now + lag, Fraction(0)
        if abs(lag) > tolerance:
            shift = round(lag * sound.rate)
            yield from _silence(max(shift, 0), sound)
            sound = Sound(sound.samples[max(-shift, 0) :], sound.rate, sound.names)
            now += Fraction(max(shift, 0), sound.rate)
        tolerance = _TOLERANCE_S
        now += Fraction(len(sound.samples), sound.rate)
        yield sound


def _stamp_s(frame: AudioFrame) -> Fraction | None:
    """Return the frame's time stamp in seconds."""
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * Fraction(frame.time_base)


def _silence(length: int, like: Sound) -> Iterator[Sound]:
    """Yield ``length`` silent samples in pieces of at most a second."""
    channels = like.samples.shape[1]
    for start in range(0, length, like.rate):
        piece = np.zeros((min(like.rate, length - start), channels), np.float32)
        yield Sound(piece, like.rate, like.names)


def trimmed(sounds: Iterator[Sound], start_s: float, end_s: float | None) -> Iterator[Sound]:
    """Yield the part of ``sounds`` from ``start_s`` to ``end_s`` (None: to the end)."""
    done = Fraction(0)
    first = Fraction(start_s)
    last = None if end_s is None else Fraction(end_s)
    for sound in sounds:
        begin = max(round((first - done) * sound.rate), 0)
        end = None if last is None else max(round((last - done) * sound.rate), 0)
        done += Fraction(len(sound.samples), sound.rate)
        kept = sound.samples[begin:end]
        if len(kept):
            yield Sound(kept, sound.rate, sound.names)
        if end is not None and end <= len(sound.samples):
            return


def mix_matrix(names: tuple[str, ...], channels: int, out: int) -> FloatArray:
    """Return (channels, out) weights that bring ``channels`` named channels to 1 or 2.

    Every column sums to 1, so the mix cannot clip; the subwoofer (LFE) is left out.
    """
    known = names if len(names) == channels else ("",) * channels
    left = np.array([_side(name, "L") for name in known], np.float32)
    right = np.array([_side(name, "R") for name in known], np.float32)
    sides = [s / s.sum() if s.any() else np.full(channels, 1 / channels) for s in (left, right)]
    stereo = np.stack(sides, axis=1).astype(np.float32)
    return stereo if out == 2 else stereo.mean(axis=1, keepdims=True)


def _side(name: str, side: str) -> bool:
    """Tell whether channel ``name`` is heard on ``side`` (L or R); middle ones are on both."""
    if name.startswith("LFE"):
        return False
    return not name.endswith(("L", "R")) or name.endswith(side)
