import numpy as np
import pytest

from visavis.motion import blinks
from visavis.motion.controls import Controls
from visavis.types import Phase


def blinked(seconds: int, controls: Controls, seed: int = 0) -> np.ndarray:
    """Return the frames in which lids meet."""
    clock, frames = blinks.start(seed), []
    for frame in range(25 * seconds):
        clock, is_shut = blinks.tick(clock, seed, controls, 25)
        frames += [frame] if is_shut else []
    return np.array(frames)


@pytest.mark.parametrize("rate", [3.0, 8.0, 17.0, 30.0, 50.0])
def test_the_rate_is_kept(rate: float) -> None:
    made = np.mean([len(blinked(300, Controls(blink_rate=rate), seed)) / 5 for seed in range(5)])
    assert made == pytest.approx(rate, rel=0.12)


def test_natural_rates_follow_the_phase_and_vary_as_people_do() -> None:
    speaking, idle = (blinked(1200, Controls(phase)) for phase in (Phase.SPEAKING, Phase.IDLE))
    assert len(speaking) / 20 == pytest.approx(17.0, rel=0.12)
    assert len(idle) / 20 == pytest.approx(12.0, rel=0.12)
    waits = np.diff(speaking) / 25
    assert waits.min() >= 0.36
    assert 0.4 < waits.std() / waits.mean() < 0.75


def test_no_rate_no_blinks_and_a_changed_rate_counts_at_once() -> None:
    assert len(blinked(60, Controls(blink_rate=0.0))) == 0
    clock = blinks.start(1)
    for _ in range(25 * 3600):
        clock, is_shut = blinks.tick(clock, 1, Controls(blink_rate=0.0), 25)
        assert not is_shut
    frames = 0
    while not is_shut:
        clock, is_shut = blinks.tick(clock, 1, Controls(blink_rate=40.0), 25)
        frames += 1
    assert frames < 25 * 6


def test_the_seed_decides() -> None:
    assert np.array_equal(blinked(60, Controls(), 3), blinked(60, Controls(), 3))
    assert not np.array_equal(blinked(60, Controls(), 3), blinked(60, Controls(), 4))
