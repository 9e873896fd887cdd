"""Run by test_sampling3d.py: the Triton kernels on a CPU, beside plain PyTorch.

A program of its own: Triton interprets only what is imported after TRITON_INTERPRET is set.
"""

import torch

from visavis.nn import sampling3d_triton as kernels
from visavis.nn.sampling3d import VARIANCE, mixture, proposals, shifts


def compare(batch: int, points: int, size: tuple[int, int, int]) -> None:
    """Refuse kernels that differ by more than rounding, in float32 and in halves."""
    thin, volume = torch.randn(batch, 4, *size), torch.randn(batch, 8, *size)
    source, driving = torch.randn(2, batch, points, 3) * 0.5
    made = kernels.proposals(thin, source, driving, VARIANCE)
    assert torch.allclose(made, proposals(thin, source, driving), atol=1e-5)
    made = kernels.proposals(thin, source, driving, VARIANCE, 2)
    assert torch.allclose(made, proposals(thin, source, driving, 2), atol=1e-5)
    logits, moves = torch.randn(batch, points + 1, *size) * 2, shifts(source, driving)
    expected = mixture(volume, logits, moves)
    assert torch.allclose(kernels.mixture(volume, logits, moves), expected, atol=1e-5)
    halves = kernels.mixture(volume.half(), logits.half(), moves)
    assert halves.dtype == torch.float16
    assert torch.allclose(halves.float(), expected, atol=1e-2)


if __name__ == "__main__":
    torch.manual_seed(0)
    compare(1, 3, (4, 8, 6))
    compare(2, 21, (3, 5, 7))
