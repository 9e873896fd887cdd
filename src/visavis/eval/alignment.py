"""Which phone sounds when: read from a file, or heard by the packaged recogniser.

Everything lies on the grid of ``audio.features``: row ``i`` is the 10 ms from ``i / 100`` seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import HOP_SAMPLES, ROWS_PER_SECOND
from visavis.audio.phones import PHONES, PhoneRecognizer
from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import regular_file, shown
from visavis.media.read import open_audio
from visavis.types import SAMPLE_RATE, Audio, FloatArray

Phones = list[tuple[float, float, str]]
"""Start and end in seconds and ARPAbet name of each phone."""

SILENCE = 0
"""Row of ``PHONES`` that means no speech."""
SWITCH = 4.0
"""Cost, in nats, of passing from one phone to another when posteriors become an alignment."""
SHORTEST_S, LONGEST_S = 0.02, 0.42
"""Phones shorter or longer than this are mistakes of an aligner and are not judged."""


@dataclass(frozen=True)
class Span:
    """One phone: rows ``start`` up to but without ``end``, and its ARPAbet ``name``."""

    start: int
    end: int
    name: str


@dataclass(frozen=True)
class Heard:
    """The sound: ``phones`` (n,) index into ``PHONES`` per row, and ``peaks`` (n,) 0..1 to draw."""

    phones: NDArray[np.int64]
    peaks: FloatArray

    def spans(self) -> list[Span]:
        """Return the phones one after the other, silence included."""
        edges = np.flatnonzero(np.diff(self.phones)) + 1
        bounds = [0, *edges.tolist(), len(self.phones)]
        return [
            Span(a, b, PHONES[self.phones[a]])
            for a, b in zip(bounds[:-1], bounds[1:], strict=True)
            if b > a
        ]


def hear(sound: str | Path, phones: Phones | None = None) -> Heard:
    """Return what is said in ``sound`` (any recording, or a video), in bounded memory per second.

    Without ``phones`` (see ``read_phones``) our own recogniser aligns the sound.

    Raises:
        UnreadableMedia: there is no sound.
        InputError: it is shorter than 0.2 s.
    """
    recognizer = PhoneRecognizer()
    state = recognizer.start()
    rows: list[FloatArray] = []
    peaks: list[FloatArray] = []
    with open_audio(sound) as reader:
        for piece in reader.chunks(SAMPLE_RATE):
            peaks.append(_peaks(piece))
            if phones is None:
                state, features = recognizer.step(state, Audio(piece))
                rows.append(features.values[:, : len(PHONES)])
    loud = np.concatenate(peaks)
    if len(loud) < 0.2 * ROWS_PER_SECOND:
        raise InputError(f"{shown(sound)} holds {len(loud) * 10} ms of sound; give 0.2 s or more.")
    if phones is not None:
        return Heard(_rows(phones, len(loud)), loud)
    _, features = recognizer.step(state, Audio(np.zeros(0, np.float32)), final=True)
    posteriors = np.concatenate([*rows, features.values[:, : len(PHONES)]])
    return Heard(decode(posteriors)[: len(loud)], loud[: len(posteriors)])


def _peaks(piece: FloatArray) -> FloatArray:
    """Return the largest amplitude of each 10 ms of ``piece`` (n,)."""
    padded = np.pad(np.abs(piece), (0, -len(piece) % HOP_SAMPLES))
    peaks: FloatArray = padded.reshape(-1, HOP_SAMPLES).max(1)
    return peaks


def decode(posteriors: FloatArray) -> NDArray[np.int64]:
    """Return the likeliest phone of each row (n,) for ``posteriors`` (n, 40).

    Viterbi (1967) with one cost, ``SWITCH``, for any change of phone: it removes the flicker of the
    single-row maximum.
    """
    scores = np.log(np.maximum(posteriors, 1e-6))
    best = scores[0].astype(np.float64)
    came_from = np.zeros(scores.shape, np.uint8)
    stay = np.arange(scores.shape[1])
    for i in range(1, len(scores)):
        top = int(best.argmax())
        is_switch = best[top] - SWITCH > best
        came_from[i] = np.where(is_switch, top, stay)
        best = np.where(is_switch, best[top] - SWITCH, best) + scores[i]
    path = np.zeros(len(scores), np.int64)
    path[-1] = int(best.argmax())
    for i in range(len(scores) - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def read_phones(path: str | Path) -> Phones:
    """Return the phones in the JSON file ``path``: [[start_s, end_s, "ARPAbet"], ...].

    A file with {"phones": [...]} is read alike. Stress digits are dropped; what is no ARPAbet phone
    (sil, sp, spn, ...) counts as silence.

    Raises:
        UnreadableMedia: there is no such file, or it is no JSON.
        InputError: its content is another.
    """
    try:
        content: Any = json.loads(regular_file(path, "a phone file (.json)").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableMedia(
            f'{shown(path)} is not a phone file ({error}). Give JSON: [[0.1, 0.2, "AA"], ...].'
        ) from error
    rows = content.get("phones") if isinstance(content, dict) else content
    try:
        return list(_checked(rows))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{shown(path)} is no list of phones ({error}). Give JSON with seconds and ARPAbet: "
            '[[0.1, 0.2, "AA"], ...].'
        ) from error


def _checked(rows: Any) -> Iterator[tuple[float, float, str]]:  # noqa: ANN401 - from JSON
    """Yield the phones of ``rows``; ValueError or TypeError if they are none."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("no list")
    for start, end, name in rows:
        if not -1 < float(start) <= float(end) < float("inf"):
            raise ValueError(f"from {start} to {end} s is no stretch of time")
        bare = str(name).upper().rstrip("012")
        phone = bare if bare in PHONES else PHONES[SILENCE]
        yield max(0.0, float(start)), max(0.0, float(end)), phone


def _rows(spans: Phones, length: int) -> NDArray[np.int64]:
    """Return the phone of each of ``length`` rows; silence where the file says nothing."""
    out = np.full(length, SILENCE, np.int64)
    for start, end, name in spans:
        out[round(start * ROWS_PER_SECOND) : round(end * ROWS_PER_SECOND)] = PHONES.index(name)
    return out


def fitted(heard: Heard, rows: int) -> Heard:
    """Return ``heard`` cut, or filled up with silence, to ``rows`` rows."""
    missing = max(0, rows - len(heard.phones))
    phones = np.pad(heard.phones, (0, missing), constant_values=SILENCE)
    return Heard(phones[:rows], np.pad(heard.peaks, (0, missing))[:rows])


def is_plausible(span: Span) -> bool:
    """Return whether the length of ``span`` is one that a spoken phone can have."""
    length = (span.end - span.start) / ROWS_PER_SECOND
    return SHORTEST_S <= length <= LONGEST_S
