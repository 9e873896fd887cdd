"""The schedule of a thousand steps is the published one, and DDIM over it is upstream's."""

import numpy as np
import pytest

from golden import TOLERANCE, load, relative_error
from visavis.diffusion.samplers import ddim_step, sample_ddim, stepped_times
from visavis.diffusion.schedule import SteppedSchedule

SCHEDULE = SteppedSchedule()


def test_the_table_is_the_published_one() -> None:
    expected = load("lmdm_schedule")["alphas_cumprod"]
    steps = np.arange(0, 1000, -(-1000 // len(expected)))
    assert np.abs(SCHEDULE.alpha(steps) ** 2 / expected - 1).max() <= TOLERANCE
    np.testing.assert_allclose(SCHEDULE.alpha(steps) ** 2 + SCHEDULE.sigma(steps) ** 2, 1)


def test_clean_data_is_before_the_first_step() -> None:
    assert (SCHEDULE.alpha(-1), SCHEDULE.sigma(-1)) == (1.0, 0.0)
    data = np.arange(5.0)
    np.testing.assert_array_equal(SCHEDULE.add_noise(data, np.ones(5), -1), data)


@pytest.mark.parametrize("steps", [4, 5, 10, 25, 50])
def test_steps_are_upstreams(steps: int) -> None:
    golden = load("lmdm_schedule")
    times = stepped_times(steps)
    np.testing.assert_array_equal(
        list(zip(times, times[1:], strict=False)), golden[f"time_pairs_{steps}"]
    )
    for i, (t, s) in enumerate(zip(times[:-2], times[1:-1], strict=True)):
        noise = ddim_step(np.zeros(1), np.zeros(1), t, s, SCHEDULE, 1.0, np.ones(1))
        assert relative_error(noise, golden[f"sigma_{steps}"][i : i + 1]) <= TOLERANCE
        clean = ddim_step(np.full(1, SCHEDULE.alpha(t)), np.ones(1), t, s, SCHEDULE, 1.0)
        assert relative_error(clean, golden[f"alpha_next_sqrt_{steps}"][i : i + 1]) <= TOLERANCE


@pytest.mark.parametrize("steps", range(1, 60))
def test_no_number_of_steps_gives_nothing(steps: int) -> None:
    rng = np.random.default_rng(steps)
    noises = [rng.standard_normal(4), *rng.standard_normal((steps - 1, 4)), None]
    found = sample_ddim(
        lambda x, t: 0.1 * x, noises[0], stepped_times(steps), SCHEDULE, 1.0, noises[1:]
    )
    assert np.isfinite(found).all()
