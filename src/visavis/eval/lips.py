"""Do the lips say what is heard: closure on p b m, opening on open vowels, and the A/V offset.

Lips part by ``gap + TEETH * teeth``: the gap of their inner edges, and what shows between them.
Landmarks alone call a line of teeth closed lips. The threshold comes from real people: on 30
bilabials of GRID, HDTF, VoxCeleb and other clips that two recognisers agree on, lips part by 0.011
inter-ocular distances (median), and on 28 of them by no more than 0.031. On 1,008 real frames and
1,013 of ours, closed or clearly open by MediaPipe (samples looked at), it decides 94 to 100 %
rightly, with MediaPipe's landmarks as with our own. `benchmarks/talk.py` says what people score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import PHONES
from visavis.eval.alignment import Heard, Span, is_plausible
from visavis.eval.track import Curves
from visavis.types import FloatArray

BILABIALS = ("P", "B", "M")
MAY_CLOSE = (*BILABIALS, "F", "V", "W", "SIL")
OPEN_VOWELS = ("AA", "AE", "AO", "AW", "AY", "EH")
CLOSED = 0.04
"""Lips that part less than this, in inter-ocular distances, are closed."""
TEETH = 0.1
"""What teeth in full view add to the gap."""
OPEN_GAP = 0.05
"""Lips farther apart than this are open."""
MARGIN_ROWS = 4
"""One frame of 25 fps before and after a phone may count for it."""
APART_ROWS = 5
"""Phones nearer than 50 ms to a closure may share it."""
REACH_ROWS = 40
"""Largest offset between picture and sound that is looked for: 400 ms."""
FAR_PEAK = 0.15
"""What a shift of 400 ms costs, in correlation, when peaks are compared."""
SURE = 0.35
"""Below this correlation the offset is a guess and is not reported."""

OPENNESS: dict[str, float] = {
    "SIL": 0.15, "AA": 0.9, "AE": 0.9, "AH": 0.6, "AO": 0.7, "AW": 0.8, "AY": 0.85, "EH": 0.75,
    "EY": 0.7, "ER": 0.4, "IH": 0.5, "IY": 0.5, "OW": 0.45, "OY": 0.55, "UH": 0.4, "UW": 0.3,
    "W": 0.15, "R": 0.4, "Y": 0.4, "L": 0.5, "HH": 0.6, "M": 0.0, "B": 0.0, "P": 0.0, "F": 0.15,
    "V": 0.15, "S": 0.4, "Z": 0.4, "SH": 0.35, "ZH": 0.35, "CH": 0.4, "JH": 0.4, "T": 0.4,
    "D": 0.45, "N": 0.45, "TH": 0.45, "DH": 0.45, "K": 0.5, "G": 0.5, "NG": 0.45,
}  # fmt: skip
"""How far the lips of real talkers stand apart in each phone, 1 = widest; from the same clips."""


@dataclass(frozen=True)
class Visit:
    """One phone that asks for a shape: its ``span``, the extreme ``parting``, and at which ``row``.

    For open vowels the parting is the gap alone.
    """

    span: Span
    parting: float
    row: int
    is_met: bool


@dataclass(frozen=True)
class Offset:
    """How late the picture is, in ms (positive: it lags the sound), and the correlation there."""

    ms: float
    correlation: float


def closures(curves: Curves, spans: list[Span]) -> list[Visit]:
    """Return each bilabial with the smallest parting in its interval and 40 ms on either side."""
    return [_visit(curves, s, is_closure=True) for s in spans if _is_judged(curves, s, BILABIALS)]


def openings(curves: Curves, spans: list[Span]) -> list[Visit]:
    """Return each open vowel with the largest gap within its interval and 40 ms on either side."""
    vowels = [s for s in spans if _is_judged(curves, s, OPEN_VOWELS)]
    return [_visit(curves, s, is_closure=False) for s in vowels]


def false_closures(curves: Curves, spans: list[Span]) -> float | None:
    """Return the share of phones on which the lips close and should not, or None without any.

    Counted are phones other than p b m f v w that stand 50 ms and more from any of these and from
    silence.
    """
    closed = parting(curves) < CLOSED
    may = np.zeros(len(curves) + APART_ROWS, bool)
    for span in spans:
        if span.name in MAY_CLOSE:
            may[max(0, span.start - APART_ROWS) : span.end + APART_ROWS] = True
    judged = [
        s
        for s in spans
        if s.end <= len(curves) and not may[s.start : s.end].any() and _is_seen(curves, s)
    ]
    if not judged:
        return None
    return float(np.mean([closed[s.start : s.end].any() for s in judged]))


def recall(visits: list[Visit]) -> float | None:
    """Return the share of ``visits`` that are met, or None if there are none."""
    return float(np.mean([v.is_met for v in visits])) if visits else None


def _is_judged(curves: Curves, span: Span, names: tuple[str, ...]) -> bool:
    """Return whether ``span`` is one of ``names``, plausible, inside the video and in sight."""
    inside = span.end <= len(curves)
    return span.name in names and is_plausible(span) and inside and _is_seen(curves, span)


def _is_seen(curves: Curves, span: Span) -> bool:
    return bool(curves.seen[span.start : span.end].all())


def _visit(curves: Curves, span: Span, *, is_closure: bool) -> Visit:
    """Return what the lips do during ``span``."""
    rows = slice(max(0, span.start - MARGIN_ROWS), span.end + MARGIN_ROWS)
    values = (parting(curves) if is_closure else curves.gap)[rows]
    if is_closure:
        at, is_met = int(values.argmin()), bool(values.min() < CLOSED)
    else:
        at, is_met = int(values.argmax()), bool(values.max() > OPEN_GAP)
    return Visit(span, float(values[at]), rows.start + at, is_met)


def parting(curves: Curves) -> FloatArray:
    """Return how far the lips part (n,): their gap, and more where teeth show."""
    return curves.gap + np.float32(TEETH) * curves.teeth


def offset(curves: Curves, heard: Heard) -> Offset:
    """Return the shift between the mouth seen and the mouth expected from the phones.

    The expected opening is ``OPENNESS`` of the phones, smoothed over 30 ms as articulators do; the
    shift is that of the highest peak of the Pearson correlation over +-400 ms, refined by a
    parabola. GRID's studio recordings score -19 to 11 ms with their words aligned.
    """
    return gap_offset(curves.gap, heard)


def gap_offset(gap: FloatArray, heard: Heard) -> Offset:
    """Return the same for the lips' ``gap`` (n,) alone, on rows of 10 ms."""
    expected, seen = _both(gap, heard)
    shifts = range(-REACH_ROWS, REACH_ROWS + 1)
    scores = np.array([_correlation(expected, seen, shift) for shift in shifts])
    best = _peak(scores)
    low, mid, high = scores[best - 1 : best + 2]
    bend = low - 2 * mid + high
    part = 0.5 * (low - high) / bend if bend < 0 else 0.0
    rows = best - REACH_ROWS + float(np.clip(part, -0.5, 0.5))
    return Offset(1000.0 * rows / ROWS_PER_SECOND, float(mid))


