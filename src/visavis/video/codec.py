"""Pictures of one person <-> latents: a compact autoencoder whose decoder has the portrait.

A picture of h x w pixels becomes 32 channels at h / 32 x w / 32 (f32c32). What the decoder is given
of a frame is the *change* of its latents from the portrait's; hair, skin and cloth come from the
portrait itself. It moves the portrait's pixels and features by a flow that it finds at a sixteenth
and refines at a quarter of the side (first-order motion model, Siarohin et al. 2019, without key
points), and paints over what moving cannot give: the inside of mouths, lids, what was hidden. No
change is the portrait. The decoder streams: a frame is made of its own change and of that of the
frame before, which goes in as an argument.

Wherever the size changes, the numbers also go a way without weights: cells are stacked into
channels and averaged, channels repeated and unstacked (DC-AE, Chen et al. 2024, "Deep compression
autoencoder", residual autoencoding). Dense convolutions without normalisation, most of the work far
from full size, pixel shuffling at both ends: made for a CPU. ``tiny`` has 4.5 million weights; 1.2
GFLOP (2 per product) once a portrait of 256 x 256, 1.8 a frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.video.config import CodecConfig
from visavis.video.face_map import CHANNELS

LEAST_LOG, MOST_LOG = -12.0, 6.0
"""Limits of the logarithm of a latent's variance."""
FIRST_LOG = -4.0
"""Where it begins: with little noise, so that colours get through early."""
REACH = 16.0
"""How many pixels a 1 of the network's flow moves."""


class Guide(NamedTuple):
    """What the decoder has of n portraits.

    Their ``latents`` (n, c, h, w), normalised; ``fine`` (n, d, 8 h, 8 w) and ``middle``
    (n, e, 4 h, 4 w) features; the ``picture`` (n, 3, 32 h, 32 w).
    """

    latents: Tensor
    fine: Tensor
    middle: Tensor
    picture: Tensor

    def of(self, rows: Tensor) -> Guide:
        """Return the guides of the portraits numbered ``rows`` (m,)."""
        return Guide(*(part[rows] for part in self))


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


class Shrink(nn.Module):
    """Half the size: a convolution, beside the mean of groups of stacked cells."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make it; ``outputs`` divides four times ``inputs``."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.group = 4 * inputs // outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, i, h, w) to (n, o, h / 2, w / 2)."""
        stacked = functional.pixel_unshuffle(x, 2).unflatten(1, (-1, self.group))
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
        return functional.pixel_shuffle(wide, 2)


class Encoder(nn.Module):
    """One picture, and which part of a face is where in it -> mean and log variance of latents."""

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained encoder of ``config``."""
        super().__init__()
        widths = config.encoder_widths
        layers: list[nn.Module] = [nn.Conv2d(192 + 16 * CHANNELS, widths[0], 3, padding=1)]
        for i, (width, depth) in enumerate(zip(widths, config.encoder_depths, strict=True)):
            layers += [Shrink(widths[i - 1], width)] if i else []
            layers += [Block(width) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.leave = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)
        self.group = widths[-1] // config.latent_channels
        nn.init.constant_(self.leave.bias[config.latent_channels :], FIRST_LOG)  # type: ignore[index]

    def forward(self, picture: Tensor, face: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, 3, h, w) in [-1, 1] to two times (n, c, h / 32, w / 32).

        ``face`` (n, CHANNELS, h / 2, w / 2) from video/face_map.py.
        """
        parts = functional.pixel_unshuffle(picture, 8), functional.pixel_unshuffle(face, 4)
        x = self.layers(torch.cat(parts, 1))
        mean, log = self.leave(torch.relu(x)).chunk(2, 1)
        return mean + x.unflatten(1, (-1, self.group)).mean(2), log.clip(LEAST_LOG, MOST_LOG)


class Sitter(nn.Module):
    """A portrait's features for the decoder: at a quarter and at an eighth of the side."""

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained layers of ``config``."""
        super().__init__()
        *_, middle, fine = config.decoder_widths
        self.enter = nn.Conv2d(48, fine, 3, padding=1)
        self.block = Block(fine)
        self.shrink = Shrink(fine, middle)
        self.deep = Block(middle)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, 3, h, w) in [-1, 1] to (n, d, h / 4, w / 4) and (n, e, h / 8, w / 8)."""
        fine = self.block(self.enter(functional.pixel_unshuffle(picture, 4)))
        return fine, self.deep(self.shrink(fine))


def moved(x: Tensor, flow: Tensor) -> Tensor:
    """Return ``x`` (n, c, h, w) with every place taken from where ``flow`` (n, 2, i, j) says.

    A flow of 1 is half the width (or height) to the right (or down). It is enlarged to h x w first;
    beyond the edges the picture goes on as its last pixels. In float32 whatever comes in.
    """
    size = x.shape[-2:]
    flow = functional.interpolate(flow.float(), size=size, mode="bilinear", align_corners=False)
    down, along = (
        (torch.arange(n, device=x.device, dtype=torch.float32) + 0.5) * (2.0 / n) - 1.0
        for n in size
    )
    rows = torch.stack([flow[:, 0] + along, flow[:, 1] + down[:, None]], -1)
    return functional.grid_sample(
        x.float(), rows, mode="bilinear", padding_mode="border", align_corners=False
    )


