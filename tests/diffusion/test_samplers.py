"""Sampling with denoisers whose answer is known: an oracle, and a Gaussian's exact mean."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import (
    cosine_times,
    ddim_step,
    sample_consistency,
    sample_ddim,
    sample_multistep,
    spaced_times,
)
from visavis.diffusion.schedule import CosineSchedule

SCHEDULE = CosineSchedule()
MEAN, SPREAD = 0.7, 0.4


def posterior_mean(x, t):
    """E[x0 | x] of data N(MEAN, SPREAD^2)."""
    a, s = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
    return MEAN + SPREAD**2 * a / (SPREAD**2 * a**2 + s**2) * (x - a * MEAN)


def noise(seed: int, *shape: int):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_times_run_from_one_to_zero(steps: int) -> None:
    times = spaced_times(steps)
    assert (len(times), times[0], times[-1]) == (steps + 1, 1.0, 0.0)
    np.testing.assert_allclose(np.diff(times), -1 / steps)


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_cosine_times_are_dense_at_both_ends(steps: int) -> None:
    times = cosine_times(steps)
    assert (len(times), times[0], times[-1]) == (steps + 1, 1.0, 0.0)
    gaps = -np.diff(times)
    assert (gaps > 0).all()
    np.testing.assert_allclose(gaps, gaps[::-1], atol=1e-12)
    assert gaps.argmax() == pytest.approx((steps - 1) / 2, abs=0.5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_an_oracle_is_believed(eta: float, steps: int) -> None:
    wanted, noises = noise(1, 4, 5), noise(2, steps, 4, 5)
    times = spaced_times(steps)
    found = sample_ddim(lambda x, t: wanted, noise(0, 4, 5), times, SCHEDULE, eta, noises)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    found = sample_multistep(lambda x, t: wanted, noise(0, 4, 5), times, SCHEDULE)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    found = sample_consistency(lambda x, t: wanted, noises, times, SCHEDULE)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_gaussian_comes_out_as_it_is(eta: float) -> None:
    start, noises = noise(3, 20_000), noise(4, 200, 20_000)
    found = sample_ddim(posterior_mean, start, spaced_times(200), SCHEDULE, eta, noises)
    assert found.mean() == pytest.approx(MEAN, abs=0.01)
    assert found.std() == pytest.approx(SPREAD, rel=0.03)


def test_more_steps_come_nearer_to_the_exact_path() -> None:
    """The flow of a Gaussian keeps how many deviations a point is off its mean."""
    start = noise(5, 100)
    exact = MEAN + SPREAD * start
    errors = [
        np.abs(sample_ddim(posterior_mean, start, spaced_times(n), SCHEDULE) - exact).max()
        for n in (5, 20, 80, 320)
    ]
    assert all(later < 0.5 * before for before, later in zip(errors, errors[1:], strict=False))
    assert errors[-1] < 0.01


@pytest.mark.parametrize("steps", [10, 20, 40])
def test_two_guesses_are_better_than_one(steps: int) -> None:
    start, times = noise(5, 100), cosine_times(steps)
    exact = MEAN + SPREAD * start
    one, two = (
        np.abs(sample(posterior_mean, start, times, SCHEDULE) - exact).max()
        for sample in (sample_ddim, sample_multistep)
    )
    assert two < 0.4 * one


def test_consistency_of_an_exact_flow_map_gives_the_gaussian() -> None:
    def flow(x, t):  # where the path through x at t ends
        a, s = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
        return MEAN + SPREAD * (x - a * MEAN) / np.sqrt(SPREAD**2 * a**2 + s**2)

    for steps in (1, 2, 4):
        found = sample_consistency(flow, noise(6, steps, 20_000), spaced_times(steps), SCHEDULE)
        assert found.mean() == pytest.approx(MEAN, abs=0.01)
        assert found.std() == pytest.approx(SPREAD, rel=0.03)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_an_entry_that_stays_in_time_keeps_its_value(c: float, eta: float) -> None:
    known = np.arange(6).reshape(2, 3) % 2 == 0
    start = noise(7, 2, 3)
    times = [np.where(known, c, t) for t in spaced_times(4)]
    for found in (
        sample_ddim(posterior_mean, start, times, SCHEDULE, eta, noise(8, 4, 2, 3)),
        sample_multistep(posterior_mean, start, times, SCHEDULE),
    ):
        np.testing.assert_array_equal(found[known], start[known])
        assert (found[~known] != start[~known]).all()


@given(st.floats(0.05, 1.0), st.floats(0.0, 0.95), st.integers(0, 99))
def test_a_step_with_the_true_data_stays_on_the_line(t: float, share: float, seed: int) -> None:
    x0, n = noise(seed, 2, 5)
    s = share * t
    found = ddim_step(SCHEDULE.add_noise(x0, n, t), x0, t, s, SCHEDULE)
    np.testing.assert_allclose(found, SCHEDULE.add_noise(x0, n, s), atol=1e-9)


def test_randomness_must_be_brought() -> None:
    with pytest.raises(ValueError, match="without noises"):
        sample_ddim(posterior_mean, noise(0, 3), spaced_times(2), SCHEDULE, eta=0.5)
    with pytest.raises(ValueError, match="shorter"):
        sample_ddim(posterior_mean, noise(0, 3), spaced_times(2), SCHEDULE, 1.0, noise(1, 1, 3))


def test_guidance_steps_along_each_condition() -> None:
    none, one, both = noise(9, 3, 4)
    push = partial(guide, none, [one, both])
    np.testing.assert_allclose(push([0.0, 0.0]), none)
    np.testing.assert_allclose(push([1.0, 0.0]), one)
    np.testing.assert_allclose(push([1.0, 1.0]), both)
    np.testing.assert_allclose(push([1.5, 2.0]), none + 1.5 * (one - none) + 2.0 * (both - one))
    with pytest.raises(ValueError, match="shorter"):
        push([1.0])
