"""Does the mouth go with the sound, and how late is the picture?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import PHONES, PhoneRecognizer
from visavis.eval.alignment import SILENCE, Heard, decode, fitted
from visavis.eval.lips import Offset, gap_offset
from visavis.types import SAMPLE_RATE, Audio, FloatArray

LEAST_SPEECH_S = 1.0
"""With less speech than this nothing can be told."""


def offset(
    gap: FloatArray, seconds: NDArray[np.float64], samples: FloatArray, start_s: float
) -> tuple[Offset, float]:
    """Return the offset of picture and sound, and how many seconds of speech are heard.

    ``gap`` (t,) is the opening of the lips at ``seconds`` (t,); ``samples`` (n,) begin at
    ``start_s`` on the same clock.
    """
    rows = len(samples) * ROWS_PER_SECOND // SAMPLE_RATE
    heard = _heard(samples, rows)
    at = start_s + np.arange(rows) / ROWS_PER_SECOND
    seen = np.interp(at, seconds, gap).astype(np.float32)
    speech_s = float((heard.phones != SILENCE).sum()) / ROWS_PER_SECOND
    if speech_s < LEAST_SPEECH_S:
        return Offset(0.0, 0.0), speech_s
    return gap_offset(seen, heard), speech_s


def _heard(samples: FloatArray, rows: int) -> Heard:
    """Return the phones of ``samples`` (n,) on ``rows`` rows of 10 ms."""
    recognizer = PhoneRecognizer()
    _, features = recognizer.step(recognizer.start(), Audio(samples), final=True)
    phones = decode(features.values[:, : len(PHONES)])
    return fitted(Heard(phones, np.zeros(len(phones), np.float32)), rows)
