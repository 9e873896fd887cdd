"""The appearance reference network: what the portrait's latent holds for the denoiser to look up.

The ReferenceNet of "Animate Anyone" (Hu et al. 2023, section 3.2) and EMO: the denoiser's structure
without time; the values its attentions see are what the denoiser's attentions look up. LLIA edits
the portrait's expression before it enters here; the network does not know. It hears no sound: a
learnt token stands where Stable Diffusion has the text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.video.attention import Scene
from visavis.video.blocks import UNet, time_waves
from visavis.video.sizes import VideoConfig


class ReferenceNet(nn.Module):
    """Turns the latent of a portrait into tokens, once for each portrait."""

    def __init__(self, config: VideoConfig) -> None:
        """Make the network, with weights that mean nothing yet."""
        super().__init__()
        self.config = config
        self.net = UNet(config, False, False, config.is_reference_whole)
        self.context = nn.Parameter(0.02 * torch.randn(1, 1, config.context))

    def forward(self, portrait: Tensor) -> list[Tensor]:
        """Return tokens (b, l, c) for each attention within a frame of the denoiser, in turn.

        ``portrait`` (b, c, h, w) is a clean latent, normalised.
        """
        count, config = len(portrait), self.config
        portrait = portrait.to(self.context.dtype)
        clean = time_waves(torch.zeros(1, device=portrait.device), config.widths[0])
        told = self.net.time(clean.to(portrait.dtype)).expand(count, -1)
        scene = Scene(told, self.context.expand(count, -1, -1), told.new_zeros(1), count, 1)
        x = self.net.stem(portrait.contiguous(memory_format=torch.channels_last))
        _, tokens = self.net(x, scene, None)
        if config.is_reference_whole:
            return tokens
        *down, middle = tokens
        return [*down, middle, *self._upwards(down)]

    def _upwards(self, down: list[Tensor]) -> list[Tensor]:
        """Return for every attention on the way up the last tokens of its level on the way down."""
        config = self.config
        levels = [i for i, attends in enumerate(config.attends) if attends]
        last = {level: down[(n + 1) * config.layers - 1] for n, level in enumerate(levels)}
        return [last[i] for i in reversed(levels) for _ in range(config.layers + 1)]
