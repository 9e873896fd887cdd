"""A wide convolution in the frequency domain, out of matrix products alone.

A kernel of 7 x 7 x 7 asks for 343 products per cell and pair of channels. Cut into tiles, turned
into frequencies, multiplied there and turned back, the same numbers cost a fraction (overlap-save;
Winograd 1980 calls such schemes bilinear algorithms). Discrete Fourier transforms of tiles this
small are products with small constant matrices, so that every runtime has what it takes. Only
real numbers are used: a complex one is a pair, real part first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SHORTEST = 12
"""Shortest side of a tile's results worth cutting."""


class SpectralConv3d(nn.Module):
    """``Conv3d`` of stride 1 that keeps the size, on volumes of one size."""

    into_z: Tensor
    into_y: Tensor
    into_x: Tensor
    back_z: Tensor
    back_y: Tensor
    back_x: Tensor

    def __init__(self, conv: nn.Conv3d, size: tuple[int, int, int]) -> None:
        """Take the weights of ``conv`` for volumes of ``size`` (d, h, w)."""
        super().__init__()
        self.size = size
        self.inputs, self.outputs = conv.in_channels, conv.out_channels
        kernels = tuple(int(side) for side in conv.kernel_size)
        self.tiles = tuple(_tiles(cells) for cells in size)
        self.sides = tuple(cells // tiles for cells, tiles in zip(size, self.tiles, strict=True))
        lengths = [side + kernel - 1 for side, kernel in zip(self.sides, kernels, strict=True)]
        self.waves = (lengths[0] // 2 + 1, *lengths[1:])
        for axis, name in enumerate("zyx"):
            into = _into(size[axis], self.tiles[axis], kernels[axis], is_real=axis == 0)
            back = _back(lengths[axis], self.sides[axis], is_real=axis == 0)
            self.register_buffer(f"into_{name}", into, persistent=False)
            self.register_buffer(f"back_{name}", back, persistent=False)
        weight = conv.weight.detach().double()
        spectrum = torch.fft.fftn(weight, lengths, dim=(2, 3, 4))[:, :, : self.waves[0]].conj()
        pairs = torch.stack((spectrum.real, spectrum.imag)).permute(3, 4, 5, 2, 0, 1)
        self.weight = nn.Parameter(pairs.reshape(-1, self.inputs, 2 * self.outputs).float())
        self.bias = nn.Parameter(conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, i, d, h, w) to (b, o, d, h, w)."""
        (_, height, width), (wz, wy, wx), (tz, ty, tx) = self.size, self.waves, self.tiles
        b, rows = x.shape[0], wz * tz
        x = x.permute(0, 2, 3, 4, 1).reshape(b, self.size[0], -1)
        x = (self.into_z @ x).reshape(b, rows, 2 * height, -1)
        x = (self.into_y @ x).reshape(b, rows * wy * ty, 2 * width, self.inputs)
        x = (self.into_x @ x).reshape(b, wz, tz, wy, ty, wx, -1)
        x = x.permute(1, 3, 5, 0, 2, 4, 6).reshape(wz * wy * wx, -1, self.inputs)
        x = (x @ self.weight).reshape(-1, 2, 2, self.outputs)
        (a, c), (d, e) = (part.unbind(1) for part in x.unbind(1))
        x = torch.stack((a - e, c + d), dim=1)
        return self._returned(x.reshape(wz, wy, wx, b * tz, ty, tx, 2, self.outputs))

    def _returned(self, x: Tensor) -> Tensor:
        """Return the volume (b, o, d, h, w) of waves (z, y, x, b * tiles, tiles, tiles, 2, o)."""
        wz, wy, wx, bz, ty, tx, _, outputs = x.shape
        sz, sy, sx = self.sides
        x = x.permute(0, 1, 3, 4, 5, 2, 6, 7).reshape(-1, 2 * wx, outputs)
        x = (self.back_x @ x).reshape(wz, wy, bz, ty, tx, 2, sx * outputs)
        x = x.permute(0, 2, 3, 1, 5, 4, 6).reshape(wz * bz * ty, 2 * wy, -1)
        x = (self.back_y @ x).reshape(wz, bz, ty, 2, -1)
        x = x.permute(1, 0, 3, 2, 4).reshape(bz, 2 * wz, -1)
        x = (self.back_z @ x).reshape(bz, sz, ty, sy, tx, sx, outputs)
        x = x.reshape(-1, *self.size, outputs) + self.bias
        return x.permute(0, 4, 1, 2, 3)


def _tiles(cells: int) -> int:
    """Return how many tiles ``cells`` cells are cut into: short ones, all alike."""
    fits = [n for n in range(1, cells + 1) if cells % n == 0 and cells // n >= _SHORTEST]
    return max(fits, default=1)


def _angles(waves: int, length: int) -> Tensor:
    """Return the angles (waves, length) of a discrete Fourier transform."""
    return torch.outer(torch.arange(waves), torch.arange(length)).double() * (2 * torch.pi / length)


def _as_pairs(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return the matrix (2 r, 2 c) that multiplies pairs as a complex one (r, c) does."""
    upper = torch.stack((real, -imaginary), dim=-1)
    lower = torch.stack((imaginary, real), dim=-1)
    return torch.stack((upper, lower), dim=1)


def _into(cells: int, tiles: int, kernel: int, *, is_real: bool) -> Tensor:
    """Return the matrix that turns a line of ``cells`` into the waves of its tiles.

    Rows (wave, tile, part); columns (part, cell), of real lines (cell).
    """
    side = cells // tiles
    length = side + kernel - 1
    waves = length // 2 + 1 if is_real else length
    angles = _angles(waves, length)
    line = torch.zeros(waves, tiles, 2, 2, cells, dtype=torch.float64)
    for tile in range(tiles):
        first = tile * side - kernel // 2
        low, high = max(first, 0), min(first + length, cells)
        inside = angles[:, low - first : high - first]
        blocks = _as_pairs(inside.cos(), -inside.sin())  # (wave, part, cell, part)
        line[:, tile, :, :, low:high] = blocks.permute(0, 1, 3, 2)
    if is_real:
        return line[:, :, :, 0].reshape(waves * tiles * 2, cells).float()
    return line.reshape(waves * tiles * 2, 2 * cells).float()


def _back(length: int, side: int, *, is_real: bool) -> Tensor:
    """Return the matrix that turns waves into the first ``side`` cells of their tile.

    Rows (part, cell), or (cell) of real lines; columns (wave, part). The waves of real lines stand
    for their mirror images, too.
    """
    waves = length // 2 + 1 if is_real else length
    angles = _angles(side, length)[:, :waves]
    real, imaginary = angles.cos() / length, angles.sin() / length
    if not is_real:
        pairs = _as_pairs(real, imaginary).permute(1, 0, 2, 3)
        return pairs.reshape(2 * side, 2 * waves).float()
    twice = torch.full((waves,), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if length % 2 == 0:
        twice[-1] = 1.0
    return torch.stack((real * twice, -imaginary * twice), dim=-1).reshape(side, -1).float()
