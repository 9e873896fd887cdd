"""Does the mouth go with the sound, and how late is the picture?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import PHONES, PhoneRecognizer
from visavis.eval.alignment import SILENCE, Heard, decode, fitted, is_plausible
from visavis.eval.lips import BILABIALS, REACH_ROWS, SURE, gap_offset
from visavis.types import SAMPLE_RATE, Audio, FloatArray

LEAST_SPEECH_S = 1.0
"""With less speech than this nothing can be told."""
WEAK = 0.2
"""Below this correlation (``lips.SURE`` is beyond doubt) mouth and sound have nothing in common."""
FEWEST_CLOSURES, AGREE_MS = 4, 40.0
"""Between the two, this many p b m must be closed at a shift no farther off than this."""


@dataclass(frozen=True)
class Sync:
    """``ms`` the picture is late (negative: early), ``correlation`` of seen and expected mouth.

    ``is_sure``: mouth and sound belong together. ``speech_s`` seconds of speech were heard.
    """

    ms: float
    correlation: float
    is_sure: bool
    speech_s: float


def compare(
    gap: FloatArray, seconds: NDArray[np.float64], samples: FloatArray, start_s: float
) -> Sync:
    """Return how the opening of the lips ``gap`` (t,) at ``seconds`` (t,) goes with the sound.

    ``samples`` (n,) begin at ``start_s`` on the same clock. Two judges: the shift at which mouth
    and phones correlate best, and that at which the lips are closest on p, b and m.
    """
    rows = len(samples) * ROWS_PER_SECOND // SAMPLE_RATE
    heard = _heard(samples, rows)
    seen = np.interp(start_s + np.arange(rows) / ROWS_PER_SECOND, seconds, gap).astype(np.float32)
    speech_s = float((heard.phones != SILENCE).sum()) / ROWS_PER_SECOND
    if speech_s < LEAST_SPEECH_S:
        return Sync(0.0, 0.0, False, speech_s)
    found = gap_offset(seen, heard)
    is_sure = found.correlation >= SURE
    if not is_sure and found.correlation >= WEAK:
        closed = _closing_ms(seen, heard)
        is_sure = closed is not None and abs(closed - found.ms) <= AGREE_MS
    return Sync(found.ms, found.correlation, is_sure, speech_s)


def _closing_ms(seen: FloatArray, heard: Heard) -> float | None:
    """Return the shift at which the lips are closest on p b m, or None if there are few."""
    spans = [s for s in heard.spans() if s.name in BILABIALS and is_plausible(s)]
    if len(spans) < FEWEST_CLOSURES:
        return None
    middles = np.array([(s.start + s.end) // 2 for s in spans])
    shifts = np.arange(-REACH_ROWS // 2, REACH_ROWS // 2 + 1)
    at = np.clip(middles[None] + shifts[:, None], 0, len(seen) - 1)
    return 1000.0 * float(shifts[seen[at].mean(1).argmin()]) / ROWS_PER_SECOND


def _heard(samples: FloatArray, rows: int) -> Heard:
    """Return the phones of ``samples`` (n,) on ``rows`` rows of 10 ms."""
    recognizer = PhoneRecognizer()
    _, features = recognizer.step(recognizer.start(), Audio(samples), final=True)
    phones = decode(features.values[:, : len(PHONES)])
    return fitted(Heard(phones, np.zeros(len(phones), np.float32)), rows)
