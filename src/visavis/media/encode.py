"""Pictures and sound into a video file: H.264 + AAC, VP9 + Opus, or ProRes 4444 + AAC.

Frame n is shown at n / fps, exactly; sample n of the sound is heard at n / rate: the encoder's
priming samples carry negative time stamps, which the container hides (edit list or codec delay).
Colours are converted to BT.709 limited range and tagged so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)
from av.video.stream import VideoStream

from visavis.media.container import Sound
from visavis.media.read import at_rate, recut
from visavis.types import FloatArray, ImageArray


@dataclass(frozen=True)
class Recipe:
    """How one kind of video file is made.

    ``muxer`` is FFmpeg's name of the container, ``rates`` the sample rates that are kept as they
    are (others become 48 kHz), ``sample_format`` and ``block`` what the sound encoder takes,
    ``pixel_format`` what the video encoder is given.
    """

    muxer: str
    muxer_options: dict[str, str]
    video_codec: str
    video_options: dict[str, str]
    sound_codec: str
    rates: tuple[int, ...]
    sample_format: str
    block: int
    pixel_format: str = "yuv420p"


_EXACT = 0x20 | 0x4_0000 | 0x4000  # SWS_AREA, ACCURATE_RND, FULL_CHR_H_INP: nameless in PyAV 17
_THREADS = 2
_SAME_BYTES = {"fflags": "+bitexact"}  # equal pictures and sound, equal file
_AAC_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MOV = {"movflags": "+faststart+use_metadata_tags"}  # entries of any name
_X264 = {"preset": "veryfast", "crf": "16", "x264-params": "pbratio=1.0"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "24", "b": "0"}

RECIPES: dict[str, Recipe] = {
    ".mp4": Recipe("mp4", _MOV, "libx264", _X264, "aac", _AAC_RATES, "fltp", 1024),
    ".mov": Recipe("mov", _MOV, "libx264", _X264, "aac", _AAC_RATES, "fltp", 1024),
    ".mkv": Recipe("matroska", {}, "libx264", _X264, "aac", _AAC_RATES, "fltp", 1024),
    ".webm": Recipe("webm", {}, "libvpx-vp9", _VP9, "libopus", (48_000,), "flt", 960),
}

ALPHA_RECIPES: dict[str, Recipe] = {
    ".webm": replace(RECIPES[".webm"], pixel_format="yuva420p"),
    ".mov": replace(
        RECIPES[".mov"],
        video_codec="prores_ks",
        video_options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0", "qscale": "6"},
        pixel_format="yuva444p10le",
    ),
}
"""The same for pictures with a share of coverage, not multiplied into their colours."""


class VideoEncoder:
    """One video file being written: a picture at a time, with the sound that belongs to it."""

    def __init__(
        self,
        file: Path,
        recipe: Recipe,
        size: tuple[int, int],
        fps: Fraction,
        quality: int | None,
    ) -> None:
        """Create ``file`` for pictures of ``size`` (width, height), both even."""
        self._container: OutputContainer = av.open(
            str(file), "w", format=recipe.muxer, options={**_SAME_BYTES, **recipe.muxer_options}
        )
        self._recipe = recipe
        self._fps = fps
        self._frames = 0
        self._colours = VideoReformatter()
        self._picture = _add_pictures(self._container, recipe, size, fps, quality)
        self._sound: AudioStream | None = None
        self._blocks: Iterator[FloatArray] = iter(())
        self._samples = 0

    def tag(self, tags: Mapping[str, str]) -> None:
        """Put ``tags`` into the file's own metadata; before any picture."""
        self._container.metadata.update(tags)

    def add_sound(self, sounds: Iterator[Sound], first: Sound) -> None:
        """Give the video the sound ``sounds``, which begins with ``first``; before any picture."""
        rates = self._recipe.rates
        rate = first.rate if first.rate in rates else 48_000
        channels = min(first.samples.shape[1], 2)
        layout = "mono" if channels == 1 else "stereo"
        bit_rate = channels * 96_000
        codec = self._recipe.sound_codec
        stream = self._container.add_stream(codec, rate=rate, layout=layout, bit_rate=bit_rate)
        assert isinstance(stream, AudioStream)
        stream.codec_context.format = self._recipe.sample_format
        self._sound = stream
        self._blocks = recut(at_rate(sounds, rate, channels), self._recipe.block)

    def write(self, image: ImageArray) -> None:
        """Append the picture ``image`` (h, w, 3) or (h, w, 4) uint8 and the sound meanwhile."""
        picture = to_bt709(self._colours, image, self._recipe.pixel_format)
        picture.pts = self._frames
        picture.time_base = 1 / self._fps
        self._container.mux(self._picture.encode(picture))
        self._frames += 1
        if self._sound is not None:
            self._write_sound(self._sound, at_end=False)

    def _write_sound(self, stream: AudioStream, at_end: bool) -> None:
        """Encode sound up to the end of the last picture; whole blocks only until ``at_end``."""
        rate = stream.codec_context.sample_rate
        end = round(self._frames * rate / self._fps)
        while self._samples < end and (at_end or self._samples + self._recipe.block <= end):
            block = next(self._blocks, None)
            if block is None:
                return
            frame = _sound_frame(block[: end - self._samples], self._recipe.sample_format, rate)
            frame.pts = self._samples
            self._samples += len(block)
            self._container.mux(stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoders still hold and the file's index."""
        if self._sound is not None:
            self._write_sound(self._sound, at_end=True)
            self._container.mux(self._sound.encode(None))
        self._container.mux(self._picture.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file without finishing it."""
        self._container.close()


def _add_pictures(
    container: OutputContainer,
    recipe: Recipe,
    size: tuple[int, int],
    fps: Fraction,
    quality: int | None,
) -> VideoStream:
    """Add the picture stream to ``container``."""
    options = dict(recipe.video_options)
    if quality is not None and "crf" in options:
        options["crf"] = str(quality)
    stream = container.add_stream(recipe.video_codec, rate=fps, options=options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = recipe.pixel_format
    context.time_base = 1 / fps
    context.thread_count = _THREADS
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    return stream


def to_bt709(
    reformatter: VideoReformatter, image: ImageArray, pixel_format: str = "yuv420p"
) -> VideoFrame:
    """Return ``image`` (h, w, 3) RGB or (h, w, 4) RGBA uint8 as YUV in BT.709 limited range."""
    given = "rgb24" if image.shape[2] == 3 else "rgba"
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), given)
    return reformatter.reformat(
        frame,
        format=pixel_format,
        interpolation=_EXACT,
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
    )


def _sound_frame(block: FloatArray, sample_format: str, rate: int) -> AudioFrame:
    """Return ``block`` (n, channels) as a frame for the sound encoder."""
    layout = "mono" if block.shape[1] == 1 else "stereo"
    values = block.T if sample_format.endswith("p") else block.reshape(1, -1)
    samples = np.ascontiguousarray(values, np.float32)
    frame = AudioFrame.from_ndarray(samples, sample_format, layout)
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    return frame


def even(image: ImageArray) -> ImageArray:
    """Return ``image`` with an odd last row or column doubled: 4:2:0 needs even sizes."""
    rows, columns = image.shape[0] % 2, image.shape[1] % 2
    if not rows and not columns:
        return image
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
