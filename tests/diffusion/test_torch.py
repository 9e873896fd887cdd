"""Every function gives the same numbers for NumPy arrays and torch tensors."""

import numpy as np
import pytest

from visavis.diffusion.consistency import consistent
from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import (
    sample_consistency,
    sample_ddim,
    sample_multistep,
    spaced_times,
)
from visavis.diffusion.schedule import CosineSchedule

torch = pytest.importorskip("torch")

SCHEDULE = CosineSchedule()
rng = np.random.default_rng(0)
X0, NOISE, OTHER = rng.standard_normal((3, 2, 5, 7)).astype(np.float32)
TIME = rng.uniform(0.02, 1, (2, 5, 7)).astype(np.float32)


def denoise(x, t):
    return 0.5 * x + t


def same(function, *arrays, atol=1e-6) -> None:
    """``function`` of tensors is its result for the arrays."""
    wanted = function(*arrays)
    found = function(*(torch.from_numpy(np.asarray(a)) for a in arrays))
    assert isinstance(found, torch.Tensor)
    assert str(found.dtype).endswith(str(wanted.dtype))
    np.testing.assert_allclose(found.numpy(), wanted, atol=atol, rtol=1e-6)


@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_shares(name: str) -> None:
    same(getattr(SCHEDULE, name), TIME)
    same(getattr(SCHEDULE, name), np.linspace(0, 1, 9))


def test_snr() -> None:
    same(lambda t: SCHEDULE.snr(t), np.linspace(0, 1, 9))


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0, None])
def test_noise_is_added(t: float | None) -> None:
    when = TIME if t is None else t
    if t is None:
        same(SCHEDULE.add_noise, X0, NOISE, TIME)
    else:
        same(lambda x, n: SCHEDULE.add_noise(x, n, when), X0, NOISE)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim(eta: float) -> None:
    times = spaced_times(10)

    def sample(x, noise):
        return sample_ddim(denoise, x, times, SCHEDULE, eta, [noise] * 10)

    same(sample, X0, NOISE, atol=5e-6)
    same(sample, X0.astype(float), NOISE.astype(float))


def test_ddim_with_a_time_for_each_entry() -> None:
    def sample(x, t):
        return sample_ddim(denoise, x, [t, 0.5 * t, 0.0 * t], SCHEDULE)

    same(sample, X0, TIME, atol=5e-6)


def test_multistep() -> None:
    same(lambda x: sample_multistep(denoise, x, spaced_times(5), SCHEDULE), X0.astype(float))

    def sample(x, t):
        return sample_multistep(denoise, x, [t, 0.5 * t, 0.2 * t, 0.0 * t], SCHEDULE)

    same(sample, X0.astype(float), TIME.astype(float))


def test_consistency() -> None:
    same(lambda x, n: sample_consistency(denoise, [x, n], spaced_times(2), SCHEDULE), X0, NOISE)
    same(lambda x, t: consistent(denoise, x, t), X0, TIME)


def test_guidance() -> None:
    same(lambda a, b, c: guide(a, [b, c], [1.5, 2.0]), X0, NOISE, OTHER)


def test_gradients_flow_through_a_sample() -> None:
    weight = torch.tensor(0.3, requires_grad=True)
    start = torch.from_numpy(X0)
    found = sample_ddim(lambda x, t: weight * x, start, spaced_times(4), SCHEDULE)
    found.square().mean().backward()
    assert weight.grad is not None
    assert torch.isfinite(weight.grad)
