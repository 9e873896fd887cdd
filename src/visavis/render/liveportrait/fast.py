"""W and G with a third of their work saved, and nothing changed in what they say.

What is saved (ditto-spec 1.3; the shortcut and the sampling are ours):

* batch norms are folded into convolutions, and what looks at the same features looks once;
* convolutions over enlarged features work on the features as they are (``nn.convolution``);
* a shortcut's offset and the 1 x 1 convolution after it, both linear, are one convolution;
* the 22 proposals are products with small matrices, not samplings (``nn.sampling3d``);
* what depends on the portrait alone is made once for it (``FastWarp.source``).

With ``by_products`` the widest convolution and the deepest ones are matrix products, a small part
of the work, which pays on CPUs.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.nn.convolution import GrownConv, WinogradConv2d, fold_norm
from visavis.nn.sampling3d import mixture, proposals, shifts
from visavis.nn.spectral import SpectralConv3d
from visavis.render.liveportrait.blocks import ConvNorm
from visavis.render.liveportrait.config import GRID
from visavis.render.liveportrait.decoder import SHUFFLE, SLOPE, Spade, SpadeBlock, SpadeDecoder
from visavis.render.liveportrait.warping import HALVED, Hourglass, WarpingNetwork


class _Folded(nn.Module):
    """A convolution with its batch norm folded in, and a (leaky) ReLU."""

    def __init__(self, block: ConvNorm) -> None:
        super().__init__()
        is_folded = isinstance(block.norm, nn.Identity)
        self.conv = block.conv if is_folded else fold_norm(block.conv, block.norm)
        self.slope = block.slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.conv(x), self.slope)


class _FoldedUp(nn.Module):
    """The same of enlarged features."""

    def __init__(self, block: ConvNorm) -> None:
        super().__init__()
        self.conv = GrownConv(fold_norm(block.conv, block.norm), HALVED)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class FastHourglass(nn.Module):
    """``Hourglass`` with norms folded and nothing enlarged."""

    def __init__(self, slow: Hourglass) -> None:
        """Take the weights of ``slow``."""
        super().__init__()
        self.downs = nn.ModuleList(_Folded(down) for down in slow.downs)
        self.ups = nn.ModuleList(_FoldedUp(up) for up in slow.ups)
        self.out = _Folded(slow.out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, d, h, w) to (b, channels, d, h, w)."""
        shortcuts = []
        for down in self.downs:
            shortcuts.append(x)
            x = _pooled(down(x))
        for up in self.ups:
            x = torch.cat((up(x), shortcuts.pop()), dim=1)
        return self.out(x)


def _pooled(x: Tensor) -> Tensor:
    """Return volumes (b, c, d, h, w) with rows and columns halved."""
    if x.dtype == torch.bfloat16 and not x.is_cuda:  # PyTorch pools pictures only
        return functional.avg_pool2d(x.flatten(1, 2), 2).unflatten(1, x.shape[1:3])
    return functional.avg_pool3d(x, HALVED)


class FastWarp(nn.Module):
    """``WarpingNetwork`` in two halves: once for a portrait, once for every frame."""

    def __init__(
        self, slow: WarpingNetwork, *, by_products: bool = False, multiple: int = 1
    ) -> None:
        """Take the weights of ``slow``.

        ``by_products`` for runtimes that are quick with matrix products and cannot sample volumes
        (ONNX Runtime, OpenVINO on a CPU): the widest convolution goes through frequencies.
        ``multiple`` for matrix units that take so many channels at a time (GPUs: 8): zeros fill
        up the volumes of 110 and 142 channels and the 22 masks.
        """
        super().__init__()
        slow = deepcopy(slow)
        self.spare = -slow.dense.hourglass.downs[0].conv.in_channels % multiple
        self.kept = slow.dense.mask.out_channels
        if multiple > 1:
            _widen(slow, self.spare, -self.kept % multiple)
        self.compress = _Folded(slow.dense.compress)
        self.hourglass = FastHourglass(slow.dense.hourglass)
        self.mask: nn.Module = slow.dense.mask
        if by_products:
            depth = slow.dense.occlusion.in_channels // slow.dense.hourglass.channels
            self.mask = SpectralConv3d(slow.dense.mask, (depth, GRID, GRID))
        self.occlusion = slow.dense.occlusion
        self.merge = _Folded(slow.merge)
        self.project = slow.project
        self.by_products = by_products

    def source(self, volume: Tensor) -> Tensor:
        """Return what W reads of a portrait's ``volume`` (b, c, d, h, w): (b, thin, d, h, w)."""
        thin: Tensor = self.compress(volume)
        return thin

    def forward(
        self, volume: Tensor, thin: Tensor, kp_source: Tensor, kp_driving: Tensor
    ) -> Tensor:
        """Map a volume, its ``source`` and two (b, 21, 3) to features (b, f, h, w)."""
        seen = self.hourglass(proposals(thin, kp_source, kp_driving, self.spare))
        moves = shifts(kp_source, kp_driving)
        shares = self.mask(seen)[:, : self.kept]
        warped = mixture(volume, shares, moves, by_rows=self.by_products)
        occlusion = self.occlusion(seen.flatten(1, 2)).sigmoid()
        return self.project(self.merge(warped)) * occlusion


