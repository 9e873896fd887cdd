"""The cosine schedule: its formula, its ends, and the way there and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.diffusion.schedule import LEAST, CosineSchedule

SCHEDULE = CosineSchedule()
times = st.floats(0.0, 1.0, allow_nan=False)


@given(times)
def test_powers_add_up_to_one(t: float) -> None:
    assert SCHEDULE.alpha(t) ** 2 + SCHEDULE.sigma(t) ** 2 == pytest.approx(1.0, abs=1e-12)


@given(st.floats(0.0, 0.99))
def test_alpha_is_the_published_formula(t: float) -> None:
    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    assert SCHEDULE.alpha(t) ** 2 == pytest.approx(f(t) / f(0.0), rel=1e-9)


@given(times, times)
def test_signal_falls(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    assert SCHEDULE.alpha(low) >= SCHEDULE.alpha(high)
    assert SCHEDULE.sigma(low) <= SCHEDULE.sigma(high)
    assert SCHEDULE.snr(low) >= SCHEDULE.snr(high)


def test_ends() -> None:
    assert SCHEDULE.alpha(0.0) == 1.0
    assert SCHEDULE.sigma(0.0) == 0.0
    assert SCHEDULE.alpha(1.0) == pytest.approx(LEAST, rel=1e-9)
    assert SCHEDULE.snr(1.0) == pytest.approx(1e-6, rel=1e-5)
    assert SCHEDULE.snr(0.0) == pytest.approx(1e6)


def test_every_entry_may_have_its_own_time() -> None:
    x0, noise, t = np.random.default_rng(0).uniform(size=(3, 2, 5, 7))
    x = SCHEDULE.add_noise(x0, noise, t)
    assert x[1, 2, 3] == SCHEDULE.add_noise(x0[1, 2, 3], noise[1, 2, 3], float(t[1, 2, 3]))
    assert np.array_equal(SCHEDULE.add_noise(x0, noise, t * 0), x0)


def test_single_precision_stays_and_is_exact_for_small_times() -> None:
    t = np.logspace(-5, 0, 50).astype(np.float32)
    for name in ("alpha", "sigma", "snr"):
        single = getattr(SCHEDULE, name)(t)
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, getattr(SCHEDULE, name)(t.astype(float)), rtol=3e-3)
    np.testing.assert_allclose(SCHEDULE.sigma(t), SCHEDULE.sigma(t.astype(float)), rtol=1e-5)


def test_a_float_stays_a_float() -> None:
    values = [SCHEDULE.alpha(0.3), SCHEDULE.sigma(0.3), SCHEDULE.snr(0.3), SCHEDULE.alpha(1)]
    assert [type(v) for v in values] == [float] * 4