def gap_correlation(gap: FloatArray, heard: Heard) -> float:
    """Return how the lips' ``gap`` (n,), on rows of 10 ms, goes with the phones as they come.

    Without looking for the best shift, which finds something in any short stretch.
    """
    return _correlation(*_both(gap, heard), 0)


def _both(gap: FloatArray, heard: Heard) -> tuple[FloatArray, FloatArray]:
    """Return the expected opening and that seen, as long as both are known, smoothed."""
    table = np.array([OPENNESS[p] for p in PHONES], np.float32)
    expected = _smooth(table[heard.phones[: len(gap)]])
    return expected, _smooth(gap[: len(expected)])


def _peak(scores: FloatArray) -> int:
    """Return the highest inner peak of ``scores`` (2 * REACH_ROWS + 1,).

    Speech is rhythmic: of peaks that are almost equal the one nearer to no shift is taken.
    """
    away = np.abs(np.arange(len(scores)) - REACH_ROWS) / REACH_ROWS
    best = int((scores - FAR_PEAK * away)[1:-1].argmax()) + 1
    while 1 < best < len(scores) - 2 and max(scores[best - 1], scores[best + 1]) > scores[best]:
        best += 1 if scores[best + 1] > scores[best - 1] else -1
    return best


def _smooth(values: FloatArray) -> FloatArray:
    """Return ``values`` (n,) through a Gaussian of 30 ms."""
    reach = np.arange(-9, 10)
    kernel = np.exp(-0.5 * (reach / 3.0) ** 2)
    padded = np.pad(values, 9, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid").astype(np.float32)


def _correlation(expected: FloatArray, seen: FloatArray, shift: int) -> float:
    """Return the Pearson correlation when the picture comes ``shift`` rows after the sound."""
    a = expected[max(0, -shift) : len(expected) - max(0, shift)].astype(np.float64)
    b = seen[max(0, shift) : len(seen) - max(0, -shift)].astype(np.float64)
    if len(a) < ROWS_PER_SECOND // 4:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-9 else 0.0
