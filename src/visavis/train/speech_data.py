"""Aligned speech for the phone network: clips, row labels, rooms, lines and noises.

A corpus is a folder of sound files and, beside it, ``<folder>.json`` with, for each file stem,
``{"phones": [[start_s, end_s, "ARPAbet"], ...]}``.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND, row_count
from visavis.audio.phones import PHONES
from visavis.data.articulation import SHUT_SHARE
from visavis.media.read import open_audio
from visavis.train.sentences import is_held_out_voice
from visavis.types import SAMPLE_RATE, FloatArray

IGNORED = -1
HELD_OUT_SPEAKER = "p228"
_LONGEST_S = 0.42


@dataclass(frozen=True)
class Clip:
    """``samples`` (n,) and, a row each 10 ms, ``phones`` class, ``shut`` and ``labial`` 0/1/-1.

    ``weight`` says how much oftener than its length alone the clip is to be heard in training.
    """

    name: str
    samples: FloatArray
    phones: NDArray[np.int64]
    shut: NDArray[np.int64]
    labial: NDArray[np.int64]
    weight: float = 1.0


def is_held_out(name: str, position: int) -> bool:
    """Tell whether the ``position``-th clip (sorted by name) is kept for validation.

    That is one VCTK speaker, one sentence in ten of the male reader, one LibriSpeech reader in 13
    (their names are ``READER-CHAPTER-SENTENCE``) and Kokoro's Spanish, French and Italian voices.
    """
    reader = name.split("-")[0]
    if reader.isdigit():
        return int(reader) % 13 == 5
    known_reader = name.startswith("LJ") and position % 10 == 5
    return known_reader or name.startswith(HELD_OUT_SPEAKER) or is_held_out_voice(name)


def read_sound(path: Path) -> FloatArray:
    """Return the file as mono 16 kHz float32."""
    with open_audio(path) as reader:
        return np.concatenate(list(reader.chunks()))


def row_labels(phones: list[tuple[float, float, str]], rows: int) -> NDArray[np.int64]:
    """Return (rows, 3): phone class, lips shut, lip at teeth; ``IGNORED`` where doubtful."""
    labels = np.full((rows, 3), IGNORED, np.int64)
    for start_s, end_s, name in phones:
        a, b = round(start_s * ROWS_PER_SECOND), round(end_s * ROWS_PER_SECOND)
        if name not in PHONES or (name != "SIL" and end_s - start_s > _LONGEST_S):
            continue
        labels[a:b, 0] = PHONES.index(name)
        labels[a:b, 1] = 0
        labels[a:b, 2] = int(name in ("F", "V"))
        if name in SHUT_SHARE:
            labels[a:b, 1] = IGNORED
            labels[a : a + max(2, round((b - a) * SHUT_SHARE[name])), 1] = 1
    return labels


def load_corpus(folder: Path, weight: float = 1.0) -> list[Clip]:
    """Return the clips of ``folder``, sorted by name."""
    entries = json.loads(folder.with_name(folder.name + ".json").read_text("utf-8"))
    files = {p.stem: p for p in folder.iterdir()}
    clips = []
    for name in sorted(set(entries) & set(files)):
        samples = read_sound(files[name])
        labels = row_labels(entries[name]["phones"], row_count(len(samples)))
        clips.append(Clip(name, samples, labels[:, 0], labels[:, 1], labels[:, 2], weight))
    return clips


def load_unlabelled(folder: Path) -> list[FloatArray]:
    """Return every sound file of ``folder``: voices for babble."""
    return [read_sound(p) for p in sorted(folder.iterdir())]


def crop(clip: Clip, rows: int, rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return a piece of ``clip`` at a random speed, silence around it, and its labels (rows, 3)."""
    speed = float(np.exp(rng.uniform(-0.2, 0.2)))
    take = rows if rng.random() > 0.3 else int(rng.integers(rows // 3, rows))
    span = min(len(clip.phones), int(take * speed))
    start = int(rng.integers(0, len(clip.phones) - span + 1))
    hop = SAMPLE_RATE // ROWS_PER_SECOND
    take = int(span / speed)
    at = np.arange(take * hop) * speed + start * hop
    sound = np.interp(at, np.arange(len(clip.samples)), clip.samples).astype(np.float32)
    row = np.minimum(start + np.arange(take) * speed, len(clip.phones) - 1).round().astype(int)
    row = np.minimum(row, len(clip.phones) - 1)
    labels = np.zeros((rows, 3), np.int64)
    offset = int(rng.integers(0, rows - take + 1))
    labels[offset : offset + take] = np.stack(
        [clip.phones[row], clip.shut[row], clip.labial[row]], axis=1
    )
    out = np.zeros(rows * hop, np.float32)
    out[offset * hop : offset * hop + take * hop] = sound
    return out, labels


def coloured_noise(samples: int, rng: np.random.Generator) -> FloatArray:
    """Return noise of unit level with a spectral slope between blue and brown, maybe pulsing."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    slope = rng.uniform(-0.3, 1.2)
    shape = np.maximum(np.arange(len(spectrum)), 20) ** slope
    noise: NDArray[np.float64] = np.fft.irfft(spectrum / shape, samples)
    if rng.random() < 0.3:
        beat = np.repeat(rng.uniform(0.05, 1.0, samples // 3000 + 2), 3000)[:samples]
        noise = noise * np.convolve(beat, np.hanning(1500) / 750, "same")
    return _unit(noise)


def tones(samples: int, rng: np.random.Generator) -> FloatArray:
    """Return music-like chords with harmonics, vibrato and decays, at unit level."""
    t = np.arange(samples) / SAMPLE_RATE
    out = np.zeros(samples)
    note_s = rng.uniform(0.15, 0.8)
    for _ in range(int(rng.integers(2, 5))):
        steps = rng.integers(-12, 24, int(t[-1] / note_s) + 2)
        pitch = 220.0 * 2.0 ** (steps[(t / note_s).astype(int)] / 12.0)
        phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.004 * np.sin(31 * t))) / SAMPLE_RATE
        decay = np.exp(-rng.uniform(0, 6) * (t % note_s))
        for k in range(1, 7):
            out += decay * rng.uniform(0, 1) / k * np.sin(k * phase)
    return _unit(out)


def hum(samples: int, rng: np.random.Generator) -> FloatArray:
    """Return a low tone with some harmonics, at unit level, that starts and stops at once."""
    t = np.arange(samples) / SAMPLE_RATE
    out = np.sin(2 * np.pi * (pitch := rng.uniform(45, 400)) * t)
    for k in range(2, 2 + int(rng.integers(0, 6))):
        out += rng.uniform(0, 0.6) / k * np.sin(2 * np.pi * k * pitch * t + rng.uniform(0, 6.28))
    begin, end = np.sort(rng.integers(0, samples, 2))
    if rng.random() < 0.7:
        out[:begin] = 0.0
        out[max(end, begin + samples // 8) :] = 0.0
    return _unit(out)


def babble(samples: int, voices: list[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return several people speaking at once, at unit level."""
    out = np.zeros(samples)
    for _ in range(int(rng.integers(3, 8))):
        voice = voices[int(rng.integers(len(voices)))]
        out += _unit(np.resize(np.roll(voice, -int(rng.integers(len(voice)))), samples))
    return _unit(out)


def room(sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ``sound`` in a synthetic room (decaying noise behind the direct sound)."""
    decay_s = rng.uniform(0.1, 0.7)
    t = np.arange(int(decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / decay_s)
    tail *= rng.uniform(0.1, 0.8) / np.sqrt(np.square(tail).sum())
    size = -(-(len(sound) + len(t)) // 4096) * 4096  # a length that the FFT likes
    response = np.zeros(size)
    response[0] = 1.0
    delay = int(rng.integers(20, 200))
    response[delay : delay + len(t)] += tail[: size - delay]
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response), size)
    return wet[: len(sound)].astype(np.float32)


def line(sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ``sound`` through a random microphone or telephone: equaliser, band, clipping."""
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    knots = np.geomspace(60, 8000, 7)
    gain = np.interp(np.log(hertz + 1), np.log(knots), rng.uniform(-7, 7, 7))
    spectrum = spectrum * 10 ** (gain / 20)
    if rng.random() < 0.2:
        low, high = (300, 3400) if rng.random() < 0.5 else (50, rng.uniform(3500, 7000))
        spectrum = spectrum / (1 + (low / (hertz + 1)) ** 8) / (1 + (hertz / high) ** 16)
    out: FloatArray = np.fft.irfft(spectrum, len(sound)).astype(np.float32)
    peak = float(np.abs(out).max()) + 1e-6
    if rng.random() < 0.1:
        out = np.clip(out, -peak * rng.uniform(0.15, 0.7), peak * rng.uniform(0.15, 0.7))
    if rng.random() < 0.08:
        out = np.round(out / peak * 60) / 60 * peak
    return out


def codec(sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ``sound`` after a lossy codec at a low bit rate: MP3 or Opus, no delay left."""
    kind, name, least, most = (("mp3", "libmp3lame", 24_000, 64_000),
                               ("ogg", "libopus", 7_000, 32_000))[int(rng.integers(2))]  # fmt: skip
    store = io.BytesIO()
    loud = float(np.abs(sound).max()) + 1e-6
    with av.open(store, "w", format=kind) as file:
        stream = file.add_stream(name, rate=SAMPLE_RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = int(rng.uniform(least, most))
        fit = av.AudioResampler(stream.codec_context.format, "mono", SAMPLE_RATE)
        frame = av.AudioFrame.from_ndarray((sound / loud * 0.9)[None], "flt", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for part in [*fit.resample(frame), *fit.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    store.seek(0)
    back = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(store, "r") as file:
        frames = [f for coded in file.decode(audio=0) for f in back.resample(coded)]
        frames += back.resample(None)
    out = np.concatenate([f.to_ndarray().ravel() for f in frames]) * (loud / 0.9)
    return np.pad(out[: len(sound)], (0, max(0, len(sound) - len(out)))).astype(np.float32)


def _unit(x: NDArray[np.float64] | FloatArray) -> FloatArray:
    """Return ``x`` scaled to a root mean square of 1."""
    return (x / np.sqrt(np.square(x).mean() + 1e-12)).astype(np.float32)


def disturb(sound: FloatArray, voices: list[FloatArray], rng: np.random.Generator) -> FloatArray:
    """Return ``sound`` in a room, with noise, over a line and a codec, at -45 to 0 dB."""
    level = np.sqrt(np.square(sound).mean() + 1e-10)
    if rng.random() < 0.35:
        sound = room(sound, rng)
    if rng.random() < 0.7:
        kind = rng.random()
        if kind < 0.35 and voices:
            noise = babble(len(sound), voices, rng)
        else:
            noise = tones(len(sound), rng) if kind < 0.5 else coloured_noise(len(sound), rng)
        sound = sound + noise * level * 10 ** (-rng.uniform(0, 32) / 20)
    if rng.random() < 0.6:
        sound = line(sound, rng)
    if rng.random() < 0.06:
        sound = codec(sound, rng)
    peak = float(np.abs(sound).max()) + 1e-6
    return (sound / peak * 10 ** (-rng.uniform(0, 36) / 20)).astype(np.float32)
