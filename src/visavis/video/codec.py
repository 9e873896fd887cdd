"""Pictures of faces <-> latents: a compact autoencoder whose decoder streams.

A frame of h x w pixels becomes 16 channels at h / 16 x w / 16 (f16c16). The encoder looks at one
picture. The decoder also looks back: at the two coarsest levels each block sees the frame before,
so that four frames stand behind a picture; what is left of them goes in and comes out as an
argument, and decoding frame by frame is decoding the whole clip.

Wherever the size changes, the numbers also go a way without weights: cells are stacked into
channels and averaged, channels repeated and unstacked (DC-AE, Chen et al. 2024, "Deep compression
autoencoder", residual autoencoding). Dense convolutions without normalisation, most of the work far
from full size, pixel shuffling at both ends: made for a CPU. ``tiny``: encoder 2.3, decoder 1.5
million weights; 3.0 and 1.9 GFLOP (2 per product) a frame of 256 x 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.nn.checkpoints import check_keys, read_converted, write_converted
from visavis.nn.export import export
from visavis.types import FloatArray, ImageArray
from visavis.video.config import FACTOR, CodecConfig

LEAST_LOG, MOST_LOG = -12.0, 6.0
"""Limits of the logarithm of a latent's variance."""
FIRST_LOG = -4.0
"""Where it begins: with little noise, so that colours get through early."""
State = tuple[Tensor, ...]
"""Features (b, c, h, w) of the frame before, one for each block that looks back."""


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; starts as nothing but the shortcut."""

    def __init__(self, channels: int) -> None:
        """Make a block of ``channels`` channels."""
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        return x + self.second(torch.relu(self.first(torch.relu(x))))


class LookBack(nn.Module):
    """Each frame is told what was at its place in the frame before; starts by not listening."""

    def __init__(self, channels: int) -> None:
        """Make it for ``channels`` channels."""
        super().__init__()
        self.both = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.both.weight)
        nn.init.zeros_(self.both.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames (b * t, c, h, w) that follow ``before`` (b, c, h, w), zero if nothing does.

        Returns what becomes of them, and the last of the frames as they came in.
        """
        frames = x.unflatten(0, (before.shape[0], -1))
        past = torch.cat([before.unsqueeze(1), frames[:, :-1]], 1).flatten(0, 1)
        return x + self.both(torch.relu(torch.cat([x, past], 1))), frames[:, -1]


class Shrink(nn.Module):
    """Half the size: a convolution, beside the mean of groups of stacked cells."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make it; ``outputs`` divides four times ``inputs``."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.group = 4 * inputs // outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, i, h, w) to (n, o, h / 2, w / 2)."""
        stacked = nn.functional.pixel_unshuffle(x, 2).unflatten(1, (-1, self.group))
        return self.conv(torch.relu(x)) + stacked.mean(2)


class Grow(nn.Module):
    """Twice the size: a product at every place, beside repeated channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make it; ``inputs`` divides four times ``outputs``."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)
        self.times = 4 * outputs // inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, i, h, w) to (n, o, 2 h, 2 w)."""
        wide = self.conv(torch.relu(x)) + x.repeat_interleave(self.times, 1)
        return nn.functional.pixel_shuffle(wide, 2)


class Encoder(nn.Module):
    """One picture -> mean and log variance of its latents."""

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained encoder of ``config``."""
        super().__init__()
        widths = config.encoder_widths
        layers: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(48, widths[0], 3, padding=1)]
        for i, (width, depth) in enumerate(zip(widths, config.encoder_depths, strict=True)):
            layers += [Shrink(widths[i - 1], width)] if i else []
            layers += [Block(width) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.leave = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)
        self.group = widths[-1] // config.latent_channels
        nn.init.constant_(self.leave.bias[config.latent_channels :], FIRST_LOG)  # type: ignore[index]

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, 3, h, w) in [-1, 1] to two times (n, c, h / 16, w / 16)."""
        x = self.layers(picture)
        mean, log = self.leave(torch.relu(x)).chunk(2, 1)
        return mean + x.unflatten(1, (-1, self.group)).mean(2), log.clip(LEAST_LOG, MOST_LOG)


