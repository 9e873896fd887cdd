"""The offset of a mouth that is known to be late, and of one that is another's."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.data import sync
from visavis.data.sync import compare
from visavis.eval.lips import OPENNESS
from visavis.types import FloatArray


def mouth(speech: FloatArray, late_ms: float, fps: float = 25.0) -> tuple[FloatArray, FloatArray]:
    """Opening of lips that say ``speech``, ``late_ms`` late, with the noise of landmarks."""
    rows = len(speech) // 160
    names = [
        span for span in sync._heard(speech, rows).spans() for _ in range(span.end - span.start)
    ]
    wide = np.array([OPENNESS[span.name] for span in names]) * 0.15
    seconds = np.arange(int(rows / 100 * fps)) / fps
    kernel = np.hanning(9) / np.hanning(9).sum()
    smooth = np.convolve(wide, kernel, "same")
    at = seconds * 100 - late_ms / 10
    noise = np.random.default_rng(1).normal(0, 0.01, len(seconds))
    return np.interp(at, np.arange(len(smooth)), smooth) + noise, seconds


@pytest.mark.parametrize("late_ms", [-120.0, 0.0, 80.0])
def test_lateness_is_found(speech: FloatArray, late_ms: float) -> None:
    gap, seconds = mouth(speech, late_ms)
    found = compare(gap, seconds, speech, 0.0)
    assert found.is_sure
    assert found.ms == pytest.approx(late_ms, abs=20)


def test_the_clock_of_the_stretch_counts(speech: FloatArray) -> None:
    gap, seconds = mouth(speech, 0.0)
    found = compare(gap, seconds + 7.0, speech, 7.0)
    assert found.ms == pytest.approx(0.0, abs=20)


def test_another_mouth_is_not_taken_for_the_speaker(speech: FloatArray) -> None:
    gap, seconds = mouth(speech, 0.0)
    assert not compare(gap[::-1].copy(), seconds, speech, 0.0).is_sure


def test_silence_tells_nothing(speech: FloatArray) -> None:
    gap, seconds = mouth(speech, 0.0)
    found = compare(gap, seconds, np.zeros_like(speech), 0.0)
    assert found.speech_s < sync.LEAST_SPEECH_S
    assert not found.is_sure
