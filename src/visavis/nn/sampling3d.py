"""Reading feature volumes at other places: what a face that moves asks for most often.

``translated`` moves a whole volume along, once for every keypoint; ``read`` reads one at any
places. Both follow one convention, upstream's: cell ``i`` of ``n`` stands at ``2 i / (n - 1) - 1``,
but places are read as if -1 and 1 were the outer edges of the volume, and nothing is outside
(PyTorch's ``grid_sample`` with ``align_corners=False``, zeros; ditto-spec 1.2). ``proposals`` and
``mixture`` are the two places where W reads: plain PyTorch here, one Triton kernel each on a GPU
(``sampling3d_triton``). Axes: ``b`` batch, ``k`` keypoints, ``c`` channels, ``d h w`` the volume.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

HAS_TRITON = find_spec("triton") is not None
"""Whether GPUs get kernels of their own (sampling3d_triton.py)."""

VARIANCE = 0.01
"""Of the bump round a keypoint, in squared half sides of the volume."""


def line(cells: int, like: Tensor) -> Tensor:
    """Return where ``cells`` cells stand along an axis (cells,), as ``like`` is kept."""
    return torch.arange(cells, device=like.device, dtype=like.dtype) * (2 / (cells - 1)) - 1


def tents(shifts: Tensor, cells: int) -> Tensor:
    """Return the matrices (…, cells, cells) that read a line of cells ``shifts`` (…,) further on.

    Row ``i`` holds the weights of linear interpolation for cell ``i``, none for what is outside.
    """
    here = torch.arange(cells, device=shifts.device, dtype=shifts.dtype)
    places = ((line(cells, shifts) + shifts[..., None] + 1) * cells - 1) / 2
    return torch.relu(1 - (places[..., None] - here).abs())


def translated(volume: Tensor, shifts: Tensor) -> Tensor:
    """Return ``volume`` (b, c, d, h, w) read ``shifts`` (b, k, 3), x y z, further on.

    A shift is the same for all cells, so that trilinear interpolation is three products with
    matrices, one for each axis: (b, k, c, d, h, w), equal to ``read`` on the shifted grid. Needs
    no sampling of volumes from whatever runs it.
    """
    b, c, d, h, w = volume.shape
    k = shifts.shape[1]
    along_x, along_y, along_z = (
        tents(shifts[..., axis], cells).to(volume.dtype) for axis, cells in enumerate((w, h, d))
    )
    moved = volume.reshape(b, 1, c * d * h, w) @ along_x.transpose(-1, -2)
    moved = along_y[:, :, None] @ moved.reshape(b, k, c * d, h, w)
    moved = along_z[:, :, None] @ moved.reshape(b, k, c, d, h * w)
    return moved.reshape(b, k, c, d, h, w)


def bumps(points: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Return a Gaussian bump round each of ``points`` (b, k, 3) in a volume of ``size`` (d, h, w).

    A product of three lines: (b, k, d, h, w), equal to exp(-distance² / 2 variance).
    """
    x, y, z = (
        torch.exp((line(cells, points) - points[..., axis, None]).square() * (-0.5 / VARIANCE))
        for axis, cells in zip(range(3), size[::-1], strict=True)
    )
    return z[..., None, None] * y[..., None, :, None] * x[..., None, None, :]


def read(volume: Tensor, places: Tensor) -> Tensor:
    """Return ``volume`` (b, c, d, h, w) read at ``places`` (b, …, 3), x y z: (b, c, …)."""
    return functional.grid_sample(
        volume, places, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def read_rows(volume: Tensor, places: Tensor) -> Tensor:
    """Return the same as ``read`` from eight gathers of rows of ``c`` values.

    For what exports it to runtimes that sample pictures only. The volume gets a border of zeros,
    into which whatever is outside falls.
    """
    b, c, *size = volume.shape
    whole = [cells + 2 for cells in size]
    table = functional.pad(volume, (1,) * 6).permute(0, 2, 3, 4, 1).reshape(-1, c)
    index: Tensor | int = torch.arange(b, device=places.device).reshape(b, 1, 1, 1)
    corners, weights = [], []
    for axis, cells in zip((2, 1, 0), size, strict=True):
        place = ((places[..., axis] + 1) * cells - 1) / 2 + 1
        low = place.floor().clamp(0, cells)
        corners.append(low.to(torch.int64))
        weights.append((place - low).clamp(0, 1))
    for low, cells in zip(corners, whole, strict=True):
        index = index * cells + low
    strides = (whole[1] * whole[2], whole[2], 1)
    total = torch.zeros((), dtype=volume.dtype, device=volume.device)
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        share = torch.ones((), dtype=volume.dtype, device=volume.device)
        for bit, weight in zip(bits, weights, strict=True):
            share = share * (weight if bit else 1 - weight)
        further = sum(bit * stride for bit, stride in zip(bits, strides, strict=True))
        total = total + share[..., None] * table[index + further]
    return total.permute(0, 4, 1, 2, 3)


def proposals(features: Tensor, kp_source: Tensor, kp_driving: Tensor, spare: int = 0) -> Tensor:
    """Return what the hourglass of W looks at (b, (1 + k) (1 + c) + spare, d, h, w).

    ``features`` (b, c, d, h, w); points (b, k, 3). For the identity and then every keypoint: the
    bump at its new place less that at its old one, then the features as shifted with it. ``spare``
    channels of zeros follow.
    """
    kernel = _kernels(features)
    if kernel is not None:
        return kernel.proposals(features, kp_source, kp_driving, VARIANCE, spare)
    size = (features.shape[2], features.shape[3], features.shape[4])
    heat = bumps(kp_driving, size) - bumps(kp_source, size)
    heat = functional.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0)).to(features.dtype)
    moved = translated(features, shifts(kp_source, kp_driving))
    made = torch.cat((heat[:, :, None], moved), dim=2).flatten(1, 2)
    return functional.pad(made, (0, 0, 0, 0, 0, 0, 0, spare)) if spare else made


def mixture(volume: Tensor, logits: Tensor, moves: Tensor, *, by_rows: bool = False) -> Tensor:
    """Return ``volume`` (b, c, d, h, w) read where the mixed proposals point: (b, c * d, h, w).

    ``logits`` (b, k, d, h, w) say how much each of ``moves`` (b, k, 3) counts in a cell.
    ``by_rows`` reads with ``read_rows``.
    """
    kernel, channels = _kernels(volume), volume.shape[1]
    if kernel is not None and channels & (channels - 1) == 0:
        return kernel.mixture(volume, logits, moves)
    z, y, x = torch.meshgrid(*(line(n, moves) for n in volume.shape[2:]), indexing="ij")
    shares = logits.to(moves.dtype).softmax(dim=1).flatten(2).transpose(1, 2)
    places = (shares @ moves).unflatten(1, z.shape) + torch.stack((x, y, z), dim=-1)
    found = (read_rows if by_rows else read)(volume.to(places.dtype), places)
    return found.to(volume.dtype).flatten(1, 2)


def shifts(kp_source: Tensor, kp_driving: Tensor) -> Tensor:
    """Return how far on each proposal reads (b, 1 + k, 3): the identity, then every keypoint."""
    return functional.pad(kp_source - kp_driving, (0, 0, 1, 0))


def _kernels(volume: Tensor) -> Any:
    """Return the kernels for where ``volume`` is, None where plain PyTorch must do."""
    if not volume.is_cuda or not HAS_TRITON:
        return None
    from visavis.nn import sampling3d_triton  # needs Triton, which only some machines have

    return sampling3d_triton
