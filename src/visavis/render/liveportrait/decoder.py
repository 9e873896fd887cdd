"""G: paints the picture that the warped features describe.

Residual blocks whose normalisation is modulated by the features themselves (Park et al. 2019,
SPADE; Guo et al. 2024, LivePortrait, section 3.2; ditto-spec 1.2).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.render.liveportrait.config import LivePortraitConfig

SLOPE = 0.2
"""Of the leaky ReLU below zero."""
SHUFFLE = 2
"""The last doubling: sub-pixels are channels (Shi et al. 2016)."""


class Spade(nn.Module):
    """Instance norm whose scale and offset are read off the features, cell by cell."""

    def __init__(self, channels: int, config: LivePortraitConfig) -> None:
        """Make it for ``channels`` channels."""
        super().__init__()
        hidden = config.decoder_hidden
        self.shared = nn.Conv2d(config.feature_channels, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Modulate ``x`` (b, c, h, w) by ``features`` (b, f, 64, 64), which grow to its size."""
        features = functional.interpolate(features, size=x.shape[2:], mode="nearest")
        hidden = torch.relu(self.shared(features))
        return functional.instance_norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)


class SpadeBlock(nn.Module):
    """Two modulated convolutions around a shortcut, which is modulated too if channels change."""

    def __init__(self, inputs: int, outputs: int, config: LivePortraitConfig) -> None:
        """Make a block from ``inputs`` to ``outputs`` channels."""
        super().__init__()
        middle = min(inputs, outputs)
        self.norm_first = Spade(inputs, config)
        self.conv_first = nn.Conv2d(inputs, middle, 3, padding=1)
        self.norm_second = Spade(middle, config)
        self.conv_second = nn.Conv2d(middle, outputs, 3, padding=1)
        self.norm_shortcut = Spade(inputs, config) if inputs != outputs else None
        self.conv_shortcut = (
            nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        )

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w), steered by ``features`` (b, f, 64, 64)."""
        y = self.conv_first(functional.leaky_relu(self.norm_first(x, features), SLOPE))
        y = self.conv_second(functional.leaky_relu(self.norm_second(y, features), SLOPE))
        if self.norm_shortcut is not None and self.conv_shortcut is not None:
            x = self.conv_shortcut(self.norm_shortcut(x, features))
        return x + y


class SpadeDecoder(nn.Module):
    """The decoder G: features (b, f, 64, 64) -> picture (b, 3, 512, 512), RGB in 0..1."""

    def __init__(self, config: LivePortraitConfig) -> None:
        """Make it with the sizes in ``config``."""
        super().__init__()
        width = config.decoder_width
        self.stem = nn.Conv2d(config.feature_channels, width, 3, padding=1)
        self.middle = nn.ModuleList(
            SpadeBlock(width, width, config) for _ in range(config.decoder_blocks)
        )
        pairs = pairwise((width, *config.decoder_ups))
        self.ups = nn.ModuleList(SpadeBlock(before, after, config) for before, after in pairs)
        self.out = nn.Conv2d(config.decoder_ups[-1], 3 * SHUFFLE**2, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (b, f, h, w) to (b, 3, 8 h, 8 w)."""
        x = self.stem(features)
        for block in self.middle:
            x = block(x, features)
        for block in self.ups:
            x = block(functional.interpolate(x, scale_factor=2.0, mode="nearest"), features)
        x = self.out(functional.leaky_relu(x, SLOPE))
        # Float32 from here on: the eight bits of a bfloat16 would show as bands.
        return functional.pixel_shuffle(x, SHUFFLE).float().sigmoid()
