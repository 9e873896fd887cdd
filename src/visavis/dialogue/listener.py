"""The user's microphone -> turns: resampled, judged for speech, cut out of the stream."""

from __future__ import annotations

import numpy as np

from visavis.audio.vad import VoiceActivity
from visavis.dialogue.turns import Turn, Turned, TurnRules, after
from visavis.media.resample import Resampler
from visavis.types import SAMPLE_RATE, Audio, FloatArray

LONGEST_S = 60
"""A turn that lasts longer is taken as over."""
_BEFORE_S, _AFTER_S = 0.25, 0.2


class Listener:
    """Hears one microphone. Blocks while it computes: call it off the event loop."""

    def __init__(self, activity: VoiceActivity, rules: TurnRules) -> None:
        """Judge speech by ``activity`` and turns by ``rules``."""
        self._activity = activity
        self._rules = rules
        self._state = activity.start()
        self._turn = Turn()
        self._stream: tuple[int, Resampler] | None = None
        self._kept = np.zeros(0, np.float32)
        self._kept_from = self._judged = self._began = 0

    def hear(
        self, samples: FloatArray, rate: int, is_speaking: bool
    ) -> list[tuple[Turned, FloatArray]]:
        """Take the next (n,) samples; return turns that began or ended, an ended one with its
        sound (m,) at 16 kHz.

        ``is_speaking``: the person speaks meanwhile.
        """
        if self._stream is None or self._stream[0] != rate:
            self._stream = rate, Resampler(rate, SAMPLE_RATE)
        sound = self._stream[1].push(samples)
        self._kept = np.concatenate([self._kept, sound])
        self._state, probabilities = self._activity.step(self._state, Audio(sound))
        found = []
        for probability in probabilities:
            turned = self._judge(float(probability), is_speaking)
            if turned is not None:
                found.append((turned, self._cut_out(turned)))
        self._forget()
        return found

    def _judge(self, probability: float, is_speaking: bool) -> Turned | None:
        """Take one probability; return what it changes."""
        hop_ms = 1000 * self._activity.hop_samples / SAMPLE_RATE
        self._judged += self._activity.hop_samples
        self._turn, turned = after(self._turn, probability, hop_ms, self._rules, is_speaking)
        is_too_long = self._judged - self._began > LONGEST_S * SAMPLE_RATE
        if turned is None and self._turn.is_users and is_too_long:
            self._turn, turned = Turn(), Turned.ENDED
        if turned is Turned.STARTED:
            speech_s = self._turn.speech_ms / 1000 + _BEFORE_S
            self._began = max(self._kept_from, self._judged - int(speech_s * SAMPLE_RATE))
        return turned

    def _cut_out(self, turned: Turned) -> FloatArray:
        """Return the sound of a turn that has ended, without most of the silence that ended it."""
        if turned is Turned.STARTED:
            return np.zeros(0, np.float32)
        silence_s = max(0.0, self._rules.end_ms / 1000 - _AFTER_S)
        end = self._judged - int(silence_s * SAMPLE_RATE)
        return self._kept[self._began - self._kept_from : end - self._kept_from].copy()

    def _forget(self) -> None:
        """Let go of sound that no turn can begin with any more."""
        needed_s = _BEFORE_S + self._rules.barge_in_ms / 1000 + 1.0
        first = self._began if self._turn.is_users else self._judged - int(needed_s * SAMPLE_RATE)
        if first > self._kept_from:
            self._kept = self._kept[first - self._kept_from :]
            self._kept_from = first
