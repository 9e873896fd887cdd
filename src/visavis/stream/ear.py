"""Ears: sound becomes rows of evidence, no sooner than a frame needs them.

What is said is heard by an ear that begins with the utterance (line.py); what the user says by one
that never ends, and that the face reacts to a little late, as people do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.animator import LiveAnimator
from visavis.audio.features import ROWS_PER_SECOND
from visavis.media.resample import Resampler
from visavis.motion.conditions import ROWS_PER_FRAME
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, Features, FloatArray

SLOT = SAMPLE_RATE // MOTION_FPS
"""Samples at 16 kHz that a frame lasts."""
_USER_LAG = 12
"""Frames of the user's sound that may wait; older sound is let go."""


class Ear:
    """Rows of evidence of one stream of sound; ``heard`` samples so far."""

    def __init__(self, animator: LiveAnimator) -> None:
        """Hear silence so far."""
        self._state: Any = animator.listen()
        self._rows: FloatArray | None = None
        self._first = 0
        self._rate = ROWS_PER_SECOND
        self.heard = 0
        self._is_over = False

    def hear(self, animator: LiveAnimator, samples: FloatArray, final: bool) -> None:
        """Hear ``samples``; ``final``: they are the last."""
        if self._is_over or (not len(samples) and not final):
            return
        self._state, new = animator.hear(self._state, Audio(samples), final)
        self.heard += len(samples)
        self._rate = new.rate
        self._is_over = final
        rows = new.values if self._rows is None else np.concatenate([self._rows, new.values])
        self._rows = rows

    @property
    def known(self) -> int:
        """Number of the first row not yet known."""
        return self._first + (0 if self._rows is None else len(self._rows))

    def rows(self, start: int, end: int) -> Features | None:
        """Return rows ``start`` to ``end``, as far as they are known; None: nothing was heard."""
        if self._rows is None:
            return None
        low = max(0, start - self._first)
        self._rows = self._rows[low:]
        self._first += low
        return Features(self._rows[: max(0, end - self._first)], self._rate, self._first)


@dataclass(frozen=True)
class Hearing:
    """Samples for an ``ear`` to hear before rows ``start`` to ``end`` are asked of it."""

    ear: Ear
    samples: FloatArray
    is_final: bool
    start: int
    end: int

    def run(self, animator: LiveAnimator) -> Any:
        """Hear, and return the rows."""
        self.ear.hear(animator, self.samples, self.is_final)
        return self.ear.rows(self.start, self.end)

    def rows(self, frames: int) -> FloatArray | None:
        """Return the rows of the first ``frames`` frames, as far as they were known."""
        heard = self.ear.rows(self.start, self.start + frames * ROWS_PER_FRAME)
        return None if heard is None else heard.values


class Overheard:
    """The user's sound on its way to the motion model, which reacts to it a little later."""

    def __init__(self, animator: LiveAnimator) -> None:
        """Hear nothing so far."""
        self._animator = animator
        self._ear: Ear | None = None
        self._to_ear: Resampler | None = None
        self._rate = 0
        self._pending: list[FloatArray] = []
        self._row = 0
        self.is_speaking = False

    def push(self, samples: FloatArray, rate: int) -> None:
        """Take the next samples (n,); too old ones are let go."""
        if self._to_ear is None or rate != self._rate:
            self._to_ear, self._rate = Resampler(rate, SAMPLE_RATE), rate
        self._pending.append(self._to_ear.push(samples))
        while sum(map(len, self._pending[1:])) > 2 * _USER_LAG * SLOT:
            self._pending.pop(0)

    def hearing(self, frames: int, needed: int) -> Hearing | None:
        """Return what is to be heard for ``frames`` frames, of ``needed`` with those after them."""
        if self._ear is None and not self._pending:
            return None
        if self._ear is None:
            self._ear = Ear(self._animator)
        samples = np.concatenate([np.zeros(0, np.float32), *self._pending])
        self._pending.clear()
        heard = self._ear.heard + len(samples) - self._animator.look_ahead_samples
        known = max(0, heard // SLOT) * ROWS_PER_FRAME
        start = max(self._row, known - (needed + _USER_LAG) * ROWS_PER_FRAME)
        self._row = min(start + frames * ROWS_PER_FRAME, max(known, self._row))
        return Hearing(self._ear, samples, False, start, start + needed * ROWS_PER_FRAME)
