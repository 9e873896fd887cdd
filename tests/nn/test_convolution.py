"""Convolutions that save work give what PyTorch's own give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.functional import interpolate  # noqa: E402

from golden import relative_error  # noqa: E402
from visavis.nn.convolution import GrownConv, WinogradConv2d, fold_norm  # noqa: E402
from visavis.nn.spectral import SpectralConv3d  # noqa: E402


@pytest.fixture(autouse=True)
def _no_gradients():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (4, 4), (3, 1), (5, 2)])
def test_a_grown_convolution_never_enlarges_and_equals_one_that_does(factors):
    conv, x = nn.Conv2d(3, 4, 3, padding=1), torch.randn(2, 3, 5, 4)
    enlarged = interpolate(x, scale_factor=tuple(map(float, factors)), mode="nearest")
    assert relative_error(GrownConv(conv, factors)(x), conv(enlarged)) <= 1e-5


def test_volumes_grow_too():
    conv, x = nn.Conv3d(3, 4, 3, padding=1), torch.randn(1, 3, 3, 5, 4)
    enlarged = interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")
    assert relative_error(GrownConv(conv, (1, 2, 2))(x), conv(enlarged)) <= 1e-5


def test_a_norm_goes_into_the_convolution_before_it():
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 6, 6)
    folded = fold_norm(conv, norm)
    assert relative_error(folded(x), norm.eval()(conv(x))) <= 1e-5


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 2))
def test_winograd_tiles(rows, columns, batch):
    size = (4 * rows, 4 * columns)
    conv, x = nn.Conv2d(5, 3, 3, padding=1), torch.randn(batch, 5, *size)
    assert relative_error(WinogradConv2d(conv, size)(x), conv(x)) <= 1e-4


@pytest.mark.parametrize(
    ("size", "kernel", "tiles"),
    [
        ((2, 12, 24), (7, 7, 7), (1, 1, 2)),
        ((5, 26, 7), (3, 5, 7), (1, 2, 1)),
        ((16, 32, 16), (7, 7, 7), (1, 2, 1)),
    ],
)
def test_frequencies_of_tiles(size, kernel, tiles):
    conv = nn.Conv3d(3, 4, kernel, padding=[side // 2 for side in kernel])
    x = torch.randn(2, 3, *size)
    spectral = SpectralConv3d(conv, size)
    assert spectral.tiles == tiles
    assert relative_error(spectral(x), conv(x)) <= 1e-5
