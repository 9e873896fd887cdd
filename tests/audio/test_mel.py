import numpy as np
import pytest

from visavis.audio.mel import BANDS, LogMel, filterbank
from visavis.types import Audio


def some_sound(samples: int) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.1, samples).astype(np.float32)


def rows_of(sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    extractor = LogMel()
    state, parts = extractor.start(), []
    for a, b in zip([0, *cuts], [*cuts, len(sound)], strict=True):
        state, rows = extractor.step(state, Audio(sound[a:b]), final=False)
        assert rows.start == sum(map(len, parts))
        parts.append(rows.values)
    state, rows = extractor.step(state, Audio(sound[:0]), final=True)
    return np.concatenate([*parts, rows.values])


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 640, 6400, 9999])
def test_any_cutting_gives_the_same_bits(samples: int) -> None:
    sound = some_sound(samples)
    whole = rows_of(sound, [])
    assert whole.shape == (-(-samples // 160), BANDS)
    rng = np.random.default_rng(samples)
    for _ in range(5):
        cuts = sorted(int(c) for c in rng.integers(0, samples + 1, 7))
        assert np.array_equal(rows_of(sound, cuts), whole)


def test_row_stands_at_its_instant() -> None:
    sound = np.zeros(16000, np.float32)
    sound[8000] = 1.0
    assert int(rows_of(sound, []).sum(1).argmax()) == 50


def test_tone_lands_in_its_band() -> None:
    t = np.arange(16000) / 16000
    bands = [
        int(rows_of(np.sin(2 * np.pi * hz * t).astype(np.float32), [])[50].argmax())
        for hz in (200.0, 1000.0, 5000.0)
    ]
    centres = [float(filterbank()[:, b].argmax()) * 16000 / 512 for b in bands]
    assert np.allclose(centres, [200, 1000, 5000], rtol=0.12)


def test_look_ahead_is_enough() -> None:
    extractor = LogMel()
    state, rows = extractor.step(extractor.start(), Audio(some_sound(20 * 160)))
    known = 20 * 160 - extractor.look_ahead_samples
    assert len(rows) * 160 >= known
