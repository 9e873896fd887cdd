"""The two readings of W as one GPU kernel each, in Triton; the same maths as ``sampling3d``.

PyTorch's way writes the 22 shifted volumes, the bumps, their stack and the mask to memory and
reads them again; here every value is made where it is used. Memory order is channels last, which
is what the convolutions around it want. ``TRITON_INTERPRET=1`` runs the kernels on a CPU (tests).
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 16
"""Cells of one program: with more, a Hopper GPU runs out of registers."""


@triton.jit
def _place(index, shift, cells: tl.constexpr):
    """Return where, in cells, the cell ``index`` of ``cells`` is read after ``shift``."""
    at = index.to(tl.float32) * (2.0 / (cells - 1)) - 1.0 + shift
    return ((at + 1.0) * cells - 1.0) * 0.5


@triton.jit
def _proposals(
    features, source, driving, out, variance: tl.constexpr,
    counts: tl.constexpr, size: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write the bump and the shifted features of every proposal for ``block`` cells."""
    points: tl.constexpr = counts[0]
    padded: tl.constexpr = counts[1]
    thin: tl.constexpr = counts[2]
    stride: tl.constexpr = counts[3]
    depth: tl.constexpr = size[0]
    height: tl.constexpr = size[1]
    width: tl.constexpr = size[2]
    cells: tl.constexpr = depth * height * width
    row = tl.program_id(1)
    cell = tl.program_id(0) * block + tl.arange(0, block)[:, None]
    k = tl.arange(0, padded)[None, :]
    z, y, x = cell // (height * width), cell // width % height, cell % width
    is_cell = cell < cells
    is_point = (k > 0) & (k <= points)
    at = row * points * 3 + (k - 1) * 3
    here_x = x.to(tl.float32) * (2.0 / (width - 1)) - 1.0
    here_y = y.to(tl.float32) * (2.0 / (height - 1)) - 1.0
    here_z = z.to(tl.float32) * (2.0 / (depth - 1)) - 1.0
    sx = tl.load(source + at, mask=is_point, other=0.0)
    sy = tl.load(source + at + 1, mask=is_point, other=0.0)
    sz = tl.load(source + at + 2, mask=is_point, other=0.0)
    dx = tl.load(driving + at, mask=is_point, other=0.0)
    dy = tl.load(driving + at + 1, mask=is_point, other=0.0)
    dz = tl.load(driving + at + 2, mask=is_point, other=0.0)
    squared_s = (here_x - sx) * (here_x - sx) + (here_y - sy) * (here_y - sy)
    squared_s += (here_z - sz) * (here_z - sz)
    squared_d = (here_x - dx) * (here_x - dx) + (here_y - dy) * (here_y - dy)
    squared_d += (here_z - dz) * (here_z - dz)
    heat = tl.exp(squared_d * (-0.5 / variance)) - tl.exp(squared_s * (-0.5 / variance))
    heat = tl.where(is_point, heat, 0.0)
    place_x = _place(x, sx - dx, width)
    place_y = _place(y, sy - dy, height)
    place_z = _place(z, sz - dz, depth)
    low_x, low_y, low_z = tl.floor(place_x), tl.floor(place_y), tl.floor(place_z)
    target = out + (row * cells + cell) * stride + k * (thin + 1)
    is_kept = is_cell & (k <= points)
    tl.store(target, heat, mask=is_kept)
    for channel in tl.static_range(thin):
        total = tl.zeros((block, padded), tl.float32)
        for corner in tl.static_range(8):
            cx = low_x + corner % 2
            cy = low_y + corner // 2 % 2
            cz = low_z + corner // 4
            share = (1.0 - tl.abs(place_x - cx)) * (1.0 - tl.abs(place_y - cy))
            share *= 1.0 - tl.abs(place_z - cz)
            inside = (cx >= 0) & (cx < width) & (cy >= 0) & (cy < height)
            inside = inside & (cz >= 0) & (cz < depth) & is_kept
            index = (cz.to(tl.int32) * height + cy.to(tl.int32)) * width + cx.to(tl.int32)
            value = tl.load(
                features + (row * cells + index) * thin + channel, mask=inside, other=0.0
            )
            total += share * value.to(tl.float32)
        tl.store(target + 1 + channel, total, mask=is_kept)


