"""What is wrong with pictures that came back from the codec, and with how their pixels moved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from visavis.faces.topology import (
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_EYE,
    RIGHT_IRIS,
)

LIPS_LIDS = 4.0
"""What is added to the weight, 1, of landmarks on lips and lids."""
_FINE = sorted({*LIPS_OUTER, *LIPS_INNER, *RIGHT_EYE, *LEFT_EYE, *RIGHT_IRIS, *LEFT_IRIS})
STRIDE = 4
"""Pixels from one place at which LPIPS looks to the next."""


def astray(flow: Tensor, points: Tensor, side: int) -> Tensor:
    """Return by how many pixels ``flow`` (b * t, 2, i, j) misses landmarks, in the mean.

    ``points`` (b, t + 1, n, 2), the portrait's first, in shares of ``side`` pixels; what is NaN
    does not count, lips and lids count LIPS_LIDS more than the rest.
    """
    portrait, frames = points[:, :1], points[:, 1:].flatten(0, 1)
    source = portrait.expand(-1, points.shape[1] - 1, -1, -1).flatten(0, 1)
    inside = ((frames > 0) & (frames < 1)).all(-1) & source.isfinite().all(-1)
    spots = torch.where(inside[..., None], frames, 0.5)
    found = functional.grid_sample(flow, 2 * spots[:, :, None] - 1, align_corners=False)
    found = found[..., 0].transpose(1, 2)  # half widths, as grid_sample has it
    wanted = torch.where(inside[..., None], 2 * (source - frames), found.detach())
    weight = torch.ones(points.shape[2], device=flow.device)
    weight[_FINE] += LIPS_LIDS
    off = functional.smooth_l1_loss(found * side / 2, wanted * side / 2, reduction="none").sum(-1)
    return (off * weight * inside).sum() / (weight * inside).sum().clamp(min=1)


def cut(*pictures: Tensor) -> list[Tensor]:
    """Return ``pictures`` (n, 3, h, w) without up to STRIDE - 1 of their first rows and columns.

    AlexNet looks at every STRIDE-th place, and the decoder paints in squares of as many pixels:
    without this they learn to meet, and teeth become dots that LPIPS does not see.
    """
    top, left = (int(n) for n in torch.randint(STRIDE, (2,)))
    return [p[..., top:, left:] for p in pictures]


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of ``values`` (..., c, h, w), weighted by ``weight`` (..., 1, h, w)."""
    return (values * weight).mean() / weight.mean()