class Level(nn.Module):
    """The blocks of one size in the decoder."""

    def __init__(self, width: int, depth: int, looks_back: bool) -> None:
        """Make ``depth`` blocks of ``width`` channels."""
        super().__init__()
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.looks = nn.ModuleList(LookBack(width) for _ in range(depth if looks_back else 0))

    def forward(self, x: Tensor, before: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Map (b * t, c, h, w) to the same shape; ``before`` has an entry for each look back."""
        last: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            if self.looks:
                x, end = self.looks[len(last)](x, before[len(last)])
                last.append(end)
        return x, last


class Decoder(nn.Module):
    """Latents -> frames, each from its own latents and the frames before it."""

    LOOKING_BACK = 2
    """The coarsest levels, whose blocks see the frame before."""

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained decoder of ``config``."""
        super().__init__()
        widths = config.decoder_widths
        self.entry = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            Level(width, depth, i < self.LOOKING_BACK)
            for i, (width, depth) in enumerate(zip(widths, config.decoder_depths, strict=True))
        )
        self.times = widths[0] // config.latent_channels
        self.grow = nn.ModuleList(Grow(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.smooth = nn.ModuleList(nn.Conv2d(b, b, 3, padding=1) for b in widths[2:])
        self.leave = nn.Conv2d(widths[-1], 3 * 4, 3, padding=1)

    def start(self, count: int, size: tuple[int, int]) -> State:
        """Return the state before the first frame of ``count`` clips, latents ``size`` (h, w)."""
        weight = self.entry.weight
        levels = list(self.levels)[: self.LOOKING_BACK]
        shapes = [
            (count, level.blocks[0].first.in_channels, size[0] << i, size[1] << i)
            for i, level in enumerate(levels)
            for _ in level.looks
        ]
        return tuple(torch.zeros(s, dtype=weight.dtype, device=weight.device) for s in shapes)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map latents (b * t, c, h, w), clip by clip, to frames (b * t, 3, 16 h, 16 w).

        ``state`` (of ``start``, or of the frames before) says how many clips there are.
        """
        x = self.entry(x) + x.repeat_interleave(self.times, 1)
        after: list[Tensor] = []
        for i, level in enumerate(self.levels):
            if i:
                x = self.grow[i - 1](x)
            if i >= self.LOOKING_BACK:
                x = x + self.smooth[i - self.LOOKING_BACK](torch.relu(x))
            x, last = level(x, state[len(after) :])
            after += last
        return nn.functional.pixel_shuffle(self.leave(torch.relu(x)), 2), tuple(after)


class Codec(nn.Module):
    """Encoder, decoder, and the constants by which latents get mean 0 and deviation 1.

    Pictures are (…, h, w) in [-1, 1], h and w multiples of 16; latents of clips (b, c, t, h, w).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained codec of ``config``; its constants are 0 and 1."""
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.register_buffer("mean", torch.zeros(config.latent_channels, 1, 1))
        self.register_buffer("std", torch.ones(config.latent_channels, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the latents (n, c, h / 16, w / 16) of ``pictures`` (n, 3, h, w)."""
        return (self.encoder(pictures)[0] - self.mean) / self.std

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the frames (b, 3, t, 16 h, 16 w) of ``latents`` (b, c, t, h, w), and the state.

        ``state`` is what decoding the latents before these returned; None: there were none.
        """
        count, _, frames, height, width = latents.shape
        begun = self.decoder.start(count, (height, width)) if state is None else state
        rows = latents.transpose(1, 2).flatten(0, 1) * self.std + self.mean
        made, after = self.decoder(rows, begun)
        return made.unflatten(0, (count, frames)).transpose(1, 2), after


class _Reads(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, picture: Tensor) -> Tensor:
        return self.codec.encode(picture)


class _Draws(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        rows = latents * self.codec.std + self.codec.mean
        picture, after = self.codec.decoder(rows, state)
        return (picture, *after)


@dataclass(frozen=True)
class Exported:
    """The files of ``export_codec``."""

    encoder: Path
    decoder: Path


def export_codec(codec: Codec, folder: Path) -> Exported:
    """Write ``codec`` to ``folder`` as ONNX, for pictures of its own side.

    encoder.onnx: ``picture`` (n, 3, h, w) -> ``latents`` (n, c, h / 16, w / 16).
    decoder.onnx, a frame a call: ``latents`` and ``before_0`` … (zero at first) -> ``picture`` and
    ``after_0`` …, to be given as ``before_0`` … of the next call.
    """
    side, cells = codec.config.side, codec.config.side // FACTOR
    files = Exported(folder / "encoder.onnx", folder / "decoder.onnx")
    export(
        _Reads(codec), files.encoder, {"picture": torch.zeros(1, 3, side, side)}, ["latents"],
        any_rows=True,
    )  # fmt: skip
    state = codec.decoder.start(1, (cells, cells))
    latents = torch.zeros(1, codec.config.latent_channels, cells, cells)
    inputs = {"latents": latents} | {f"before_{i}": x for i, x in enumerate(state)}
    outputs = ["picture", *(f"after_{i}" for i in range(len(state)))]
    export(_Draws(codec), files.decoder, inputs, outputs, any_rows=True)
    return files


def write_codec(codec: Codec, path: Path) -> None:
    """Write ``codec`` to the safetensors file ``path``, its sizes in the metadata."""
    state = {k: v.detach().float().cpu() for k, v in codec.state_dict().items()}
    write_converted(path, state, {"config": codec.config.to_json()})


def read_codec(path: Path, device: str = "cpu") -> Codec:
    """Return the codec that ``write_codec`` wrote to ``path``, ready for use on ``device``.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged or not a codec's.
    """
    state, texts = read_converted(path)
    codec = Codec(CodecConfig.from_json(texts.get("config", "{}")))
    check_keys("the codec", {k: tuple(v.shape) for k, v in codec.state_dict().items()}, state)
    codec.load_state_dict(state)
    ready: Codec = codec.eval().requires_grad_(False).to(device)
    return ready


@torch.inference_mode()
def encode_pictures(codec: Codec, pictures: ImageArray, batch: int = 32) -> FloatArray:
    """Return the latents (t, c, h / 16, w / 16) of RGB uint8 ``pictures`` (t, h, w, 3).

    Raises:
        InputError: height or width is not a multiple of 16.
    """
    if pictures.shape[1] % FACTOR or pictures.shape[2] % FACTOR:
        raise InputError(
            f"Pictures of {pictures.shape[2]} x {pictures.shape[1]} px cannot be coded; "
            f"both sides must be multiples of {FACTOR}."
        )
    found = []
    for first in range(0, len(pictures), batch):
        rows = torch.from_numpy(pictures[first : first + batch]).to(codec.mean.device)
        found.append(codec.encode(rows.permute(0, 3, 1, 2).float() / 127.5 - 1).cpu().numpy())
    return np.concatenate(found).astype(np.float32)