def _widen(slow: WarpingNetwork, spare: int, masks: int) -> None:
    """Give the volumes in ``slow`` ``spare`` channels of zeros, and its masks ``masks`` more."""
    dense = slow.dense
    depth = dense.occlusion.in_channels // dense.hourglass.channels
    folded = fold_norm(dense.hourglass.out.conv, dense.hourglass.out.norm)
    dense.hourglass.out.norm = nn.Identity()
    dense.hourglass.out.conv = _padded(folded, spare, spare)
    first = dense.hourglass.downs[0]
    first.conv = _padded(first.conv, spare, 0)
    dense.mask = _padded(dense.mask, spare, masks)
    dense.occlusion = _padded(dense.occlusion, spare * depth, 0)


def _padded(conv: Any, inputs: int, outputs: int) -> Any:
    """Return ``conv`` with so many more inputs, which it ignores, and outputs, which are zero."""
    axes = (0, 0) * (conv.weight.dim() - 2)
    weight = functional.pad(conv.weight.detach(), (*axes, 0, inputs, 0, outputs))
    conv.weight = nn.Parameter(weight.contiguous())
    conv.bias = nn.Parameter(functional.pad(conv.bias.detach(), (0, outputs)))
    conv.in_channels, conv.out_channels = conv.in_channels + inputs, conv.out_channels + outputs
    return conv


class _Modulation(nn.Module):
    """Scale and offset of a SPADE layer from its hidden features."""

    def __init__(self, spade: Spade) -> None:
        super().__init__()
        self.gamma, self.beta = _from_one(spade.gamma), spade.beta

    def forward(self, normed: Tensor, hidden: Tensor) -> Tensor:
        y = torch.addcmul(self.beta(hidden), normed, self.gamma(hidden))
        return functional.leaky_relu(y, SLOPE)


class _Shortcut(nn.Module):
    """A modulated 1 x 1 shortcut; its offset goes straight to the outputs."""

    def __init__(self, spade: Spade, conv: nn.Conv2d) -> None:
        super().__init__()
        self.gamma = _from_one(spade.gamma)
        self.conv = conv
        self.offset = nn.Conv2d(spade.beta.in_channels, conv.out_channels, 3, padding=1)
        mix = conv.weight.detach()[:, :, 0, 0]
        kernel = torch.einsum("oc,cikl->oikl", mix, spade.beta.weight.detach())
        self.offset.weight = nn.Parameter(kernel.contiguous())
        self.offset.bias = nn.Parameter(mix @ spade.beta.bias.detach())

    def forward(self, normed: Tensor, hidden: Tensor) -> Tensor:
        out: Tensor = self.conv(normed * self.gamma(hidden)) + self.offset(hidden)
        return out


