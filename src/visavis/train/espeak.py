"""espeak-ng through its C interface: spelling to IPA, and speech with the times of its phones.

Needs the Python package ``espeakng-loader`` (GPL-3 library and voices; used to make data only,
never part of the package).
"""

from __future__ import annotations

import ctypes
import importlib
from functools import cache
from typing import Any

import numpy as np

from visavis.errors import InputError
from visavis.types import FloatArray

_SYNCHRONOUS, _IPA_EVENTS, _UTF8, _PHONEME_MODE_IPA = 2, 0x3, 1, 2
_PHONEME_EVENT, _RATE_WPM, _PITCH = 7, 1, 3

_VOICELESS_STOPS, _VOWELS = "ptkcqʈ", "aeiouyɑɐɒæɔəɛɜɪʊʌøœɨʉɯɤʏɵ"
_LINGERING = "mnɲŋbdɡlrwjʎβvɾ"
_LONGEST_CLOSURE_S, _LINGER_S = 0.09, 0.03

Segment = tuple[float, float, str]
"""Start and end in seconds and IPA ("" for a pause)."""


class _Name(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)
    ]  # fmt: skip


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Name),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@cache
def _library() -> tuple[Any, int]:
    """Return the loaded library and its sample rate.

    Raises:
        InputError: espeakng-loader is not installed.
    """
    try:
        espeakng_loader: Any = importlib.import_module("espeakng_loader")
    except ImportError as e:
        raise InputError("espeak-ng is missing: pip install espeakng-loader") from e
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    data = espeakng_loader.get_data_path().encode()
    return library, int(library.espeak_Initialize(_SYNCHRONOUS, 0, data, _IPA_EVENTS | 0x8000))


def is_present() -> bool:
    """Tell whether espeak-ng can be loaded."""
    try:
        return _library()[1] > 0
    except InputError:
        return False


def spell(text: str, language: str) -> str:
    """Return the IPA of ``text``, clauses joined by a comma.

    Raises:
        InputError: espeak-ng does not know the language.
    """
    library = _select(language)
    rest, clauses = ctypes.c_char_p(text.encode()), []
    while rest.value:
        part = library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _PHONEME_MODE_IPA)
        clauses.append((part or b"").decode())
    return ", ".join(c for c in clauses if c)


def speak(
    text: str, voice: str, words_per_minute: int = 160, pitch: int = 50
) -> tuple[FloatArray, int, list[Segment]]:
    """Return the sound (n,), its sample rate and its phones; ``voice`` as in "pl+f2".

    Raises:
        InputError: espeak-ng does not know the voice.
    """
    library, rate = _select(voice), _library()[1]
    library.espeak_SetParameter(_RATE_WPM, words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    pieces: list[Any] = []
    marks: list[tuple[int, str]] = []

    def collect(wave: Any, count: int, events: Any) -> int:
        if wave and count:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while events[k].type:
            if events[k].type == _PHONEME_EVENT:
                marks.append((events[k].sample, events[k].id.string.decode()))
            k += 1
        return 0

    callback, line = _CALLBACK(collect), text.encode()
    library.espeak_SetSynthCallback(callback)
    library.espeak_Synth(line, len(line) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sound = np.concatenate([np.zeros(1, np.int16), *pieces]).astype(np.float32) / 32768
    ends = [at for at, _ in marks[1:]] + [len(sound)]
    spans = [(a / rate, b / rate, ipa) for (a, ipa), b in zip(marks, ends, strict=True)]
    return sound, rate, as_sounded([s for s in spans if s[1] > s[0]], sound, rate)


def as_sounded(spans: list[Segment], sound: FloatArray, rate: int) -> list[Segment]:
    """Return ``spans`` with the borders that are heard instead of espeak-ng's own.

    Its voiceless stops begin at the burst, after their silent closure; its voiced consonants last
    until the following vowel has settled, some 30 ms after the lips or tongue let go.
    """
    level = 0.02 * float(np.abs(sound).max(initial=1e-6))
    out: list[Segment] = []
    for start, end, ipa in spans:
        plain, before = ipa.strip("ˈˌ"), out[-1] if out else (start, start, "")
        if plain[:1] in _VOICELESS_STOPS and before[1] > before[0]:
            quiet = _quiet_s(sound[: int(start * rate)], level, rate)
            start -= min(quiet, _LONGEST_CLOSURE_S, 0.9 * (before[1] - before[0]))
        elif plain[:1] in _VOWELS and before[2][:1] in _LINGERING:
            start -= min(_LINGER_S, 0.4 * (before[1] - before[0]))
        if out:
            out[-1] = (before[0], start, before[2])
        out.append((start, end, ipa))
    return out


def _quiet_s(sound: FloatArray, level: float, rate: int) -> float:
    """Return for how many seconds before its end ``sound`` is below ``level``."""
    heard = np.flatnonzero(np.abs(sound[-rate // 4 :]) > level)
    quiet = min(len(sound), rate // 4) - (int(heard[-1]) + 1 if len(heard) else 0)
    return quiet / rate


def _select(voice: str) -> Any:
    library = _library()[0]
    if library.espeak_SetVoiceByName(voice.encode()):
        raise InputError(f"espeak-ng has no voice {voice!r}: give a language code as in 'pl'")
    return library
