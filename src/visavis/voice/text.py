"""Written words -> sound in memory, to be animated like a recording."""

from __future__ import annotations

import numpy as np

from visavis.errors import InputError
from visavis.types import FloatArray
from visavis.voice.base import Voice

_LEAD_S, _TAIL_S = 0.3, 0.5


def spoken(text: str, voice: Voice) -> tuple[FloatArray, int]:
    """Return ``text`` spoken by ``voice``: samples (n,) float32 and their rate.

    A moment of silence before and after lets the face come to rest.

    Raises:
        InputError: the text cannot be spoken, or there is no word in it.
        ModelError: the server of the voice does not answer as it should.
    """
    pieces = list(voice.speak(text))
    if not pieces:
        raise InputError(f"There is no word to speak in {text[:40]!r}.")
    lead = np.zeros(int(_LEAD_S * voice.rate), np.float32)
    tail = np.zeros(int(_TAIL_S * voice.rate), np.float32)
    return np.concatenate([lead, *pieces, tail]), voice.rate
