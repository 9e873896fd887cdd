"""The U-Net (Ronneberger et al. 2015; Rombach et al. 2022) that denoiser and reference share.

A layer is a residual block, then attention within the frame, then attention over time; a level is
some layers and a change of resolution. Shapes: ``n`` frames of all clips, ``c`` channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from visavis.video.attention import Remembered, Scene, SpatialTransformer
from visavis.video.sizes import VideoConfig
from visavis.video.temporal import TemporalModule


@dataclass(frozen=True)
class Appearance:
    """What the denoiser knows of b portraits, made once for each.

    ``kept`` is what the attentions within a frame look up, in the order in which they come;
    ``still`` (b, c, h, w) is what is added to every frame, None where a network does without.
    """

    kept: tuple[Remembered, ...]
    still: Tensor | None = None


class Residual(nn.Module):
    """Two convolutions, between them what is told of the frame; added to what came in."""

    def __init__(self, given: int, width: int, config: VideoConfig) -> None:
        """Make a block from ``given`` to ``width`` channels."""
        super().__init__()
        self.norm_first = nn.GroupNorm(config.groups, given)
        self.conv_first = nn.Conv2d(given, width, 3, padding=1)
        self.told = nn.Linear(config.time, width)
        self.norm_second = nn.GroupNorm(config.groups, width)
        self.conv_second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(given, width, 1) if given != width else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Return (n, width, h, w) for ``x`` (n, given, h, w) and ``told`` (n, e)."""
        y = self.conv_first(functional.silu(self.norm_first(x)))
        y = y + self.told(functional.silu(told))[..., None, None]
        return self.shortcut(x) + self.conv_second(functional.silu(self.norm_second(y)))


class Layer(nn.Module):
    """A residual block and the attentions after it."""

    def __init__(self, sizes: tuple[int, int], config: VideoConfig, parts: tuple[bool, bool, bool]):
        """Make a layer of ``sizes`` (channels in, out).

        ``parts`` says whether it attends within the frame, whether then also to a portrait, and
        whether over time.
        """
        super().__init__()
        within, has_portrait, over_time = parts
        width = sizes[1]
        self.residual = Residual(*sizes, config)
        self.attention = SpatialTransformer(width, config, has_portrait) if within else None
        self.motion = TemporalModule(width, config) if over_time else None

    def forward(
        self, x: Tensor, scene: Scene, portrait: Remembered | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return ``x`` (n, c, h, w) one layer on and the tokens it attended to, if it does."""
        tokens = None
        x = self.residual(x, scene.told)
        if self.attention is not None:
            x, tokens = self.attention(x, scene, portrait)
        if self.motion is not None:
            x = self.motion(x, scene)
        return x, tokens


class Level(nn.Module):
    """Layers of one resolution; ``resize`` leads to the next one, if there is one."""

    def __init__(self, layers: list[Layer], resize: nn.Module | None) -> None:
        """Make a level."""
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.resize = resize


class UNet(nn.Module):
    """Down, through the middle, and up again with what was on the way down."""

    def __init__(self, config: VideoConfig, has_motion: bool, has_portrait: bool, has_ups: bool):
        """Make the network; without ``has_ups`` it ends in the middle."""
        super().__init__()
        self.is_checkpointed = False
        widths, last = config.widths, len(config.widths) - 1
        extras = (has_portrait, has_motion)
        self.stem = nn.Conv2d(config.latent, widths[0], 3, padding=1)
        self.time = nn.Sequential(
            nn.Linear(widths[0], config.time), nn.SiLU(), nn.Linear(config.time, config.time)
        )
        given, skips = widths[0], [widths[0]]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            layers = []
            for _ in range(config.layers):
                layers.append(Layer((given, width), config, (config.attends[i], *extras)))
                given = width
                skips.append(width)
            shrink = nn.Conv2d(width, width, 3, stride=2, padding=1) if i < last else None
            skips += [width] if i < last else []
            self.downs.append(Level(layers, shrink))
        self.middle = nn.ModuleList(
            [
                Layer((given, given), config, (True, *extras)),
                Layer((given, given), config, (False, False, False)),
            ]
        )
        for i in reversed(range(len(widths) if has_ups else 0)):
            layers = []
            for _ in range(config.layers + 1):
                sizes = (given + skips.pop(), widths[i])
                layers.append(Layer(sizes, config, (config.attends[i], *extras)))
                given = widths[i]
            grow = nn.Conv2d(given, given, 3, padding=1) if i > 0 else None
            self.ups.append(Level(layers, grow))

    def transformers(self) -> Iterator[SpatialTransformer]:
        """Yield the attentions within a frame, in the order in which they come."""
        groups = [*(level.layers for level in self.downs), self.middle]
        for layers in [*groups, *(level.layers for level in self.ups)]:
            yield from (layer.attention for layer in layers if layer.attention is not None)

    def forward(
        self, x: Tensor, scene: Scene, kept: tuple[Remembered, ...] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return features (n, c, h, w) for those of ``stem`` and all tokens attended to.

        ``kept`` as in ``Appearance``, if anybody is known.
        """
        portraits: Iterator[Remembered | None] = repeat(None) if kept is None else iter(kept)
        seen: list[Tensor] = []
        skips = [x]
        for level in self.downs:
            for layer in level.layers:
                x = self._through(layer, x, scene, portraits, seen)
                skips.append(x)
            if level.resize is not None:
                x = level.resize(x)
                skips.append(x)
        for layer in self.middle:
            x = self._through(layer, x, scene, portraits, seen)
        for level in self.ups:
            for layer in level.layers:
                x = torch.cat([x, skips.pop()], dim=1)
                x = self._through(layer, x, scene, portraits, seen)
            if level.resize is not None:
                x = level.resize(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x, seen

    def _through(
        self,
        layer: nn.Module,
        x: Tensor,
        scene: Scene,
        portraits: Iterator[Remembered | None],
        seen: list[Tensor],
    ) -> Tensor:
        """Return ``x`` one ``layer`` on; add the tokens it attended to, if any, to ``seen``."""
        portrait = next(portraits) if layer.attention is not None else None
        if self.is_checkpointed and torch.is_grad_enabled():
            x, tokens = checkpoint(layer, x, scene, portrait, use_reentrant=False)
        else:
            x, tokens = layer(x, scene, portrait)
        if tokens is not None:
            seen.append(tokens)
        return x


def time_waves(time: Tensor, width: int) -> Tensor:
    """Return cosines and sines (n, width) of ``time`` (n,), 0 clean to 1 noise.

    As in Stable Diffusion, which counts 1,000 steps.
    """
    half = width // 2
    pairs = torch.arange(half, dtype=torch.float32, device=time.device)
    angles = 1000.0 * time.float()[:, None] * 10_000.0 ** (-pairs / half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
