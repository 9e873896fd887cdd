"""Held-out speech for benchmarks/lips.py: clips with phones by language, and what disturbs them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from visavis.train import espeak
from visavis.train.sentences import HELD_OUT, SENTENCES
from visavis.train.speech_data import babble, coloured_noise, is_held_out, read_sound
from visavis.train.spoken import espeak_clip
from visavis.types import SAMPLE_RATE

VARIANTS = ("+f2", "+m3", "+f4", "+m1", "", "+f5", "+m7")
SNR_DB = 10.0
CONDITIONS = ("clean", "noise", "babble")


@dataclass(frozen=True)
class Spoken:
    """A clip: mono ``samples`` at SAMPLE_RATE and ``phones`` as [start_s, end_s, name]."""

    name: str
    samples: np.ndarray
    phones: list[tuple[float, float, str]]


def english(shared: Path) -> list[Spoken]:
    """Return the recorded English clips that no training hears (automatic alignments)."""
    folder = shared / "data/speech/aligned"
    entries = json.loads(folder.with_suffix(".json").read_text("utf-8"))
    names = [n for i, n in enumerate(sorted(entries)) if is_held_out(n, i)]
    return [Spoken(n, read_sound(folder / f"{n}.flac"), entries[n]["phones"]) for n in names]


def by_espeak(most: int) -> dict[str, list[Spoken]]:
    """Return up to ``most`` sentences of each held-out language, spoken here and now by espeak-ng.

    Empty where espeak-ng is missing. The phones and their times are its own.
    """
    if not espeak.is_present():
        return {}
    out = {}
    for language in (n for n in SENTENCES if n in HELD_OUT):
        clips = []
        for i, text in enumerate(SENTENCES[language][:most]):
            sound, rate, phones = espeak_clip(text, language, VARIANTS[i % len(VARIANTS)], 150)
            narrow = soxr.resample(sound, rate, SAMPLE_RATE).astype(np.float32)
            clips.append(Spoken(f"{language}_{i}", narrow, phones))
        out[f"{language} (espeak)"] = clips
    return out


def from_folder(folder: Path, most: int) -> dict[str, list[Spoken]]:
    """Return up to ``most`` clips of each language of a corpus made by the recipes."""
    entries = json.loads(folder.with_name(folder.name + ".json").read_text("utf-8"))
    files = {p.stem: p for p in folder.iterdir()}
    out: dict[str, list[Spoken]] = {}
    for name in sorted(set(entries) & set(files)):
        clips = out.setdefault(f"{entries[name]['language']} ({folder.name})", [])
        if len(clips) < most:
            clips.append(Spoken(name, read_sound(files[name]), entries[name]["phones"]))
    return out


class Disturbance:
    """Noise or babble at SNR_DB below the speech, the same at every call."""

    def __init__(self, shared: Path) -> None:
        """Read a few voices of readers kept out of training, for the babble."""
        folder = shared / "data/speech/librispeech"
        files = sorted(p for p in folder.iterdir() if is_held_out(p.stem, 0))
        self._voices = [read_sound(p) for p in files[:12]]

    def __call__(self, clip: Spoken, condition: str, seed: int) -> Spoken:
        """Return ``clip`` under ``condition`` of CONDITIONS."""
        if condition == "clean":
            return clip
        rng = np.random.default_rng([seed, CONDITIONS.index(condition)])
        size = len(clip.samples)
        noise = (
            coloured_noise(size, rng) if condition == "noise" else babble(size, self._voices, rng)
        )
        spoken = np.zeros(size, bool)
        for start_s, end_s, phone in clip.phones:
            spoken[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)] = phone != "SIL"
        level = float(np.sqrt(np.square(clip.samples[spoken]).mean()))
        mixed = clip.samples + noise * level * 10 ** (-SNR_DB / 20)
        return replace(clip, samples=mixed.astype(np.float32))
