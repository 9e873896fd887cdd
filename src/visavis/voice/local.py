"""The voice that needs no account: hibari (PyPI ``hibari-tts``, Apache-2.0, 14 MB, ONNX Runtime).

One American English voice. It reads numbers, dates, prices and abbreviations by itself; sentences
come with a third of a second of silence before and half a second after, which is taken off here:
the listener waits for the first sound, not for the network.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np

import visavis.nn.session  # noqa: F401 - first: it tells ONNX Runtime to send no usage data
from visavis.errors import InputError, MissingExtra
from visavis.types import FloatArray
from visavis.voice.sentences import sentences

_SEED = 1
_STEP_S, _BEFORE_S, _AFTER_S, _PAUSE_S = 0.005, 0.03, 0.06, 0.2
_QUIET = 10 ** (-45 / 20)


class LocalVoice:
    """Hibari's own voice."""

    def __init__(self, speed: float = 1.0) -> None:
        """Load it (0.3 s) to speak at ``speed`` times its usual pace, 0.5 to 2.

        Raises:
            MissingExtra: the package is not installed.
            InputError: no such pace.
        """
        if not 0.5 <= speed <= 2.0:
            raise InputError(f"A voice cannot speak {speed} times as fast. Give 0.5 to 2.")
        self._hibari = _hibari()
        self._speed = speed

    @property
    def rate(self) -> int:
        """Samples per second."""
        return int(self._hibari.sample_rate)

    def speak(self, text: str) -> Iterator[FloatArray]:
        """Yield ``text``, a sentence at a time; the same text is the same sound.

        Raises:
            InputError: the text is too long or has words in other letters than Latin ones.
        """
        check_readable(text)
        for sentence in sentences(text):
            sound = self._hibari(sentence, speed=self._speed, seed=_SEED)
            if len(sound):
                yield closely_cut(np.asarray(sound, np.float32), self.rate)


def check_readable(text: str) -> None:
    """Refuse text that an English voice cannot read.

    A single Greek letter is read by its name.

    Raises:
        InputError: names the first word that it cannot read.
    """
    if text.isascii():
        return
    for word in text.split():
        letters = [c for c in word if c.isalpha()]
        scripts = {unicodedata.name(c, "UNKNOWN").split()[0] for c in letters if not c.isascii()}
        foreign = scripts - {"LATIN", "MICRO", "FEMININE", "MASCULINE", "MODIFIER"}
        if foreign and (len(letters) > 1 or foreign != {"GREEK"}):
            raise InputError(
                f"The local voice speaks English; it cannot read {word[:20]!r} "
                f"({min(foreign).capitalize()} letters). Write it in Latin letters, "
                "or use the voice of a server: openai:MODEL@URL."
            )


def closely_cut(sound: FloatArray, rate: int) -> FloatArray:
    """Return ``sound`` from just before its first to just after its last audible part, and a pause.

    Audible is what is above -45 dB of its loudest 5 ms.
    """
    step = int(_STEP_S * rate)
    count = len(sound) // step
    levels = np.sqrt(np.square(sound[: count * step]).reshape(count, step).mean(1))
    loud = np.flatnonzero(levels > _QUIET * levels.max(initial=0.0))
    if not len(loud):
        return np.zeros(0, np.float32)
    start = max(0, int(loud[0]) * step - int(_BEFORE_S * rate))
    end = min(len(sound), (int(loud[-1]) + 1) * step + int(_AFTER_S * rate))
    kept = sound[start:end].copy()
    fade = min(len(kept) // 2, step)
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    kept[:fade] *= ramp
    kept[len(kept) - fade :] *= ramp[::-1]
    return np.concatenate([kept, np.zeros(int(_PAUSE_S * rate), np.float32)])


def _hibari() -> Any:
    """Return the voice with all that it reads words by."""
    try:
        from hibari import Hibari  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra(
            'The local voice is not installed: pip install "visavis[voice]"'
        ) from error
    voice = Hibari()
    voice("Ready.")  # loads its dictionary and warms its network now
    return voice
