"""W: moves the feature volume of a portrait as its keypoints move.

Every keypoint proposes to shift the whole volume as it has been shifted itself; an hourglass mixes
the 21 proposals and the identity, cell by cell, and says what is hidden (Wang et al. 2021,
"One-shot free-view neural talking-head synthesis", section 3; ditto-spec 1.2). Axes: ``b`` batch,
``k`` proposals, ``c`` channels, ``d h w`` depth, rows and columns of the volume.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.faces.implicit import POINTS
from visavis.render.liveportrait.blocks import ConvNorm, identity_grid, sample_volume
from visavis.render.liveportrait.config import LivePortraitConfig

VARIANCE = 0.01
"""Of the bump around a keypoint, in squared half sides of the crop."""
HALVED = (1, 2, 2)
"""What the hourglass halves: rows and columns, never the depth."""


class Dense(NamedTuple):
    """Where each cell is read from, and what of it is seen.

    ``deformation`` (b, d, h, w, 3) x y z in -1..1; ``occlusion`` (b, 1, h, w) 0 hidden to 1 seen;
    ``mask`` (b, k, d, h, w) the share of each proposal.
    """

    deformation: Tensor
    occlusion: Tensor
    mask: Tensor


class Hourglass(nn.Module):
    """A U-Net over volumes that halves rows and columns only; its input is its last shortcut."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        """Make it for ``inputs`` channels, with ``widths`` from the finest to the coarsest."""
        super().__init__()
        pairs = list(pairwise(widths))
        ins = (inputs, *widths[1:])
        self.downs = nn.ModuleList(
            ConvNorm(given, coarse, dims=3) for given, (_, coarse) in zip(ins, pairs, strict=False)
        )
        self.ups = nn.ModuleList(
            ConvNorm(coarse * (1 if coarse == widths[-1] else 2), fine, dims=3)
            for fine, coarse in reversed(pairs)
        )
        self.channels = widths[0] + inputs
        self.out = ConvNorm(self.channels, self.channels, dims=3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, d, h, w) to (b, widths[0] + inputs, d, h, w)."""
        shortcuts = []
        for down in self.downs:
            shortcuts.append(x)
            x = functional.avg_pool3d(down(x), HALVED)
        for up in self.ups:
            x = up(functional.interpolate(x, scale_factor=HALVED, mode="nearest"))
            x = torch.cat((x, shortcuts.pop()), dim=1)
        return self.out(x)


class DenseMotion(nn.Module):
    """Mixes the proposals of the keypoints into one deformation."""

    def __init__(self, config: LivePortraitConfig) -> None:
        """Make it with the sizes in ``config``."""
        super().__init__()
        proposals, thin = POINTS + 1, config.warp_compressed
        self.compress = ConvNorm(config.volume_channels, thin, kernel=1, dims=3)
        self.hourglass = Hourglass(proposals * (thin + 1), config.warp_widths)
        channels = self.hourglass.channels
        self.mask = nn.Conv3d(channels, proposals, 7, padding=3)
        self.occlusion = nn.Conv2d(channels * config.volume_depth, 1, 7, padding=3)

    def forward(self, volume: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Dense:
        """Say how ``volume`` (b, c, d, h, w) moves when (b, 21, 3) goes from source to driving."""
        grid = identity_grid(volume.shape[2:], like=kp_source)
        moves = proposals(grid, kp_source, kp_driving)
        heat = bumps(grid, kp_driving) - bumps(grid, kp_source)
        heat = functional.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0))  # the identity has no bump
        shifted = sample_volume(self.compress(volume), moves.flatten(1, 2))
        shifted = shifted.unflatten(2, moves.shape[1:3]).transpose(1, 2)
        seen = self.hourglass(torch.cat((heat[:, :, None], shifted), dim=2).flatten(1, 2))
        mask = self.mask(seen).float().softmax(dim=1)
        # Where to read from stays float32 under autocast, which would halve a contraction.
        deformation = (mask[..., None] * moves).sum(dim=1)
        return Dense(deformation, self.occlusion(seen.flatten(1, 2)).sigmoid(), mask)


class WarpingNetwork(nn.Module):
    """The warping network W: a volume and two sets of keypoints -> the features of one picture."""

    def __init__(self, config: LivePortraitConfig) -> None:
        """Make it with the sizes in ``config``."""
        super().__init__()
        self.dense = DenseMotion(config)
        folded, features = config.volume_channels * config.volume_depth, config.feature_channels
        self.merge = ConvNorm(folded, features, slope=0.01)
        self.project = nn.Conv2d(features, features, 1)

    def forward(self, volume: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
        """Map (b, c, d, h, w) and two (b, 21, 3), source first, to (b, features, h, w)."""
        dense = self.dense(volume, kp_source, kp_driving)
        warped = sample_volume(volume, dense.deformation).flatten(1, 2)
        return self.project(self.merge(warped)) * dense.occlusion


def bumps(grid: Tensor, points: Tensor) -> Tensor:
    """Return a Gaussian bump round each of ``points`` (b, k, 3) on ``grid``: (b, k, d, h, w)."""
    apart = grid - points[:, :, None, None, None]
    return torch.exp(apart.square().sum(dim=-1) * (-0.5 / VARIANCE))


def proposals(grid: Tensor, kp_source: Tensor, kp_driving: Tensor) -> Tensor:
    """Return where each proposal reads each cell from (b, k, d, h, w, 3), the identity first."""
    shifts = functional.pad(kp_source - kp_driving, (0, 0, 1, 0))
    return grid + shifts[:, :, None, None, None]
