"""The denoiser of the motion space, and the way from torch to ONNX.

A transformer over a window of frames. Every entry of the motion (frame x value) comes with its own
noise level (Chen et al. 2024, diffusion forcing), so that one network generates, continues (past
frames are entries of low level) and fills in (imposed values are entries of level zero).
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.motion import conditions
from visavis.motion.layout import SIZE
from visavis.motion.visemes import SHAPES, spreading

SPEECH = conditions.SPEECH
OTHER = conditions.ROWS_PER_FRAME * conditions.OTHER_SIZE
INPUTS = ("motion", "level", "speech", "other", "controls")
WIDTHS = (SIZE, SIZE, SPEECH, OTHER, conditions.SIZE)


BYTES_FROM = 10_000
"""Weights of the smallest matrix that the file stores in bytes."""


@dataclass(frozen=True)
class Shape:
    """How large the network is: ``width`` a multiple of ``heads``, ``layers``."""

    width: int = 256
    layers: int = 5
    heads: int = 8


PRESETS = {"cpu": Shape(), "gpu": Shape(width=320, layers=8, heads=8), "tiny": Shape(32, 2, 2)}


class Block(nn.Module):
    """Attention with rotary positions (Su et al. 2021), then two linear layers; pre-norm."""

    def __init__(self, shape: Shape) -> None:
        """Make one layer of ``shape``."""
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.before = nn.LayerNorm(width)
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Return ``x`` (b, n, width) one layer on; ``turn`` are cosine and sine (n, d / 2)."""
        b, n, width = x.shape
        parts = self.into(self.before(x)).view(b, n, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(
            _turned(query, turn), _turned(key, turn), value
        )
        x = x + self.out(seen.transpose(1, 2).reshape(b, n, width))
        return x + self.narrow(nn.functional.gelu(self.wide(self.between(x))))


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = turn
    a, b = x.chunk(2, -1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1)


class Denoiser(nn.Module):
    """Clean motion from noisy motion, speech and wishes, all in one call."""

    def __init__(self, shape: Shape) -> None:
        """Make a network of ``shape`` with random weights."""
        super().__init__()
        self.entry = nn.Linear(sum(WIDTHS), shape.width)
        self.time = nn.Sequential(
            nn.Linear(32, shape.width), nn.SiLU(), nn.Linear(shape.width, shape.width)
        )
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.exit = nn.Linear(shape.width, SIZE)
        self.mouth = nn.Linear(len(SHAPES), SIZE, bias=False)
        nn.init.zeros_(self.mouth.weight)
        half = shape.width // shape.heads // 2
        self.register_buffer("pace", 200.0 ** -(torch.arange(half) / half), persistent=False)
        self.register_buffer("pitch", 2.0 ** torch.arange(-2, 14).div(2), persistent=False)

    def forward(
        self, motion: Tensor, level: Tensor, speech: Tensor, other: Tensor, controls: Tensor
    ) -> Tensor:
        """Return clean motion (b, n, 58), normalised.

        ``motion`` (b, n, 58) normalised, each entry noisy to its ``level`` (b, n, 58) in 0..1;
        ``speech`` (b, n, 196), ``other`` (b, n, 12), ``controls`` (b, n, 25) as in
        motion/conditions.py.
        """
        x = self.entry(torch.cat([motion, level, speech, other, controls], -1))
        angle = level.amax(-1, keepdim=True) * math.pi * self.pitch
        x = x + self.time(torch.cat([angle.sin(), angle.cos()], -1))
        where = torch.arange(motion.shape[1], device=x.device).to(x.dtype)[:, None] * self.pace
        turn = (where.cos().to(x.dtype), where.sin().to(x.dtype))
        for block in self.blocks:
            x = block(x, turn)
        return self.exit(self.norm(x)) + self.mouth(speech[..., -len(SHAPES) :])

    def trust_rules(self, std: Tensor) -> None:
        """Start from the mouth that the articulatory rules make; ``std`` (58,) normalises it.

        The blocks are then left to learn what people do otherwise.
        """
        shapes = torch.from_numpy(spreading().T / conditions.MOUTH_GAIN)
        with torch.no_grad():
            self.mouth.weight.zero_()
            self.mouth.weight[:52] = shapes.to(std) / std[:52, None]


def export(net: nn.Module, mean: Any, std: Any, path: Path) -> None:
    """Write ``net`` as ONNX with dynamic batch and length; the metadata hold ``mean``, ``std``.

    Weights are stored in bytes, a scale per row, and computed with in single precision: that moves
    a coefficient by 0.0006 on average (root mean square), 1 % of its own movement.
    """
    import onnx

    from visavis.train.loop import halve

    copied = copy.deepcopy(net).eval().float().cpu()
    example = tuple(torch.zeros(2, 7, width) for width in WIDTHS)
    axes = {name: {0: "batch", 1: "frames"} for name in (*INPUTS, "clean")}
    torch.onnx.export(
        copied, example, str(path), input_names=list(INPUTS), output_names=["clean"],
        opset_version=17, dynamo=False, dynamic_axes=axes,
    )  # fmt: skip
    model = onnx.load(str(path))
    halve(model, BYTES_FROM)
    facts = {"mean": mean, "std": std}
    onnx.helper.set_model_props(
        model, {k: json.dumps(np.round(np.asarray(v, float), 6).tolist()) for k, v in facts.items()}
    )
    onnx.save(model, str(path))
