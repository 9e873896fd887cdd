"""One utterance on its way from whoever pushes it to the frames that speak it.

Its sound is kept twice: at 16 kHz for the ear, and at the session's rate to be heard. Both are
changed from the given rate little by little, a stretch ahead of the frames. An ear of its own hears
it from its first sample, after silence, as it does offline.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from visavis.media.resample import Resampler
from visavis.stream.ear import SLOT
from visavis.stream.policy import Supply
from visavis.types import MOTION_FPS, SAMPLE_RATE, FloatArray

_STRETCH_S = 2.0
"""Seconds of sound converted ahead of what is needed."""


class Utterance:
    """Sound as it was pushed, at ``rate``, since frame ``began_at`` was the next one.

    ``position_s`` is where it begins if it was resumed.
    """

    def __init__(self, speech_id: str, rate: int, began_at: int, position_s: float = 0.0) -> None:
        """Begin an utterance."""
        self.speech_id = speech_id
        self.rate = rate
        self.began_at = began_at
        self.position_s = position_s
        self.samples = 0
        self.is_ended = False
        self.pieces: deque[FloatArray] = deque()

    @property
    def seconds(self) -> float:
        """Length of all that was pushed."""
        return self.samples / self.rate

    def push(self, samples: FloatArray) -> None:
        """Take the next piece (n,) float32."""
        self.pieces.append(samples)
        self.samples += len(samples)


class Line:
    """An utterance being spoken: frame ``i`` of it is ``i`` frames after its first."""

    def __init__(self, utterance: Utterance, sound_rate: int) -> None:
        """Be about to speak ``utterance``; it is heard at ``sound_rate``."""
        self.utterance = utterance
        self._to_ear = Resampler(utterance.rate, SAMPLE_RATE)
        self._to_out = Resampler(utterance.rate, sound_rate)
        self._slot_out = sound_rate // MOTION_FPS
        self._ear_sound = _Growing()
        self._out_sound = _Growing()
        self._is_flushed = False
        self.said = 0

    def convert(self, frame: int) -> None:
        """Convert sound up to a stretch after ``frame``, as far as it has come."""
        needed = frame * SLOT + int(_STRETCH_S * SAMPLE_RATE)
        pieces = self.utterance.pieces
        while pieces and self._ear_sound.end < needed:
            piece = pieces.popleft()
            limit = int(_STRETCH_S * self.utterance.rate)
            if len(piece) > limit:
                pieces.appendleft(piece[limit:])
                piece = piece[:limit]
            self._ear_sound.push(self._to_ear.push(piece))
            self._out_sound.push(self._to_out.push(piece))
        if self.utterance.is_ended and not pieces and not self._is_flushed:
            nothing = np.zeros(0, np.float32)
            self._ear_sound.push(self._to_ear.finish(nothing))
            self._out_sound.push(self._to_out.finish(nothing))
            self._is_flushed = True

    @property
    def is_whole(self) -> bool:
        """Whether all of the utterance has come and been converted."""
        return self._is_flushed

    def supply(self, frame: int, look_ahead: int) -> Supply:
        """Return what there is from ``frame`` on for an ear that hears ``look_ahead`` samples."""
        self.convert(frame)
        known = (self._ear_sound.end - look_ahead) // SLOT - frame
        return Supply(max(0, known), self.sounding(frame), self.is_whole)

    def sounding(self, frame: int) -> int:
        """Return of how many frames from ``frame`` on the sound is there."""
        ends = (self._ear_sound.end / SLOT, self._out_sound.end / self._slot_out)
        count = -int(-max(ends) // 1) if self.is_whole else int(min(ends))
        return max(0, count - frame)

    def sound(self, frame: int) -> FloatArray | None:
        """Return what is heard during ``frame``, None if it is not there."""
        if self.sounding(frame) == 0:
            return None
        return self._out_sound.part(frame * self._slot_out, self._slot_out)

    def heard(self, start: int, end: int) -> FloatArray:
        """Return the samples from ``start`` to ``end`` at 16 kHz, fewer if they are not there."""
        return self._ear_sound.part(start, max(0, min(end, self._ear_sound.end) - start))

    @property
    def position_s(self) -> float:
        """How far into the utterance it is: ``said`` frames have been handed out."""
        played = min(self.said / MOTION_FPS, self.utterance.seconds)
        return self.utterance.position_s + played

    @property
    def left_s(self) -> float:
        """Seconds that have come and have not been handed out."""
        return max(0.0, self.utterance.seconds - self.said / MOTION_FPS)

    def remainder(self, sound_rate: int) -> Utterance:
        """Return what has not been handed out as an utterance of its own, at ``sound_rate``."""
        while not self.is_whole:
            self.convert(self._ear_sound.end // SLOT + 1)
        start = self.said * self._slot_out
        name, position_s = self.utterance.speech_id, self.position_s
        rest = Utterance(name, sound_rate, self.utterance.began_at, position_s)
        rest.push(self._out_sound.part(start, max(0, self._out_sound.end - start)))
        rest.is_ended = True
        return rest

    def forget(self, heard: int) -> None:
        """Let go of what has been handed out, and of samples for the ear before ``heard``."""
        self._out_sound.forget(self.said * self._slot_out)
        self._ear_sound.forget(heard)


class _Growing:
    """Samples that grow at the end and are forgotten at the beginning, numbered for ever."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._samples: FloatArray = np.zeros(0, np.float32)
        self._first = 0

    @property
    def end(self) -> int:
        """Number of the sample to come."""
        return self._first + len(self._samples)

    def push(self, samples: FloatArray) -> None:
        """Take the next samples."""
        self._samples = np.concatenate([self._samples, np.asarray(samples, np.float32)])

    def part(self, start: int, count: int) -> FloatArray:
        """Return ``count`` samples from ``start`` on, silence beyond the end."""
        low = start - self._first
        found = self._samples[max(0, low) : max(0, low + count)]
        out = np.zeros(count, np.float32)
        out[: len(found)] = found
        return out

    def forget(self, before: int) -> None:
        """Let go of the samples before number ``before``."""
        gone = min(max(0, before - self._first), len(self._samples))
        self._samples = self._samples[gone:]
        self._first += gone
