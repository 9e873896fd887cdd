import pickle

import numpy as np
import pytest

from visavis.audio.phones import CLOSED, LEVEL, PHONES, SIZE, PhoneRecognizer
from visavis.hub import asset
from visavis.media.read import open_audio
from visavis.types import Audio


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    with open_audio(asset("demo_speech.flac"), (0.0, 4.0)) as reader:
        return np.concatenate(list(reader.chunks()))


def rows_of(sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    recognizer = PhoneRecognizer()
    state, parts = recognizer.start(), []
    for a, b in zip([0, *cuts], [*cuts, len(sound)], strict=True):
        state, rows = recognizer.step(pickle.loads(pickle.dumps(state)), Audio(sound[a:b]))
        parts.append(rows.values)
    return np.concatenate([*parts, recognizer.step(state, Audio(sound[:0]), True)[1].values])


@pytest.mark.parametrize("samples", [0, 1, 160, 641, 5000, 64000])
def test_any_cutting_gives_the_same_bits(speech: np.ndarray, samples: int) -> None:
    sound = speech[:samples]
    whole = rows_of(sound, [])
    assert whole.shape == (-(-samples // 160), SIZE)
    cuts = sorted(int(c) for c in np.random.default_rng(samples).integers(0, samples + 1, 9))
    assert np.array_equal(rows_of(sound, cuts), whole)


def test_look_ahead_is_as_stated(speech: np.ndarray) -> None:
    recognizer = PhoneRecognizer()
    assert recognizer.look_ahead_samples <= 0.12 * 16000
    state, made = recognizer.start(), 0
    for i in range(0, 32000, 320):
        state, rows = recognizer.step(state, Audio(speech[i : i + 320]))
        made += len(rows)
        assert made * 160 > i + 320 - recognizer.look_ahead_samples - 160


def test_rows_are_probabilities(speech: np.ndarray) -> None:
    rows = rows_of(speech, [])
    assert np.allclose(rows[:, : len(PHONES)].sum(1), 1, atol=1e-4)
    assert rows[:, :LEVEL].min() >= 0
    assert rows[:, CLOSED].max() <= 1


def test_level_of_the_recording_matters_little(speech: np.ndarray) -> None:
    best = rows_of(speech, [])[:, : len(PHONES)].argmax(1)
    for gain in (0.1, 0.5):
        soft = rows_of(speech * np.float32(gain), [])
        assert (soft[:, : len(PHONES)].argmax(1) == best).mean() > 0.8
        assert np.abs(soft[200:, LEVEL] - rows_of(speech, [])[200:, LEVEL]).mean() < 2.0


def test_silence_is_silence() -> None:
    rows = rows_of(np.zeros(16000, np.float32), [])
    assert rows[:, 0].min() > 0.9