class Decoder(nn.Module):
    """Changes -> frames of the portrait that goes with them."""

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained decoder of ``config``: at first it returns the portrait."""
        super().__init__()
        widths, depths = config.decoder_widths, config.decoder_depths
        channels, (*_, middle, fine), painter = config.latent_channels, widths, config.painter_width
        self.entry = nn.Conv2d(3 * channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.grow = nn.ModuleList(Grow(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.meet = nn.ModuleList([
            nn.Conv2d(2 * middle, middle, 1), nn.Conv2d(2 * fine, fine, 3, padding=1)
        ])  # fmt: skip
        self.flows = nn.ModuleList(nn.Conv2d(n, 2, 3, padding=1) for n in (middle, fine))
        self.enter = nn.Conv2d(48 + fine, painter, 3, padding=1)
        self.paint = Block(painter)
        self.leave = nn.Conv2d(painter, 48, 3, padding=1)
        for layer in (*self.flows, self.leave):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, change: Tensor, before: Tensor, guide: Guide) -> tuple[Tensor, Tensor]:
        """Return frames (n, 3, 32 h, 32 w) and how pixels moved (n, 2, 8 h, 8 w).

        ``change`` (n, c, h, w) and ``before``, the one of the frame before each, and the latents of
        ``guide`` are as the encoder gives them, not normalised.
        """
        x = self.entry(torch.cat([change, before, guide.latents], 1))
        x = self.levels[1](self.grow[0](self.levels[0](x)))
        x = torch.cat([self.grow[1](x), guide.middle], 1)
        x = self.levels[2](self.meet[0](x))
        size = guide.picture.shape[-2:]
        unit = torch.tensor([2 * REACH / size[1], 2 * REACH / size[0]], device=x.device)
        coarse = self.flows[0](torch.relu(x)).float() * unit[:, None, None]
        x = self.grow[2](x)
        x = torch.cat([x, moved(guide.fine, coarse).to(x.dtype)], 1)
        x = self.levels[3](self.meet[1](x))
        larger = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")
        flow = larger + self.flows[1](torch.relu(x)).float() * unit[:, None, None]
        picture = moved(guide.picture, flow)
        seen = functional.pixel_unshuffle(picture, 4).to(x.dtype)
        paint = self.leave(torch.relu(self.paint(self.enter(torch.cat([seen, x], 1)))))
        return picture + functional.pixel_shuffle(paint.float(), 4), flow


class Codec(nn.Module):
    """Encoder, decoder, and the constants by which latents get mean 0 and deviation 1.

    Pictures are (…, h, w) in [-1, 1], h and w multiples of 32. Latents are normalised; changes are
    differences of two times ``ratio``, of deviation 1 over the frames of clips.
    """

    mean: Tensor
    std: Tensor
    ratio: Tensor

    def __init__(self, config: CodecConfig) -> None:
        """Make the untrained codec of ``config``; its constants are 0 and 1."""
        super().__init__()
        self.config = config
        self.encoder, self.sitter, self.decoder = Encoder(config), Sitter(config), Decoder(config)
        self.register_buffer("mean", torch.zeros(config.latent_channels, 1, 1))
        for name in ("std", "ratio"):
            self.register_buffer(name, torch.ones(config.latent_channels, 1, 1))

    def encode(self, pictures: Tensor, faces: Tensor) -> Tensor:
        """Return the latents (n, c, h / 32, w / 32) of ``pictures`` (n, 3, h, w).

        ``faces`` (n, CHANNELS, h / 2, w / 2) from video/face_map.py.
        """
        return (self.encoder(pictures, faces)[0] - self.mean) / self.std

    def guide(self, portraits: Tensor, faces: Tensor) -> Guide:
        """Return what the decoder needs of ``portraits`` (n, 3, h, w); once per portrait.

        ``faces`` as in ``encode``.
        """
        fine, middle = self.sitter(portraits)
        return Guide(self.encode(portraits, faces), fine, middle, portraits)

    def change(self, latents: Tensor, guide: Guide) -> Tensor:
        """Return how ``latents`` (n, c, h, w) differ from their portraits'."""
        return (latents - guide.latents) * self.ratio

    def decode(
        self, changes: Tensor, guide: Guide, before: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return frames (b, 3, t, 32 h, 32 w) of ``changes`` (b, c, t, h, w), and the last change.

        ``guide`` of b portraits or of one for all; ``before`` (b, c, h, w) is the change of the
        frame before the first, as returned; None: the clip begins.
        """
        count, _, frames, *_ = changes.shape
        rows = changes.transpose(1, 2)
        first = rows[:, 0] if before is None else before
        past = torch.cat([first[:, None], rows[:, :-1]], 1).flatten(0, 1)
        known = torch.arange(count, device=rows.device) % len(guide.latents)
        made = self.draw(rows.flatten(0, 1), past, guide.of(known.repeat_interleave(frames)))
        return made.unflatten(0, (count, frames)).transpose(1, 2), rows[:, -1]

    def draw(self, change: Tensor, before: Tensor, guide: Guide) -> Tensor:
        """Return frames (n, 3, 32 h, 32 w) of ``change`` after ``before`` (n, c, h, w) each."""
        return self.draw_flow(change, before, guide)[0]

    def draw_flow(self, change: Tensor, before: Tensor, guide: Guide) -> tuple[Tensor, Tensor]:
        """Return what ``draw`` does, and how pixels moved (n, 2, 8 h, 8 w), as in ``moved``."""
        raw = guide._replace(latents=guide.latents * self.std + self.mean)
        scale = self.std / self.ratio
        made: tuple[Tensor, Tensor] = self.decoder(change * scale, before * scale, raw)
        return made
