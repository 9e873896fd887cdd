"""Boundary, distance, skipped times and the target of consistency distillation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.diffusion.consistency import (
    boundary,
    consistency_target,
    consistent,
    pseudo_huber,
    skip_times,
)
from visavis.diffusion.schedule import CosineSchedule

SCHEDULE = CosineSchedule()


def test_clean_data_passes_through() -> None:
    assert boundary(0.0) == (1.0, 0.0)
    x = np.arange(4.0)
    np.testing.assert_array_equal(consistent(lambda x, t: x + 9, x, np.zeros(4)), x)


def test_noisy_data_is_left_to_the_network() -> None:
    t = np.array([0.02, 0.5, 1.0])
    skip, out = boundary(t)
    assert (skip < 1e-3).all()
    np.testing.assert_allclose(out, 1.0, atol=1e-3)


def test_boundary_is_the_published_formula() -> None:
    """diffusers' LCM scheduler at step 20 of a thousand, scaling 10: sigma_data 0.5."""
    skip, out = boundary(20 / 1000, timescale=10_000.0)
    assert skip == pytest.approx(0.25 / (200.0**2 + 0.25))
    assert out == pytest.approx(200.0 / (200.0**2 + 0.25) ** 0.5)


@given(st.floats(-50, 50), st.floats(0.01, 2.0))
def test_pseudo_huber_is_square_then_absolute(d: float, c: float) -> None:
    value = float(pseudo_huber(np.array(d), c))
    assert 0 <= value <= min(d * d / (2 * c), abs(d)) + 1e-9
    assert value >= abs(d) - c - 1e-9
    assert value == pytest.approx(float(pseudo_huber(np.array(-d), c)))


def test_skipped_times() -> None:
    assert skip_times(50, 50, 5) == (1.0, 0.9)
    assert skip_times(3, 50, 5) == (0.06, 0.0)
    later, earlier = skip_times(np.arange(1, 51), 50, 10)
    assert ((earlier >= 0) & (earlier < later) & (later <= 1)).all()


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_a_perfect_student_meets_its_target(index: int, skip: int, seed: int) -> None:
    """Where the true flow is the teacher's line, the flow's own end is a fixed point."""
    x0, noise = np.random.default_rng(seed).normal(size=(2, 6))
    later, earlier = skip_times(index, 50, skip)
    x = SCHEDULE.add_noise(x0, noise, later)
    aim = consistency_target(lambda x, t: x0, x, x0, (later, earlier), SCHEDULE)
    np.testing.assert_allclose(aim, x0, atol=1e-3 * np.abs(noise).max() + 1e-9)


def test_the_last_target_is_the_teacher_itself() -> None:
    """One step from time 0 the teacher's guess is handed on, whatever the slow copy says."""
    x, clean = np.random.default_rng(0).normal(size=(2, 6))
    aim = consistency_target(lambda x, t: x * 0 + 99.0, x, clean, (0.1, 0.0), SCHEDULE)
    np.testing.assert_allclose(aim, clean, atol=1e-12)
