"""Does the mouth go with the sound, and how late is the picture?

Judged on 21 real clips with their own sound and with each other's: of 240 strange pairs of 4 s and
more, 1.7 % pass; of 180 shorter ones 17 %. Four of the 21 true pairs fail (another language, a
mouth that hardly moves); they lose their sound, not their face.
"""

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
FARTHEST_MS = 150.0
"""Sound farther off than this is another's, or cannot be told from it."""
WEAK = 0.2
"""From this correlation on a doubtful mouth is asked for its p b m; ``lips.SURE`` is enough."""
FEWEST_CLOSURES, AGREE_MS, HALF = 4, 40.0, 0.5
"""So many must be heard, and the lips be closest on them at a shift no farther off than this, and
then less than half as open as they are on average."""


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
    is_sure = found.correlation >= SURE or (
        found.correlation >= WEAK and _closes(seen, heard, found.ms)
    )
    return Sync(found.ms, found.correlation, is_sure and abs(found.ms) <= FARTHEST_MS, speech_s)


def _closes(seen: FloatArray, heard: Heard, late_ms: float) -> bool:
    """Return whether the lips ``seen`` (n,) close on p b m if the picture is so late."""
    spans = [s for s in heard.spans() if s.name in BILABIALS and is_plausible(s)]
    if len(spans) < FEWEST_CLOSURES:
        return False
    middles = np.array([(s.start + s.end) // 2 for s in spans])
    shifts = np.arange(-REACH_ROWS // 2, REACH_ROWS // 2 + 1)
    opening = seen[np.clip(middles + shifts[:, None], 0, len(seen) - 1)].mean(1)
    best = int(opening.argmin())
    away = abs(1000.0 * float(shifts[best]) / ROWS_PER_SECOND - late_ms)
    return away <= AGREE_MS and float(opening[best]) < HALF * float(seen.mean())


def _heard(samples: FloatArray, rows: int) -> Heard:
    """Return the phones of ``samples`` (n,) on ``rows`` rows of 10 ms."""
    recognizer = PhoneRecognizer()
    _, features = recognizer.step(recognizer.start(), Audio(samples), final=True)
    phones = decode(features.values[:, : len(PHONES)])
    return fitted(Heard(phones, np.zeros(len(phones), np.float32)), rows)
