"""F: turns a picture into a volume of features that can be moved (ditto-spec 1.1, 1.2).

Wang et al. (2021), "One-shot free-view neural talking-head synthesis", section 3.1.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from visavis.render.liveportrait.blocks import ConvNorm, ResidualBlock3d
from visavis.render.liveportrait.config import LivePortraitConfig


class AppearanceExtractor(nn.Module):
    """The appearance extractor F: picture (b, 3, 256, 256), RGB in 0..1 -> (b, c, d, 64, 64)."""

    def __init__(self, config: LivePortraitConfig) -> None:
        """Make it with the sizes in ``config``."""
        super().__init__()
        widths, channels = config.appearance_widths, config.volume_channels
        self.stem = ConvNorm(3, widths[0])
        self.downs = nn.ModuleList(ConvNorm(*pair) for pair in pairwise(widths))
        self.to_volume = nn.Conv2d(widths[-1], channels * config.volume_depth, 1)
        self.blocks = nn.ModuleList(
            ResidualBlock3d(channels) for _ in range(config.appearance_blocks)
        )
        self.channels = channels

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, h, w) to (b, channels, depth, h / 4, w / 4)."""
        x = self.stem(image)
        for down in self.downs:
            x = functional.avg_pool2d(down(x), 2)
        x = self.to_volume(x).unflatten(1, (self.channels, -1))
        for block in self.blocks:
            x = block(x)
        return x
