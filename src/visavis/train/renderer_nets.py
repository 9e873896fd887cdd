"""The refiner: a small U-Net that paints on a patch what a warp cannot know, and its judge.

It answers with paint, and for mouths with gates: how much of the memory of this mouth shows where.
So teeth are copied, not painted anew in every frame.

Dense 3 x 3 convolutions without normalisation, most of them at a quarter of the patch's size, for
they train and run fastest on a CPU; in and out go through pixel shuffling (Shi et al. 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.render.refiner import CHANNELS

SHUT = -2.0
"""Where gates begin, before the sigmoid."""
REACH = 4
"""Pixels, at two per mm, round the opening of the lips where the memory may show."""


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
        """Map (b, c, h, w) to the same shape."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Stem(nn.Module):
    """A convolution and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """Make it of ``stride``."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, outputs, h / stride, w / stride)."""
        return torch.relu(self.conv(x))


class RefinerNet(nn.Module):
    """What a patch shows and the warp knows -> what is to be painted, and which memory shows.

    ``inputs`` (b, c, h, w) in [-1, 1], channels as in ``render.refiner.CHANNELS``, h and w
    multiples of 8.
    """

    def __init__(self, kind: str, widths: tuple[int, int, int], size: tuple[int, int]) -> None:
        """Make the network for patches of ``kind`` and ``size`` (w, h) pixels."""
        super().__init__()
        a, b, c = widths
        self.copies = (CHANNELS[kind] - CHANNELS["eye"]) // 4
        self.inward = Stem(4 * CHANNELS[kind], a)
        self.place = nn.Parameter(torch.zeros(1, b, size[1] // 4, size[0] // 4))
        self.enter = Block(a)
        self.down = Stem(a, b, 2)
        self.middle = nn.Sequential(Block(b), Block(b))
        self.deeper = Stem(b, c, 2)
        self.deep = nn.Sequential(Block(c), Block(c), Block(c))
        self.up = nn.Conv2d(c, b, 3, padding=1)
        self.middle_out = Block(b)
        self.higher = nn.Conv2d(b, a, 3, padding=1)
        self.leave = Block(a)
        self.paint = nn.Conv2d(a, 4 * (4 + self.copies), 3, padding=1)
        nn.init.zeros_(self.paint.weight)  # starts as hardly more than the warp itself
        nn.init.zeros_(self.paint.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.paint.bias[16:], SHUT)  # type: ignore[index]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return paint (b, 3, h, w), gates (b, copies, h, w) and the paint's mask (b, 1, h, w).

        ``render.refiner.compose`` makes the difference of them; gates are shut far from where
        something is open.
        """
        near = self.enter(self.inward(nn.functional.pixel_unshuffle(inputs, 2)))
        mid = self.middle(self.down(near) + self.place)
        deep = self.deep(self.deeper(mid))
        mid = self.middle_out(torch.relu(mid + _double(self.up(deep))))
        near = self.leave(torch.relu(near + _double(self.higher(mid))))
        out = nn.functional.pixel_shuffle(self.paint(near), 2)
        mask = torch.sigmoid(out[:, 3:4])
        reach = nn.functional.max_pool2d(inputs[:, 3:4], 2 * REACH + 1, 1, REACH)
        return mask * out[:, :3], torch.sigmoid(out[:, 4:]) * reach, mask


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


class First(nn.Module):
    """The first ``count`` outputs of a network."""

    def __init__(self, net: nn.Module, count: int) -> None:
        """Take ``net``."""
        super().__init__()
        self.net, self.count = net, count

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return them."""
        outputs: tuple[Tensor, ...] = self.net(inputs)[: self.count]
        return outputs


class PatchJudge(nn.Module):
    """Tells painted patches from photographed ones, place by place (Isola et al. 2017)."""

    def __init__(self, width: int = 48) -> None:
        """Make a judge with random weights."""
        super().__init__()
        sizes = (16, width, 2 * width, 3 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3 if i == 0 else 4, 1 if i == 0 else 2, 1)
            for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
        )
        self.score = nn.Conv2d(sizes[-1], 1, 3, padding=1)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, 0.2)  # type: ignore[arg-type]

    def forward(self, picture: Tensor, cover: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge ``picture`` (b, 3, h, w) in [-1, 1] with ``cover`` (b, 1, h, w).

        Returns scores (b, 1, h / 8, w / 8), high for real, and what the layers saw on the way.
        """
        x = nn.functional.pixel_unshuffle(torch.cat([picture, cover], 1), 2)
        seen = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.2)
            seen.append(x)
        return self.score(x), seen
