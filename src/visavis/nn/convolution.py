"""Convolutions that give the same numbers for less work.

``GrownConv`` is a convolution of enlarged features that never enlarges them, ``WinogradConv2d`` one
by matrix products, a quarter of them (``spectral.py`` has its like for wide kernels). Both are made
from PyTorch's own convolutions and equal them to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_TRANSPOSED: dict[int, Any] = {
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def fold_norm(conv: nn.Module, norm: nn.Module) -> nn.Module:
    """Return ``conv`` with the batch norm ``norm`` after it in its own weights (both in eval)."""
    folded: nn.Module = torch.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())
    return folded


class GrownConv(nn.Module):
    """A kernel of 3 over features that are enlarged first, each cell to a block of equal ones.

    Taps that fall into one cell are added up beforehand: the convolution becomes a transposed one
    on the features as they are. Work per output, for two axes enlarged ``f`` times: (f + 2)² / f²
    products instead of 9 (ditto-spec 1.3 a, b).
    """

    def __init__(self, conv: nn.Module, factors: tuple[int, ...]) -> None:
        """Take a convolution with kernel 3 and padding 1; ``factors`` enlarge each axis."""
        super().__init__()
        self.factors = factors
        kernel = conv.weight.detach().transpose(0, 1)
        for axis, factor in enumerate(factors, start=2):
            taps = _added_taps(factor).to(kernel)
            kernel = torch.tensordot(kernel, taps, ([axis], [1])).movedim(-1, axis)
        self.weight = nn.Parameter(kernel.contiguous())
        self.bias = conv.bias
        self._grow = _TRANSPOSED[len(factors)]

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, i, …) to what the convolution makes of it enlarged."""
        return self._grow(x, self.weight, self.bias, stride=self.factors, padding=1)


def _added_taps(factor: int) -> Tensor:
    """Return which of 3 taps meet in each tap of the transposed kernel (factor + 2, 3)."""
    places = torch.arange(-1, factor + 1)[:, None] + torch.arange(-1, 2)
    return ((places >= 0) & (places < factor)).float()


_POINTS = 4
"""Results of a tile of ``WinogradConv2d`` along an axis; 6 numbers of its own go into them."""
_INTO = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_BACK = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class WinogradConv2d(nn.Module):
    """A kernel of 3 x 3 with a quarter of the products, on pictures of one size.

    F(4 x 4, 3 x 3) of Lavin and Gray (2016), "Fast algorithms for convolutional neural networks":
    tiles are turned by small constant matrices, multiplied, and turned back. All of it is matrix
    products, for runtimes whose matrix products are fast. In float32 only: the turned numbers are
    larger than the results, and halves would lose them.
    """

    into_y: Tensor
    into_x: Tensor
    back_y: Tensor
    back_x: Tensor

    def __init__(self, conv: nn.Conv2d, size: tuple[int, int]) -> None:
        """Take a convolution with kernel 3 and padding 1, for ``size`` (h, w), multiples of 4."""
        super().__init__()
        self.size = size
        self.inputs, self.outputs = conv.in_channels, conv.out_channels
        for name, cells in zip("yx", size, strict=True):
            into, back = _winograd_lines(cells)
            self.register_buffer(f"into_{name}", into, persistent=False)
            self.register_buffer(f"back_{name}", back, persistent=False)
        turn = torch.tensor(_KERNEL, dtype=torch.float64)
        weight = torch.einsum("ik,jl,ockl->ijco", turn, turn, conv.weight.detach().double())
        self.weight = nn.Parameter(weight.flatten(0, 1).float())
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, i, h, w) to (b, o, h, w)."""
        b, (height, width) = x.shape[0], self.size
        ty, tx = height // _POINTS, width // _POINTS
        x = x.permute(0, 2, 3, 1).reshape(b, height, -1)
        x = (self.into_y @ x).reshape(b * 6 * ty, width, self.inputs)
        x = (self.into_x @ x).reshape(b, 6, ty, 6, tx * self.inputs)
        x = x.permute(1, 3, 0, 2, 4).reshape(36, b * ty * tx, self.inputs)
        x = (x @ self.weight).reshape(6, 6, b, ty, tx * self.outputs)
        x = x.permute(2, 0, 3, 1, 4).reshape(b * 6 * ty, 6 * tx, self.outputs)
        x = (self.back_x @ x).reshape(b, 6 * ty, -1)
        x = (self.back_y @ x).reshape(b, height, width, self.outputs) + self.bias
        return x.permute(0, 3, 1, 2)


def _winograd_lines(cells: int) -> tuple[Tensor, Tensor]:
    """Return what turns a line of ``cells`` into its tiles' numbers (number, tile), and back."""
    tiles = cells // _POINTS
    into = torch.zeros(6, tiles, cells + 2)
    back = torch.zeros(tiles, _POINTS, 6, tiles)
    for tile in range(tiles):
        into[:, tile, tile * _POINTS : tile * _POINTS + 6] = torch.tensor(_INTO).float()
        back[tile, :, :, tile] = torch.tensor(_BACK).float()
    return into[:, :, 1:-1].reshape(6 * tiles, cells), back.reshape(cells, 6 * tiles)
