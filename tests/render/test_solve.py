"""The maths under the rig over many frames: poses at once, bounded smooth fits, smoothing."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.render.solve import (
    Pose,
    align,
    align_all,
    bounded_least_squares,
    bounded_smooth_least_squares,
    turn,
    whittaker,
)


def problem(frames: int = 30, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A well-posed gram (k, k) and targets (t, k) whose free solutions leave [0, 1]."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, size))
    gram = a.T @ a + 0.1 * np.eye(size)
    wanted = rng.uniform(-0.4, 1.4, (frames, size))
    return gram, wanted @ gram


def solved(stiffness: float, **bounds: float) -> np.ndarray:
    gram, targets = problem()
    low = np.full_like(targets, bounds.get("low", 0.0))
    high = np.full_like(targets, bounds.get("high", 1.0))
    cost = np.full(gram.shape[0], stiffness)
    return bounded_smooth_least_squares(gram, targets, cost, (low, high), 0.5 * (low + high))


def test_without_stiffness_every_frame_is_its_own() -> None:
    gram, targets = problem()
    each = [bounded_least_squares(gram, t, np.full(6, 0.5), 300) for t in targets]
    assert solved(0.0) == pytest.approx(np.stack(each), abs=1e-3)


def test_the_solution_is_the_minimum_under_bounds() -> None:
    gram, targets = problem()
    cost = 0.5 * np.diag(gram)
    best = solved(0.5).astype(np.float64)

    def energy(x: np.ndarray) -> float:
        bend = np.diff(x, 2, axis=0)
        data = 0.5 * np.einsum("tk,kl,tl->", x, gram, x) - (targets * x).sum()
        return float(data + 0.5 * (cost * bend**2).sum())

    assert best.min() >= 0
    assert best.max() <= 1
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = np.clip(best + rng.normal(0, 0.02, best.shape), 0, 1)
        assert energy(other) > energy(best) - 1e-6


def test_stiffness_smooths_and_bounds_may_fix_a_value() -> None:
    rough = [np.abs(np.diff(solved(s), 2, axis=0)).mean() for s in (0.0, 0.1, 10.0)]
    assert rough[0] > 1.5 * rough[1] > 3 * rough[2]
    assert solved(0.1, low=0.3, high=0.3) == pytest.approx(0.3)


def test_poses_at_once_are_the_poses_one_by_one() -> None:
    rng = np.random.default_rng(2)
    model = rng.normal(size=(40, 3))
    weights = rng.uniform(0.1, 1, 40)
    poses = [Pose(turn(5 * i, 8 - i, -2 * i), 20.0 + i, np.array([i, 2, 3.0])) for i in range(5)]
    pixels = np.stack([p.project(model) for p in poses])
    pixels[2, 7] += 60  # an outlier
    together = align_all(np.broadcast_to(model, pixels.shape), pixels, weights)
    for true, got, seen in zip(poses, together, pixels, strict=True):
        alone = align(model, seen, weights)
        assert got.rotation == pytest.approx(alone.rotation, abs=1e-6)
        assert got.scale == pytest.approx(alone.scale)
        assert got.rotation == pytest.approx(true.rotation, abs=0.02)
        assert got.scale == pytest.approx(true.scale, rel=0.02)


def test_whittaker_keeps_lines_and_halves_a_swing_of_six_frames() -> None:
    line = np.linspace(-3, 5, 60)[:, None] * [1, 2]
    assert whittaker(line, 5.0) == pytest.approx(line)
    swing = np.sin(np.arange(120) * 2 * np.pi / 6)[:, None]
    left = np.abs(whittaker(swing, 1.0)[30:90]).max() / np.abs(swing).max()
    assert left == pytest.approx(0.5, abs=0.05)
