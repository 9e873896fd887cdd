"""Ditto's motion denoiser (LMDM) in PyTorch: a window of noisy motion to its guess of clean motion.

Li et al. (2024), "Ditto", section 3; the decoder with feature-wise modulation is that of Tseng et
al. (2023), "EDGE". What does not depend on the noisy motion (encoded conditions, and the keys and
values that every layer makes of them) is computed once per window by ``Conditions`` and used by
``Step`` in every call: exact, and cheaper than upstream. Shapes: ``b`` versions of the conditions
(1: as given; 2: as given, then without), ``n`` frames of a window, ``w`` the width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.motion.ditto.config import LmdmConfig

TIME_TOKENS = 2
"""Tokens that tell the layers how noisy the motion is, after those of the conditions."""
TIME_WIDTHS = 4
"""Width of what is made of the time, in widths of the network."""


def turning_speeds(width: int, device: torch.device | None = None) -> Tensor:
    """Return the radians (width / 2,) by which each pair of values turns from place to place."""
    pairs = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    return 10_000.0 ** (-pairs / width)


def turns(places: int, like: Tensor) -> Tensor:
    """Return cosines and sines (2, places, w / 2) of how far each pair is turned at each place.

    They are of the kind of ``like`` (b, n, w).
    """
    along = torch.arange(places, dtype=torch.float32, device=like.device)
    angles = along[:, None] * turning_speeds(like.shape[-1], like.device)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def turned(x: Tensor, table: Tensor) -> Tensor:
    """Return ``x`` (b, n, w), pairs of values turned by the place as ``table`` (2, n, w / 2) says.

    Rotary places (Su et al. 2021) over the whole width, before the projections and not per head.
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = table
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