class _Block(nn.Module):
    """``SpadeBlock`` on hidden features that are made already; ``grow`` doubles its input first."""

    def __init__(self, slow: SpadeBlock, *, grow: bool, by_products: bool = False) -> None:
        super().__init__()
        self.first = _Modulation(slow.norm_first)
        self.conv_first = _tiled(slow.conv_first) if by_products else slow.conv_first
        self.second = _Modulation(slow.norm_second)
        self.conv_second = _tiled(slow.conv_second) if by_products else slow.conv_second
        self.shortcut: _Shortcut | None = None
        if slow.norm_shortcut is not None and slow.conv_shortcut is not None:
            self.shortcut = _Shortcut(slow.norm_shortcut, slow.conv_shortcut)
        self.grow = grow

    def forward(self, x: Tensor, hidden: list[Tensor]) -> Tensor:
        """Map (b, i, h, w) to (b, o, h, w); ``hidden`` for the first, the second, the shortcut."""
        normed = functional.instance_norm(x)
        if self.grow:
            normed = functional.interpolate(normed, scale_factor=2.0, mode="nearest")
        y = self.conv_first(self.first(normed, hidden[0]))
        y = self.conv_second(self.second(functional.instance_norm(y), hidden[1]))
        if self.shortcut is not None:
            return y + self.shortcut(normed, hidden[2])
        return y + (functional.interpolate(x, scale_factor=2.0) if self.grow else x)


class _Hidden(nn.Module):
    """The hidden features of several SPADE layers, which look at the same features, in one go."""

    def __init__(self, spades: list[Spade]) -> None:
        super().__init__()
        self.conv = _stacked([spade.shared for spade in spades])
        self.parts = len(spades)

    def forward(self, features: Tensor) -> list[Tensor]:
        return list(torch.relu(self.conv(features)).chunk(self.parts, dim=1))


class _GrownHidden(nn.Module):
    """The same of features enlarged ``factor`` times, one by one: splitting them costs more."""

    def __init__(self, spades: list[Spade], factor: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(GrownConv(spade.shared, (factor, factor)) for spade in spades)

    def forward(self, features: Tensor) -> list[Tensor]:
        return [torch.relu(conv(features)) for conv in self.convs]


class FastDecoder(nn.Module):
    """``SpadeDecoder`` for less work."""

    def __init__(self, slow: SpadeDecoder, *, by_products: bool = False) -> None:
        """Take the weights of ``slow``; ``by_products`` as in ``FastWarp``."""
        super().__init__()
        slow = deepcopy(slow)
        self.stem = slow.stem
        self.hidden = nn.ModuleList([_Hidden([s for b in slow.middle for s in _layers(b)])])
        self.middle = nn.ModuleList(
            _Block(block, grow=False, by_products=by_products) for block in slow.middle
        )
        self.ups = nn.ModuleList(_Block(block, grow=True) for block in slow.ups)
        for level, block in enumerate(slow.ups, start=1):
            self.hidden.append(_GrownHidden(_layers(block), 2**level))
        self.out = slow.out

    def forward(self, features: Tensor) -> Tensor:
        """Map (b, f, h, w) to (b, 3, 8 h, 8 w)."""
        x = self.stem(features)
        hidden = self.hidden[0](features)
        for number, block in enumerate(self.middle):
            x = block(x, hidden[2 * number : 2 * number + 2])
        for block, shared in zip(self.ups, list(self.hidden)[1:], strict=True):
            x = block(x, shared(features))
        x = self.out(functional.leaky_relu(x, SLOPE))
        return functional.pixel_shuffle(x, SHUFFLE).sigmoid()


def _layers(block: SpadeBlock) -> list[Spade]:
    """Return the modulated norms of ``block``: the first, the second, the shortcut's if any."""
    every = (block.norm_first, block.norm_second, block.norm_shortcut)
    return [spade for spade in every if spade is not None]


def _tiled(conv: nn.Conv2d) -> WinogradConv2d:
    """Return ``conv``, of features as large as the volume, as matrix products."""
    return WinogradConv2d(conv, (GRID, GRID))


def _from_one(conv: nn.Conv2d) -> nn.Conv2d:
    """Return ``conv`` with 1 added to what it says."""
    conv.bias = nn.Parameter(conv.bias.detach() + 1.0)
    return conv


def _stacked(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """Return one convolution with the outputs of ``convs``, which are alike, one after another."""
    first = convs[0]
    outputs = sum(conv.out_channels for conv in convs)
    stack = nn.Conv2d(first.in_channels, outputs, first.kernel_size, padding=first.padding)
    stack.weight = nn.Parameter(torch.cat([conv.weight for conv in convs]).detach())
    stack.bias = nn.Parameter(torch.cat([conv.bias for conv in convs]).detach())
    return stack
