"""espeak-ng through its C interface: spelling to IPA, and speech with the times of its phones.

Needs the Python package ``espeakng-loader`` (GPL-3 library and voices; used to make data only,
never part of the package).
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

from visavis.errors import InputError
from visavis.types import FloatArray

_SYNCHRONOUS, _IPA_EVENTS, _UTF8, _PHONEME_MODE_IPA = 2, 0x3, 1, 2
_PHONEME_EVENT, _RATE_WPM, _PITCH = 7, 1, 3

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
        import espeakng_loader
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
    return sound, rate, [s for s in spans if s[1] > s[0]]


def _select(voice: str) -> Any:
    library = _library()[0]
    if library.espeak_SetVoiceByName(voice.encode()):
        raise InputError(f"espeak-ng has no voice {voice!r}: give a language code as in 'pl'")
    return library