@triton.jit
def _mixture(
    volume, logits, shifts, out,
    counts: tl.constexpr, size: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Mix the proposals of ``block`` cells (depth fastest), read the volume there, write it."""
    kept: tl.constexpr = counts[0]
    padded: tl.constexpr = counts[1]
    channels: tl.constexpr = counts[2]
    depth: tl.constexpr = size[0]
    height: tl.constexpr = size[1]
    width: tl.constexpr = size[2]
    cells: tl.constexpr = depth * height * width
    row = tl.program_id(1)
    order = tl.program_id(0) * block + tl.arange(0, block)
    z, y, x = order % depth, order // depth // width, order // depth % width
    is_cell = order < cells
    k = tl.arange(0, padded)
    cell = (z * height + y) * width + x
    logit = tl.load(
        logits + (row * cells + cell[:, None]) * kept + k[None, :],
        mask=is_cell[:, None] & (k < kept)[None, :],
        other=float("-inf"),
    ).to(tl.float32)
    logit = tl.where(is_cell[:, None], logit, 0.0)
    share = tl.exp(logit - tl.max(logit, axis=1)[:, None])
    share = share / tl.sum(share, axis=1)[:, None]
    at = shifts + (row * kept + k) * 3
    shift_x = tl.sum(share * tl.load(at, mask=k < kept, other=0.0)[None, :], axis=1)
    shift_y = tl.sum(share * tl.load(at + 1, mask=k < kept, other=0.0)[None, :], axis=1)
    shift_z = tl.sum(share * tl.load(at + 2, mask=k < kept, other=0.0)[None, :], axis=1)
    place_x = _place(x, shift_x, width)
    place_y = _place(y, shift_y, height)
    place_z = _place(z, shift_z, depth)
    low_x, low_y, low_z = tl.floor(place_x), tl.floor(place_y), tl.floor(place_z)
    c = tl.arange(0, channels)
    total = tl.zeros((block, channels), tl.float32)
    for corner in tl.static_range(8):
        cx = low_x + corner % 2
        cy = low_y + corner // 2 % 2
        cz = low_z + corner // 4
        part = (1.0 - tl.abs(place_x - cx)) * (1.0 - tl.abs(place_y - cy))
        part *= 1.0 - tl.abs(place_z - cz)
        inside = (cx >= 0) & (cx < width) & (cy >= 0) & (cy < height)
        inside = inside & (cz >= 0) & (cz < depth) & is_cell
        index = (cz.to(tl.int32) * height + cy.to(tl.int32)) * width + cx.to(tl.int32)
        value = tl.load(
            volume + (row * cells + index[:, None]) * channels + c[None, :],
            mask=inside[:, None],
            other=0.0,
        )
        total += part[:, None] * value.to(tl.float32)
    target = out + ((row * height + y) * width + x)[:, None] * (channels * depth)
    tl.store(target + c[None, :] * depth + z[:, None], total, mask=is_cell[:, None])


def proposals(
    features: Tensor, kp_source: Tensor, kp_driving: Tensor, variance: float, spare: int = 0
) -> Tensor:
    """Return what ``sampling3d.proposals`` returns, channels last in memory.

    ``features`` (b, c, d, h, w) of any float type, the points (b, n, 3) float32.
    """
    b, thin, *size = features.shape
    points = kp_source.shape[1]
    rows = features.permute(0, 2, 3, 4, 1).contiguous()
    made = (points + 1) * (thin + 1)
    out = features.new_empty((b, *size, made + spare))
    out[..., made:] = 0
    cells = size[0] * size[1] * size[2]
    _proposals[(triton.cdiv(cells, _BLOCK), b)](
        rows, kp_source.contiguous(), kp_driving.contiguous(), out, variance,
        (points, triton.next_power_of_2(points + 1), thin, made + spare), tuple(size), _BLOCK,
    )  # fmt: skip
    return out.permute(0, 4, 1, 2, 3)


def mixture(volume: Tensor, logits: Tensor, shifts: Tensor) -> Tensor:
    """Return what ``sampling3d.mixture`` returns, channels last in memory.

    The number of channels of ``volume`` (b, c, d, h, w) must be a power of two; ``shifts`` (b, k,
    3) are float32.
    """
    b, channels, *size = volume.shape
    kept = shifts.shape[1]
    rows = volume.permute(0, 2, 3, 4, 1).contiguous()
    shares = logits.permute(0, 2, 3, 4, 1).contiguous()
    out = volume.new_empty((b, size[1], size[2], channels * size[0]))
    cells = size[0] * size[1] * size[2]
    _mixture[(triton.cdiv(cells, _BLOCK), b)](
        rows, shares, shifts.contiguous(), out,
        (kept, triton.next_power_of_2(kept), channels), tuple(size), _BLOCK,
    )  # fmt: skip
    return out.permute(0, 3, 1, 2)
