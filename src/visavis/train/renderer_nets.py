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
    """What a patch shows and the warp knows -> the patch as it should be.

    ``inputs`` (b, c, h, w) in [-1, 1], channels as in ``render.refiner.CHANNELS``, h and w
    multiples of 8. ``fine`` adds a level of that many channels, for patches of twice
    the scale.
    """

    def __init__(
        self, kind: str, widths: tuple[int, int, int], size: tuple[int, int], fine: int = 0
    ) -> None:
        """Make the network for patches of ``kind`` and ``size`` (w, h) pixels."""
        super().__init__()
        a, b, c = widths
        self.fine = fine
        shuffled = 4 * CHANNELS[kind]
        if fine:
            self.outer = Stem(shuffled, fine)
            self.inward = Stem(fine, a, 2)
            self.outward = nn.Conv2d(a, fine, 3, padding=1)
            self.outer_out = Block(fine)
        else:
            self.inward = Stem(shuffled, a)
        divide = 8 if fine else 4
        self.place = nn.Parameter(torch.zeros(1, b, size[1] // divide, size[0] // divide))
        self.enter = Block(a)
        self.down = Stem(a, b, 2)
        self.middle = nn.Sequential(Block(b), Block(b))
        self.deeper = Stem(b, c, 2)
        self.deep = nn.Sequential(Block(c), Block(c), Block(c))
        self.up = nn.Conv2d(c, b, 3, padding=1)
        self.middle_out = Block(b)
        self.higher = nn.Conv2d(b, a, 3, padding=1)
        self.leave = Block(a)
        self.copies = 2 if CHANNELS[kind] > 9 else 0
        self.paint = nn.Conv2d(fine or a, 4 * (4 + self.copies), 3, padding=1)
        nn.init.zeros_(self.paint.weight)  # starts as the warp itself
        nn.init.zeros_(self.paint.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.paint.bias[16:], SHUT)  # type: ignore[index]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the difference to be added (b, 3, h, w), and the mask in it (b, 1, h, w)."""
        x = nn.functional.pixel_unshuffle(inputs, 2)
        outer = self.outer(x) if self.fine else x
        near = self.enter(self.inward(outer))
        mid = self.middle(self.down(near) + self.place)
        deep = self.deep(self.deeper(mid))
        mid = self.middle_out(torch.relu(mid + _double(self.up(deep))))
        near = self.leave(torch.relu(near + _double(self.higher(mid))))
        if self.fine:
            near = self.outer_out(torch.relu(outer + _double(self.outward(near))))
        out = nn.functional.pixel_shuffle(self.paint(near), 2)
        mask = torch.sigmoid(out[:, 3:4])
        return mask * out[:, :3] + self._copied(inputs, torch.sigmoid(out[:, 4:])), mask

    def _copied(self, inputs: Tensor, gates: Tensor) -> Tensor:
        """Return the difference that the memories make where ``gates`` (b, copies, h, w) let them
        through, in and near what is open: first what moves with the jaw, over it what stays with
        the skull.
        """
        warp = shown = inputs[:, :3]
        reach = (2 if self.fine else 1) * REACH
        gates = gates * nn.functional.max_pool2d(inputs[:, 3:4], 2 * reach + 1, 1, reach)
        for k in reversed(range(self.copies)):
            first = 9 + 4 * k
            colour, opening = inputs[:, first : first + 3], inputs[:, first + 3 : first + 4]
            shown = shown + gates[:, k : k + 1] * (colour - opening * shown)
        return shown - warp


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


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
