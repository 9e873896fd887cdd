"""What more than one of LivePortrait's networks is made of (ditto-spec 1.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ConvNorm(nn.Module):
    """Convolution, batch norm and a (leaky) ReLU; the size of the picture stays."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, dims: int = 2, slope: float = 0.0
    ) -> None:
        """Make it for pictures (``dims`` 2) or volumes (3); ``slope`` below zero."""
        super().__init__()
        self.conv = _CONV[dims](inputs, outputs, kernel, padding=kernel // 2)
        self.norm = _NORM[dims](outputs)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, …) to (b, outputs, …)."""
        return functional.leaky_relu(self.norm(self.conv(x)), self.slope)


class ResidualBlock3d(nn.Module):
    """Norm, ReLU and convolution, twice, around a shortcut (He et al. 2016, pre-activation)."""

    def __init__(self, channels: int) -> None:
        """Make a block of ``channels`` channels."""
        super().__init__()
        self.norm_first = nn.BatchNorm3d(channels)
        self.conv_first = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm_second = nn.BatchNorm3d(channels)
        self.conv_second = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, d, h, w) to the same shape."""
        y = self.conv_first(torch.relu(self.norm_first(x)))
        return x + self.conv_second(torch.relu(self.norm_second(y)))


def identity_grid(size: torch.Size, like: Tensor) -> Tensor:
    """Return where each cell of a volume of ``size`` (d, h, w) is (d, h, w, 3), x y z, as ``like``.

    From -1 at the centre of the first cell to 1 at the centre of the last one. Sampling reads such
    a grid as if -1 and 1 were the outer edges, so that it is not quite the identity: upstream's
    networks were trained with that, and it must stay.
    """

    def line(cells: int) -> Tensor:
        return torch.arange(cells, device=like.device, dtype=like.dtype) * (2 / (cells - 1)) - 1

    z, y, x = torch.meshgrid(*map(line, size), indexing="ij")
    return torch.stack((x, y, z), dim=-1)


def sample_volume(volume: Tensor, grid: Tensor) -> Tensor:
    """Return ``volume`` (b, c, d, h, w) read at ``grid`` (b, d, h, w, 3); nothing is outside."""
    return functional.grid_sample(
        volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
