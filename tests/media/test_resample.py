"""The resampler leaves no trace of how its input was cut."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.media.resample import Resampler, resample


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_one_go_equals_soxr(rate: int, channels: int) -> None:
    rng = np.random.default_rng(1)
    samples = rng.standard_normal((rate // 2, channels)).astype(np.float32)
    samples = samples[:, 0] if channels == 1 else samples
    expected = soxr.resample(samples, rate, 16_000, "HQ")
    assert np.array_equal(resample(samples, rate, 16_000), expected)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 22_049), max_size=12))
def test_any_cutting_gives_the_same_sound(cuts: list[int]) -> None:
    samples = np.random.default_rng(2).standard_normal(22_050).astype(np.float32)
    stream = Resampler(22_050, 16_000)
    parts = [stream.push(part) for part in np.split(samples, sorted(cuts))]
    parts.append(stream.finish(samples[:0]))
    assert np.array_equal(np.concatenate(parts), resample(samples, 22_050, 16_000))
