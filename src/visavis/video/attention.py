"""Attention within a frame: to itself and the portrait, then to the sound; then a feed-forward.

The portrait enters as further keys and values of the frame's attention to itself (EMO, section
3.2; Hu et al. 2023, "Animate Anyone", section 3.2), which depend on nothing but the portrait and so
are computed once. The sound stands where Stable Diffusion has the text. Shapes: ``n`` frames of all
clips of a batch, ``l`` places in one, ``c`` channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.video.sizes import VideoConfig

Remembered = tuple[Tensor, Tensor]
"""Keys and values (b, heads, l, c / heads) of one attention."""
GRID_BASE = 100.0
"""The slowest waves of a frame's places turn once in some 600 places."""
MOST_ROWS = 32_768
"""Rows attended in one call: CUDA's kernels refuse batches of more than 65,535."""


@dataclass(frozen=True)
class Scene:
    """What every layer is told of a batch of b ``clips`` of ``frames`` frames, n = b * frames.

    ``told`` (n, e) noise, phase and emotion; ``context`` (n, k, c) tokens of sound; ``places``
    (frames,) of the frames in their clips; ``has_portrait`` (b,) is 1 where the portrait is known
    (None: wherever one is given); ``real`` (b, frames) is False in frames that only fill a batch
    up (None: all are real).
    """

    told: Tensor
    context: Tensor
    places: Tensor
    clips: int
    frames: int
    has_portrait: Tensor | None = None
    real: Tensor | None = None


def waves(places: Tensor, width: int, base: float = 10_000.0) -> Tensor:
    """Return sines and cosines in turn (t, width) of ``places`` (t,), the slowest by ``base``."""
    pairs = torch.arange(0, width, 2, dtype=torch.float32, device=places.device)
    angles = places[:, None] * torch.exp(pairs * (-math.log(base) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def grid(height: int, width: int, like: Tensor) -> Tensor:
    """Return waves (height * width, c) of the places in a frame, of the kind of ``like`` (…, c)."""
    half = like.shape[-1] // 2
    down, along = (
        waves(torch.arange(side, device=like.device), half, GRID_BASE) for side in (height, width)
    )
    both = [down[:, None].expand(-1, width, -1), along[None].expand(height, -1, -1)]
    return torch.cat(both, dim=-1).flatten(0, 1).to(like.dtype)


class Attention(nn.Module):
    """Attention of several heads."""

    def __init__(self, width: int, heads: int, context: int | None = None) -> None:
        """Make the projections; keys and values are made of ``context`` values each, or width."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context or width, width, bias=False)
        self.value = nn.Linear(context or width, width, bias=False)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """Return ``x`` (n, l, c) as heads (n, h, l, c / h)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def remember(self, tokens: Tensor) -> Remembered:
        """Return keys and values of ``tokens`` (n, l, context)."""
        return self.split(self.key(tokens)), self.split(self.value(tokens))

    def forward(self, x: Tensor, kept: Remembered) -> Tensor:
        """Return what ``x`` (n, l, c) finds in ``kept``."""
        return self.find(self.split(self.query(x)), kept)

    def find(self, query: Tensor, kept: Remembered, mask: Tensor | None = None) -> Tensor:
        """Return (n, l, c): what ``query`` (n, h, l, d) finds; ``mask`` is True where it may look.

        ``mask`` (n, 1, 1, keys).
        """
        key, value = kept
        if query.is_cuda and query.shape[0] > MOST_ROWS:
            found = in_parts(query, key, value, mask)
        elif query.requires_grad and not query.is_cuda:
            found = attended(query, key, value, mask)
        else:
            found = functional.scaled_dot_product_attention(query, key, value, mask)
        return self.out(found.transpose(1, 2).flatten(-2))


def attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Return scaled dot-product attention, written out.

    On CPUs the way back through PyTorch's own takes six times as long for heads as narrow as ours
    in half precision, and 40 % of a training step.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value


def in_parts(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, most: int = MOST_ROWS
) -> Tensor:
    """Return scaled dot-product attention, ``most`` rows of the batch at a time."""
    parts = [each.split(most) for each in (query, key, value)]
    masks = [None] * len(parts[0]) if mask is None else mask.split(most)
    each = zip(*parts, masks, strict=True)
    return torch.cat([functional.scaled_dot_product_attention(*part) for part in each])


class FeedForward(nn.Module):
    """Two linear layers; one half of the first gates the other (Shazeer 2020, GEGLU)."""

    def __init__(self, width: int, times: int) -> None:
        """Make the layers, ``times`` as wide inside."""
        super().__init__()
        self.wide = nn.Linear(width, 2 * times * width)
        self.narrow = nn.Linear(times * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, l, c) for ``x`` (n, l, c)."""
        value, gate = self.wide(x).chunk(2, dim=-1)
        return self.narrow(value * functional.gelu(gate))


class SpatialTransformer(nn.Module):
    """Lets the places of a frame look at each other, at the portrait and at the sound."""

    def __init__(self, width: int, config: VideoConfig, has_portrait: bool) -> None:
        """Make it; with ``has_portrait`` it looks at a portrait, or at what stands for none."""
        super().__init__()
        self.has_places = config.has_places
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.enter = nn.Linear(width, width)
        self.norm_within, self.norm_across = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_feed = nn.LayerNorm(width)
        self.within = Attention(width, config.heads)
        self.across = Attention(width, config.heads, config.context)
        self.feed = FeedForward(width, config.feed)
        self.leave = nn.Linear(width, width)
        self.nobody = nn.Parameter(0.02 * torch.randn(width)) if has_portrait else None

    def forward(
        self, x: Tensor, scene: Scene, portrait: Remembered | None
    ) -> tuple[Tensor, Tensor]:
        """Return ``x`` (n, c, h, w) one transformer on, and the tokens (n, h * w, c) it looked at.

        ``portrait`` holds keys and values of b portraits or of one for all; None: nobody known.
        """
        height, width = x.shape[-2:]
        tokens = self.enter(self.norm(x).permute(0, 2, 3, 1).flatten(1, 2))
        if self.has_places:
            tokens = tokens + grid(height, width, tokens)
        calm = self.norm_within(tokens)
        kept = self.within.remember(calm)
        if self.nobody is not None:
            nobody = self.within.remember(self.nobody[None, None])
            kept = _beside(kept, portrait, nobody, scene)
        tokens = tokens + self.within(calm, kept)
        tokens = tokens + self.across(self.norm_across(tokens), self.across.remember(scene.context))
        tokens = tokens + self.feed(self.norm_feed(tokens))
        change = self.leave(tokens).unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return x + change, calm


def _beside(
    own: Remembered, portrait: Remembered | None, nobody: Remembered, scene: Scene
) -> Remembered:
    """Return the frames' ``own`` keys and values followed by those of the ``portrait``.

    ``nobody`` (1, h, 1, d) stands in every place of a portrait that is not known.
    """
    places = own[0].shape[2]

    def joined(mine: Tensor, other: Tensor | None, none: Tensor) -> Tensor:
        if other is None:
            other = none.expand(-1, -1, places, -1)
        elif scene.has_portrait is not None:
            other = torch.where(scene.has_portrait[:, None, None, None] > 0, other, none)
        other = other.expand(scene.clips, -1, -1, -1)[:, None]
        other = other.expand(-1, scene.frames, -1, -1, -1).flatten(0, 1)
        return torch.cat([mine, other.to(mine.dtype)], dim=2)

    key, value = (None, None) if portrait is None else portrait
    return joined(own[0], key, nobody[0]), joined(own[1], value, nobody[1])
