import numpy as np
import pytest

from visavis.audio.prosody import PITCH_SAMPLES, loudness, pitch


def voice(hertz: float) -> np.ndarray:
    t = np.arange(PITCH_SAMPLES) / 16000
    return sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 9)).astype(np.float32)


@pytest.mark.parametrize("hertz", [75, 110, 180, 240, 350])
def test_pitch_of_a_voice(hertz: float) -> None:
    found, voicing = pitch(voice(hertz))
    assert abs(found / hertz - 1) < 0.02
    assert voicing > 0.8


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, PITCH_SAMPLES).astype(np.float32)
    assert pitch(noise)[1] < 0.3
    assert pitch(np.zeros(PITCH_SAMPLES, np.float32)) == (0.0, 0.0)


def test_loudness_in_decibels() -> None:
    sound = np.concatenate([np.full(160, 0.1), np.full(160, 1.0)]).astype(np.float32)
    assert np.allclose(loudness(sound, 2), [-20, 0], atol=0.01)
