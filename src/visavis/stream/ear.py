"""Ears: sound becomes rows of evidence, no sooner than a frame needs them.

What is said is heard by an ear that begins with the utterance (line.py); what the user says by one
that never ends, and that the face reacts to a little late, as people do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.animator import LiveAnimator
from visavis.audio.phones import PHONES
from visavis.media.resample import Resampler
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, Features, FloatArray

SLOT = SAMPLE_RATE // MOTION_FPS
"""Samples at 16 kHz that a frame lasts."""
_SILENCE = PHONES.index("SIL")
_USER_LAG = 12
"""Frames of the user's sound that may wait; older sound is let go."""


class Ear:
    """Rows of features of one stream of sound; ``heard`` samples so far."""

    def __init__(self, animator: LiveAnimator) -> None:
        """Hear silence so far."""
        self._state: Any = animator.listen()
        self._per_frame = animator.rows_per_frame
        self._rows: FloatArray | None = None
        self._first = 0
        self._rate = 0
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

    def frames(self, start: int, end: int) -> Features | None:
        """Return the rows of frames ``start`` to ``end``, as far as they are known.

        None: nothing was heard. Rows before ``start`` are forgotten.
        """
        if self._rows is None:
            return None
        low = max(0, start * self._per_frame - self._first)
        self._rows = self._rows[low:]
        self._first += low
        count = max(0, end * self._per_frame - self._first)
        return Features(self._rows[:count], self._rate, self._first)


@dataclass(frozen=True)
class Hearing:
    """Samples for an ``ear`` to hear before the rows of frames ``start`` to ``end`` are asked."""

    ear: Ear
    samples: FloatArray
    is_final: bool
    start: int
    end: int

    def run(self, animator: LiveAnimator) -> Any:
        """Hear, and return the rows."""
        self.ear.hear(animator, self.samples, self.is_final)
        return self.ear.frames(self.start, self.end)


class Overheard:
    """The user's sound on its way to the motion model, which reacts to it a little later."""

    def __init__(self, animator: LiveAnimator) -> None:
        """Hear nothing so far."""
        self._animator = animator
        self._ear: Ear | None = None
        self._to_ear: Resampler | None = None
        self._rate = 0
        self._pending: list[FloatArray] = []
        self._frame = 0
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
        if self._ear is None and (not self._pending or not self._animator.hears_others):
            self._pending.clear()
            return None
        if self._ear is None:
            self._ear = Ear(self._animator)
        samples = np.concatenate([np.zeros(0, np.float32), *self._pending])
        self._pending.clear()
        heard = self._ear.heard + len(samples) - self._animator.look_ahead_samples
        known = max(0, heard // SLOT)
        start = max(self._frame, known - needed - _USER_LAG)
        self._frame = min(start + frames, max(known, self._frame))
        return Hearing(self._ear, samples, False, start, start + needed)

    def spoken_s(self, frames: int, hearing: Hearing | None) -> tuple[float, float] | None:
        """Return for how many seconds of ``frames`` frames the user spoke, and was quiet.

        What was heard tells, where there is evidence of phones, or else what the caller says.
        None: nothing was heard.
        """
        if not self._animator.hears_others:
            seconds = frames / MOTION_FPS
            return seconds * self.is_speaking, seconds * (not self.is_speaking)
        if hearing is None:
            return None
        heard = hearing.ear.frames(hearing.start, hearing.start + frames)
        if heard is None:
            return None
        spoken = int((heard.values[:, _SILENCE] < 0.5).sum()) / heard.rate
        return spoken, len(heard) / heard.rate - spoken
