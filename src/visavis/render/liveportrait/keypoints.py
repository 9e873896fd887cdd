"""M: reads the implicit keypoints, their expression and the head's pose off a picture.

ConvNeXt V2 (Woo et al. 2023) with a head for each reading (Guo et al. 2024, LivePortrait, section
3.2; ditto-spec 1.2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.faces.implicit import BINS, POINTS
from visavis.render.liveportrait.config import LivePortraitConfig

EPSILON = 1e-6
READINGS = {
    "kp": 3 * POINTS,
    "exp": 3 * POINTS,
    "pitch": BINS,
    "yaw": BINS,
    "roll": BINS,
    "t": 3,
    "scale": 1,
}
"""What is read, in the order of ``faces.implicit.Implicit``, and how many numbers it takes."""


class Readings(NamedTuple):
    """What M reads off ``b`` pictures; shapes and meaning as in ``faces.implicit.Implicit``."""

    kp: Tensor
    exp: Tensor
    pitch: Tensor
    yaw: Tensor
    roll: Tensor
    t: Tensor
    scale: Tensor


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of pictures (b, c, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalisation: a channel counts by its share of the picture's energy."""

    def __init__(self, channels: int) -> None:
        """Make it for ``channels`` channels; it starts as the identity."""
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, h, w, c) to the same shape."""
        energy = x.square().sum(dim=(1, 2), keepdim=True).sqrt()
        share = energy / (energy.mean(dim=-1, keepdim=True) + EPSILON)
        return self.gamma * (x * share) + self.beta + x


class ConvNextBlock(nn.Module):
    """A wide depthwise convolution and a perceptron at every pixel, around a shortcut."""

    def __init__(self, channels: int) -> None:
        """Make a block of ``channels`` channels."""
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.widen = nn.Linear(channels, 4 * channels)
        self.response = ResponseNorm(4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.narrow(self.response(functional.gelu(self.widen(y))))
        return x + y.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Fewer, wider pixels, then blocks that keep their size."""

    def __init__(self, inputs: int, outputs: int, depth: int, is_first: bool) -> None:
        """Make a stage of ``depth`` blocks; the first one cuts the picture into 4 x 4 patches."""
        super().__init__()
        side = 4 if is_first else 2
        self.norm = ChannelNorm(outputs if is_first else inputs, eps=EPSILON)
        self.patch = nn.Conv2d(inputs, outputs, side, stride=side)
        self.blocks = nn.ModuleList(ConvNextBlock(outputs) for _ in range(depth))
        self.is_first = is_first

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h / side, w / side)."""
        x = self.norm(self.patch(x)) if self.is_first else self.patch(self.norm(x))
        for block in self.blocks:
            x = block(x)
        return x


class MotionExtractor(nn.Module):
    """The motion extractor M: pictures (b, 3, 256, 256), RGB in 0..1 -> ``Readings``."""

    def __init__(self, config: LivePortraitConfig) -> None:
        """Make it with the sizes in ``config``."""
        super().__init__()
        widths = config.motion_widths
        ins = (3, *widths[:-1])
        self.stages = nn.ModuleList(
            Stage(before, after, depth, is_first=number == 0)
            for number, (before, after, depth) in enumerate(
                zip(ins, widths, config.motion_depths, strict=True)
            )
        )
        self.norm = nn.LayerNorm(widths[-1], eps=EPSILON)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(widths[-1], count) for name, count in READINGS.items()}
        )

    def forward(self, image: Tensor) -> Readings:
        """Read (b, 3, h, w), ``h`` and ``w`` multiples of 32."""
        x = image
        for stage in self.stages:
            x = stage(x)
        pooled = self.norm(x.mean(dim=(2, 3)))
        read = {name: head(pooled) for name, head in self.heads.items()}
        read |= {name: read[name].unflatten(-1, (POINTS, 3)) for name in ("kp", "exp")}
        return Readings(**read)
