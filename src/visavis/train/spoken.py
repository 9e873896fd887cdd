"""Made speech as labelled clips: from a voice's own timed symbols to the phones of audio.phones."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from visavis.train import espeak
from visavis.train.ipa import CLASSES, DIPHTHONGS, classes
from visavis.train.sentences import UNROUNDED_Y
from visavis.types import SAMPLE_RATE, FloatArray

Timed = list[tuple[float, float, str]]
"""Symbols or classes with start and end in seconds; pauses and marks as the source names them."""

_PAUSES = ',.;:!?—…"$'
_SILENCE_S = 0.1


def espeak_clip(
    text: str, language: str, variant: str = "", words_per_minute: int = 160, pitch: int = 50
) -> tuple[FloatArray, int, Timed]:
    """Return ``text`` spoken by espeak-ng: sound (n,), its rate and its phones.

    Raises:
        InputError: espeak-ng is missing or does not know the language.
    """
    sound, rate, timed = espeak.speak(text, language + variant, words_per_minute, pitch)
    return sound, rate, with_pauses(to_phones(timed, language), sound, rate)


def to_phones(timed: Timed, language: str) -> Timed:
    """Return classes: marks join the phone they follow, stress the next one, pauses are "_"."""
    out: list[list[Any]] = []
    waiting: float | None = None
    for start, end, ipa in _joined(timed, language):
        ipa = ipa.replace("y", "ɨ") if language in UNROUNDED_Y else ipa
        names = classes(ipa, language.startswith("en"))
        if not names and ipa and not ipa.strip("ˈˌ"):
            waiting = start if waiting is None else waiting
            continue
        if not names and ipa and not ipa.isspace() and ipa not in _PAUSES and out:
            out[-1][1] = end
            continue
        start, waiting = (start if waiting is None else waiting), None
        if names == ["R"] and language.startswith("en") and out and out[-1][2] == "ER":
            out[-1][1] = end
            continue
        edges = np.linspace(start, end, max(1, len(names)) + 1)
        for a, b, name in zip(edges[:-1], edges[1:], names or ["_"], strict=True):
            out.append([float(a), float(b), name])
    return [(a, b, p) for a, b, p in out]


def _joined(timed: Timed, language: str) -> Timed:
    """Return ``timed`` with the two halves of diphthongs and affricates put together."""
    out: Timed = []
    for start, end, ipa in timed:
        both = out[-1][2] + ipa if out else ""
        whole = len(both) == 2 and both in CLASSES
        if whole and (language.startswith("en") or both not in DIPHTHONGS):
            out[-1] = (out[-1][0], end, both)
            continue
        out.append((start, end, ipa))
    return out


def with_pauses(phones: Timed, sound: Any, rate: int) -> Timed:
    """Return ``phones`` with quiet gaps of 0.1 s as SIL, shorter ones shared by the neighbours."""
    level = np.sqrt(np.square(sound).mean())
    out: list[tuple[float, float, str]] = []
    begin: float | None = None
    for i, (start, end, phone) in enumerate(phones):
        if phone != "_":
            out.append((start if begin is None else begin, end, phone))
            begin = None
            continue
        gap = np.sqrt(np.square(sound[int(start * rate) : int(end * rate) + 1]).mean())
        if i in (0, len(phones) - 1) or (end - start >= _SILENCE_S and gap < 0.15 * level):
            out.append((start, end, "SIL"))
            continue
        begin = (start + end) / 2
        if out:
            out[-1] = (out[-1][0], begin, out[-1][2])
    return out


def write_wav(path: Path, sound: FloatArray, rate: int) -> float:
    """Write ``sound`` (n,) at ``rate`` as 16 kHz, its peak at 0.7; return the seconds."""
    narrow = soxr.resample(sound, rate, SAMPLE_RATE)
    narrow = narrow / max(1e-3, float(np.abs(narrow).max())) * 0.7
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((narrow * 32767).astype("<i2").tobytes())
    return len(narrow) / SAMPLE_RATE
