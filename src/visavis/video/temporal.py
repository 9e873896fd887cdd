"""Attention over time: every place of the picture looks at itself in the other frames of the clip.

The temporal module of AnimateDiff (Guo et al. 2024, section 4.2), whose weights fit. Nothing in it
depends on how many frames there are. Past and new frames are one sequence: what a frame is worth
is told by its own noise level. Waves added to the frames (sines of the place, as published) count
from the first frame given, so that a network with waves should always be given as many past frames;
with turned queries and keys (Su et al. 2021, rotary places) only distances count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.video.attention import Attention, FeedForward, Scene, waves
from visavis.video.sizes import VideoConfig

ROTARY_BASE = 200.0
"""The slowest pair of values turns once in some 1,250 frames, the fastest in 6."""


def turned(x: Tensor, places: Tensor) -> Tensor:
    """Return ``x`` (n, h, t, d), each frame's pairs of values turned as ``places`` (t,) says."""
    half = x.shape[-1] // 2
    pairs = torch.arange(half, dtype=torch.float32, device=x.device)
    angles = places[:, None] * ROTARY_BASE ** (-pairs / half)
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)


class TemporalAttention(Attention):
    """Attention of one place of the picture over the frames of a clip."""

    def __init__(self, width: int, heads: int, is_rotary: bool) -> None:
        """Make the projections."""
        super().__init__(width, heads)
        self.is_rotary = is_rotary

    def along(self, x: Tensor, places: Tensor, mask: Tensor | None) -> Tensor:
        """Return (n, t, c) for ``x`` (n, t, c), frames at ``places`` (t,).

        ``mask`` (n, 1, 1, t) is False for padding.
        """
        if not self.is_rotary:
            x = x + waves(places, x.shape[2]).to(x.dtype)
        key, value = self.remember(x)
        query = self.split(self.query(x))
        if self.is_rotary:
            query, key = turned(query, places), turned(key, places)
        return self.find(query, (key, value), mask)


class TemporalBlock(nn.Module):
    """Attentions over time and a feed-forward part, each on normalised values, added to them."""

    def __init__(self, width: int, config: VideoConfig) -> None:
        """Make the block."""
        super().__init__()
        count = config.motion_attentions
        self.attentions = nn.ModuleList(
            TemporalAttention(width, config.motion_heads, config.is_rotary) for _ in range(count)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.feed = FeedForward(width, config.feed)
        self.norm_feed = nn.LayerNorm(width)

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None) -> Tensor:
        """Return ``x`` (n, t, c) one block on; the rest as in ``TemporalAttention.along``."""
        for attention, norm in zip(self.attentions, self.norms, strict=True):
            x = x + attention.along(norm(x), places, mask)
        return x + self.feed(self.norm_feed(x))


class TemporalModule(nn.Module):
    """A temporal block between two projections; changes nothing before it is trained."""

    def __init__(self, width: int, config: VideoConfig) -> None:
        """Make the module."""
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.enter = nn.Linear(width, width)
        self.block = TemporalBlock(width, config)
        self.leave = nn.Linear(width, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, scene: Scene) -> Tensor:
        """Return ``x`` (n, c, h, w), n = b * t, one module on."""
        frames, (height, width) = scene.frames, x.shape[-2:]
        tokens = self.enter(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))
        tokens = tokens.unflatten(0, (scene.clips, frames)).transpose(1, 2)  # (b, h * w, t, c)
        mask = None
        if scene.real is not None:
            mask = scene.real[:, None, None].repeat_interleave(height * width, dim=0)
        tokens = self.block(tokens.flatten(0, 1), scene.places, mask).unflatten(
            0, (scene.clips, -1)
        )
        change = self.leave(tokens.transpose(1, 2).flatten(0, 1))
        return x + change.unflatten(1, (height, width)).permute(0, 3, 1, 2)