class Attention(nn.Module):
    """Attention of several heads; places are told to queries and keys, not to values."""

    def __init__(self, config: LmdmConfig) -> None:
        """Make the four projections."""
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.out = nn.Linear(config.width, config.width)

    def remember(self, x: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (b, n, w) of ``x`` (b, n, w); ``table`` says its places."""
        return self.key(turned(x, table)), self.value(x)

    def forward(self, x: Tensor, table: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return what ``x`` (b, n, w) at the places of ``table`` finds in ``key``, ``value``."""
        query, key, value = (self._split(v) for v in (self.query(turned(x, table)), key, value))
        found = functional.scaled_dot_product_attention(query, key, value)
        return self.out(found.transpose(1, 2).flatten(-2))

    def _split(self, x: Tensor) -> Tensor:
        """Return ``x`` (b, n, w) as heads (b, h, n, w / h)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def feed_forward(config: LmdmConfig) -> nn.Sequential:
    """Return two linear layers with an exact GELU between them."""
    wide = nn.Linear(config.width, config.hidden)
    return nn.Sequential(wide, nn.GELU(), nn.Linear(config.hidden, config.width))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward part, each on normalised values and added to them."""

    def __init__(self, config: LmdmConfig) -> None:
        """Make the layer."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.feed = feed_forward(config)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Return ``x`` (b, n, w), one layer on."""
        calm = self.norm1(x)
        x = x + self.attention(calm, table, *self.attention.remember(calm, table))
        return x + self.feed(self.norm2(x))


class Modulation(nn.Module):
    """Scale and shift of every channel, as the time and the sound as a whole say (FiLM)."""

    def __init__(self, config: LmdmConfig) -> None:
        """Make the projection."""
        super().__init__()
        self.project = nn.Linear(config.width, 2 * config.width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Return ``x`` (b, n, w) modulated by ``told`` (b, w)."""
        scale, shift = self.project(functional.mish(told))[:, None].chunk(2, dim=-1)
        return x * (1.0 + scale) + shift


class DecoderLayer(nn.Module):
    """Self-attention, attention to the conditions, a feed-forward part; each modulated."""

    def __init__(self, config: LmdmConfig) -> None:
        """Make the layer."""
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.norm3 = nn.LayerNorm(config.width)
        self.within, self.across = Attention(config), Attention(config)
        self.feed = feed_forward(config)
        self.film1, self.film2 = Modulation(config), Modulation(config)
        self.film3 = Modulation(config)

    def forward(self, x: Tensor, table: Tensor, told: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return ``x`` (b, n, w), one layer on; ``key``, ``value`` (b, m, w) of the conditions."""
        calm = self.norm1(x)
        x = x + self.film1(self.within(calm, table, *self.within.remember(calm, table)), told)
        x = x + self.film2(self.across(self.norm2(x), table, key, value), told)
        return x + self.film3(self.feed(self.norm3(x)), told)


class Lmdm(nn.Module):
    """The whole network; ``conditions`` and ``step`` are its two halves."""

    def __init__(self, config: LmdmConfig) -> None:
        """Make the network, with weights that mean nothing yet."""
        super().__init__()
        self.config, width = config, config.width
        self.motion_in = nn.Linear(2 * config.motion, width)
        self.condition_in = nn.Linear(config.condition, width)
        self.encoders = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoders))
        self.summary = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.nothing = nn.Parameter(torch.zeros(1, config.frames, width))
        self.nothing_summary = nn.Parameter(torch.zeros(1, width))
        self.time_in = nn.Linear(width, TIME_WIDTHS * width)
        self.time_out = nn.Linear(TIME_WIDTHS * width, width)
        self.time_tokens = nn.Linear(TIME_WIDTHS * width, TIME_TOKENS * width)
        self.memory_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.out = nn.Linear(width, config.motion)

    def conditions(self, told: Tensor, is_told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the keys (layers, b, n, w), the values alike and the summary (b, w).

        ``told`` (b, n, c) conditions; rows where ``is_told`` (b,) is 0 get what the network has
        learnt for no conditions at all.
        """
        tokens = self.condition_in(told)
        table = turns(self.config.frames, tokens)
        for layer in self.encoders:
            tokens = layer(tokens, table)
        flag = is_told[:, None]
        summary = torch.where(flag > 0, self.summary(tokens.mean(dim=1)), self.nothing_summary)
        tokens = self.memory_norm(torch.where(flag[..., None] > 0, tokens, self.nothing))
        kept = [layer.across.remember(tokens, table) for layer in self.layers]
        return torch.stack([k for k, _ in kept]), torch.stack([v for _, v in kept]), summary

    def step(
        self, motion: Tensor, before: Tensor, time: Tensor, kept: tuple[Tensor, Tensor, Tensor]
    ) -> Tensor:
        """Return the guess (b, n, 265) of what ``motion`` (b, n, 265) is without noise.

        ``before`` (b, 265) the frame before the window, ``time`` (b,) steps of the schedule,
        ``kept`` from ``conditions``. A batch of 1 is guessed once for each row of ``kept``.
        """
        keys, values, summary = kept
        x = self.motion_in(torch.cat([motion, before[:, None].expand_as(motion)], dim=-1))
        x = x.expand(summary.shape[0], -1, -1)
        timed = functional.mish(self.time_in(self._waves(time)))
        told = self.time_out(timed) + summary
        tokens = self.memory_norm(self.time_tokens(timed).unflatten(-1, (TIME_TOKENS, -1)))
        tokens = tokens.expand(summary.shape[0], -1, -1)
        table = turns(self.config.frames + TIME_TOKENS, x)
        here, after = table.split([self.config.frames, TIME_TOKENS], dim=1)
        for layer, key, value in zip(self.layers, keys, values, strict=True):
            time_key, time_value = layer.across.remember(tokens, after)
            key, value = torch.cat([key, time_key], 1), torch.cat([value, time_value], 1)
            x = layer(x, here, told, key, value)
        return self.out(x)

    def forward(
        self, motion: Tensor, before: Tensor, told: Tensor, time: Tensor, is_told: Tensor
    ) -> Tensor:
        """Return the guess (b, n, 265) for a batch of windows; both halves at once."""
        return self.step(motion, before, time, self.conditions(told, is_told))

    def _waves(self, time: Tensor) -> Tensor:
        """Return sines and cosines (b, w) of ``time`` (b,)."""
        half = self.config.width // 2
        steps = torch.arange(half, dtype=torch.float32, device=time.device)
        angles = time.float()[:, None] * torch.exp(steps * -(math.log(1e4) / (half - 1)))
        return torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.time_in.weight.dtype)
