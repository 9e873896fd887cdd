"""Parts of recipes/gpu_video.py: decoders of the Stable Diffusion class, products in 8 bits."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

DECODERS = ("tiny", "full")
"""TAESD's and Stable Diffusion's own."""
FORMATS = ("int8", "float8", "int8 torchao", "float8 torchao")
LEAST_WIDTH = 256
"""Narrower layers stay as they are: there is nothing to win."""
_LEAST_ROWS = 32
"""Fewer rows are filled up: the products in bytes refuse 16 and less."""
_FLOAT8 = torch.float8_e4m3fn


def decoder_of(kind: str, latent: int, *, tiny: bool) -> nn.Module:
    """Return a decoder of latents (n, c, h, w) to (n, 3, 8 h, 8 w): diffusers' if it is there.

    ``tiny`` is for tests; its layers are as many, and narrow.
    """
    if find_spec("diffusers") is None:
        if kind != "tiny":
            raise ModuleNotFoundError("diffusers is not installed; carry its wheel")
        return tiny_decoder(latent, 8 if tiny else 64)
    import diffusers

    if kind == "tiny":
        width = {"decoder_block_out_channels": (8,) * 4, "encoder_block_out_channels": (8,) * 4}
        net = diffusers.AutoencoderTiny(latent_channels=latent, **(width if tiny else {}))
        return net.decoder
    widths = (8, 8, 16, 16) if tiny else (128, 256, 512, 512)
    net = diffusers.AutoencoderKL(
        latent_channels=latent, block_out_channels=widths, layers_per_block=2,
        norm_num_groups=4 if tiny else 32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    return nn.Sequential(net.post_quant_conv, net.decoder)


class Block(nn.Module):
    """Three convolutions around a shortcut, as in TAESD."""

    def __init__(self, width: int) -> None:
        """Make the block."""
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        return torch.relu(self.layers(x) + x)


def tiny_decoder(latent: int, width: int = 64) -> nn.Module:
    """Return layers of the number and the sizes of TAESD's decoder."""
    layers: list[nn.Module] = [nn.Conv2d(latent, width, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [Block(width) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
    return nn.Sequential(*layers, Block(width), nn.Conv2d(width, 3, 3, padding=1))


class EightBits(nn.Module):
    """A linear layer with weights of 8 bits, a scale a row, and activations made so at every call.

    ``is_whole``: whole numbers from -127 to 127, else float8 (e4m3).
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, is_whole: bool) -> None:
        """Take the weights of ``layer``; what comes out is in ``dtype``."""
        super().__init__()
        self.dtype, self.is_whole = dtype, is_whole
        weight, scale = self._rounded(layer.weight.detach().float())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale[:, 0])
        self.bias = layer.bias

    def _rounded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x`` (m, k) in 8 bits, and the scales (m, 1) of its rows."""
        most = 127.0 if self.is_whole else torch.finfo(_FLOAT8).max
        scale = x.abs().amax(1, keepdim=True).float().clamp(min=1e-8) / most
        if self.is_whole:
            return (x / scale).round().to(torch.int8), scale
        return (x / scale).to(_FLOAT8), scale

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, k) to (…, n)."""
        rows = x.flatten(0, -2)
        count = len(rows)
        if count < _LEAST_ROWS:
            rows = functional.pad(rows, (0, 0, 0, _LEAST_ROWS - count))
        small, scale = self._rounded(rows)
        if self.is_whole:
            made = torch._int_mm(small, self.weight.t()) * scale * self.scale
        else:
            made = torch._scaled_mm(
                small, self.weight.t(), scale, self.scale[None], out_dtype=torch.bfloat16
            )
        made = made[:count].to(self.dtype)
        made = made if self.bias is None else made + self.bias
        return made.unflatten(0, x.shape[:-1])


def in_bytes(net: nn.Module, numbers: str, dtype: torch.dtype, least: int = LEAST_WIDTH) -> None:
    """Make linear layers of ``net`` that are ``least`` wide products in 8 bits.

    ``numbers`` of FORMATS says which; what comes out is in ``dtype``.
    """
    if numbers.endswith("torchao"):
        _by_torchao(net, numbers, least)
        return
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if is_wide(layer, name, least):
                setattr(parent, name, EightBits(layer, dtype, is_whole=numbers == "int8"))


def is_wide(layer: Any, name: str, least: int) -> bool:
    """Return whether ``layer`` is a linear layer worth it."""
    if not isinstance(layer, nn.Linear) or "told" in name or "time" in name:
        return False
    sides = layer.in_features, layer.out_features
    return min(sides) >= least and not any(side % 16 for side in sides)


def _by_torchao(net: nn.Module, numbers: str, least: int) -> None:
    from torchao import quantization

    if numbers.startswith("int8"):
        config = quantization.Int8DynamicActivationInt8WeightConfig()
    else:
        config = quantization.Float8DynamicActivationFloat8WeightConfig(
            granularity=quantization.PerRow()
        )
    quantization.quantize_(net, config, filter_fn=lambda layer, name: is_wide(layer, name, least))


def compile_parts(net: nn.Module) -> None:
    """Compile every block of ``net`` by itself: far sooner done than the whole."""
    for name in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, name):  # noqa: SLF001 - its public place
            setattr(torch._dynamo.config, name, 256)  # noqa: SLF001
    wanted = {"Residual", "SpatialTransformer", "TemporalModule"}
    for module in net.modules():
        if type(module).__name__ in wanted:
            module.compile(dynamic=False)
