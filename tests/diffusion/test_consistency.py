"""The boundary of consistency functions."""

import numpy as np
import pytest

from visavis.diffusion.consistency import boundary, consistent


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
