"""Sound and pictures made on the spot for the media tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from visavis.media.read import open_audio


def speech_like(seconds: float, rate: int, channels: int = 1) -> NDArray[np.float32]:
    """Return (n, channels) band-limited noise in syllable-like bursts: sharp to correlate."""
    rng = np.random.default_rng(7)
    n = round(seconds * 16_000)
    noise = cv2.GaussianBlur(rng.standard_normal((n, 1)).astype(np.float32), (1, 9), 1.5)[:, 0]
    envelope = np.clip(np.sin(np.arange(n) * (2 * np.pi * 3.1 / 16_000)), 0, 1) ** 2
    mono = 0.3 * noise * envelope
    grid = np.arange(round(seconds * rate)) * (16_000 / rate)
    at_rate = np.interp(grid, np.arange(n), mono).astype(np.float32)
    return np.repeat(at_rate[:, None], channels, axis=1)


def write_sound(
    path: Path,
    samples: NDArray[np.float32],
    rate: int,
    codec: str,
    *,
    sample_format: str | None = None,
    layout: str | None = None,
    muxer: str | None = None,
    start_s: float = 0.0,
    picture_start_s: float | None = None,
) -> Path:
    """Encode (n, channels) samples; with ``picture_start_s`` a small video goes along."""
    channels = samples.shape[1]
    layout = layout or ("mono" if channels == 1 else "stereo")
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        if sample_format is not None:
            stream.codec_context.format = sample_format
        video = None
        if picture_start_s is not None:
            video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            for n in range(50):
                picture = VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * n, np.uint8))
                picture.pts = n + round(picture_start_s * 25)
                picture.time_base = Fraction(1, 25)
                container.mux(video.encode(picture))
        first = round(start_s * rate)
        for i in range(0, len(samples), 1024):
            block = samples[i : i + 1024].reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, "flt", layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), first + i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if video is not None:
            container.mux(video.encode(None))
    return path


def heard(path: Path, trim: tuple[float, float | None] | None = None) -> NDArray[np.float32]:
    """Return all sound of ``path`` as the package hears it."""
    with open_audio(path, trim) as reader:
        return np.concatenate(list(reader.chunks(4000)))


def lag_ms(late: NDArray[np.float32], early: NDArray[np.float32]) -> float:
    """Return how many ms ``late`` lags behind ``early``, both at 16 kHz, to 1/16 sample."""
    n = 1 << int(np.ceil(np.log2(len(late) + len(early))))
    spectrum = np.fft.rfft(late, n) * np.conj(np.fft.rfft(early, n))
    padded = np.concatenate([spectrum, np.zeros(n // 2 * 15, complex)])
    curve = np.fft.irfft(padded, n * 16)
    peak = int(curve.argmax())
    quality = curve.max() * 16 / np.sqrt((late**2).sum() * (early**2).sum())
    assert quality > 0.8, f"the two sounds differ: correlation {quality:.2f}"
    return (peak - n * 16 if peak > n * 8 else peak) / 16 / 16


def photograph(width: int, height: int) -> NDArray[np.uint8]:
    """Return a smooth coloured picture (h, w, 3) with all corners different."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    red, green = 40 + 180 * x / width, 50 + 150 * y / height
    blue = 120 + 60 * np.sin(x / 31) * np.cos(y / 23)
    return np.stack([red, green, blue], -1).astype(np.uint8)
