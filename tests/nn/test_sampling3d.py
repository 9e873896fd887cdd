"""Volumes read at other places: by PyTorch, by products, by rows, by GPU kernels; all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from visavis.nn import sampling3d  # noqa: E402
from visavis.nn.sampling3d import (  # noqa: E402
    VARIANCE,
    bumps,
    line,
    mixture,
    read,
    read_rows,
    shifts,
    translated,
)

sizes = st.tuples(st.integers(2, 5), st.integers(2, 9), st.integers(2, 7))
seeds = st.integers(0, 2**31)


def grid(size):
    z, y, x = torch.meshgrid(*(line(n, torch.zeros(1)) for n in size), indexing="ij")
    return torch.stack((x, y, z), dim=-1)


@settings(max_examples=30, deadline=None)
@given(sizes, seeds, st.floats(0.0, 3.0))
def test_products_with_tents_read_what_sampling_reads(size, seed, far):
    torch.manual_seed(seed)
    volume, moves = torch.randn(2, 3, *size), torch.randn(2, 4, 3) * far
    places = (grid(size) + moves[:, :, None, None, None]).flatten(1, 2)
    expected = read(volume, places).unflatten(2, (4, size[0])).transpose(1, 2)
    assert torch.allclose(translated(volume, moves), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(sizes, seeds, st.floats(0.0, 3.0))
def test_rows_read_what_sampling_reads_outside_too(size, seed, far):
    torch.manual_seed(seed)
    volume, places = torch.randn(2, 3, *size), grid(size) + torch.randn(2, *size, 3) * far
    assert torch.allclose(read_rows(volume, places), read(volume, places), atol=1e-5)


def test_the_grid_is_upstreams_not_quite_the_identity():
    volume = torch.ones(1, 1, 4, 4, 4)
    still = translated(volume, torch.zeros(1, 1, 3))[0, 0, 0]
    assert still[2, 2, 2] == 1
    assert still[0, 0, 0] == pytest.approx(0.125)  # half outside, on each axis


def test_a_bump_is_a_gaussian_of_the_distance():
    points = torch.rand(2, 3, 3) - 0.5
    apart = grid((3, 4, 5)) - points[:, :, None, None, None]
    expected = torch.exp(-apart.square().sum(-1) / (2 * VARIANCE))
    assert torch.allclose(bumps(points, (3, 4, 5)), expected, atol=1e-6)


@pytest.mark.parametrize(("batch", "points", "size"), [(1, 3, (4, 8, 6)), (2, 21, (3, 5, 7))])
def test_a_mixture_read_by_rows_is_the_same(batch, points, size):
    torch.manual_seed(0)
    volume, logits = torch.randn(batch, 8, *size), torch.randn(batch, points + 1, *size)
    moves = shifts(*torch.randn(2, batch, points, 3) * 0.5)
    assert torch.allclose(
        mixture(volume, logits, moves, by_rows=True), mixture(volume, logits, moves), atol=1e-5
    )


def test_gpu_kernels_equal_plain_pytorch():
    pytest.importorskip("triton")
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("interpreted.py")],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_a_cpu_does_without_kernels():
    assert sampling3d._kernels(torch.zeros(1)) is None
