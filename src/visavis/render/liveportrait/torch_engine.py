"""LivePortrait's networks in PyTorch, as fast as they go: several frames under way at once.

The plain engine (eager.py) with the networks of fast.py for what runs for every frame. W of a
frame runs while G still paints the one before, each in a stream or on a GPU of its own (as the
pipeline of LLIA, 2025, does with its networks); frames of one portrait, and of several sessions,
may share a batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.nn.compile import HOWS, Stage, prepared, to_host
from visavis.nn.gather import Gathered
from visavis.render.liveportrait.eager import PRECISIONS, TorchEngine
from visavis.render.liveportrait.fast import FastDecoder, FastWarp
from visavis.types import FloatArray

W, G = "warping", "decoder"
UNITS = 8
"""Channels that a GPU's matrix units take at a time."""
AHEAD = 2
"""Batches under way while the oldest is waited for."""


class Source(NamedTuple):
    """What a picture gives to draw with, on the device: its volume, and what W reads of it."""

    volume: Tensor
    thin: Tensor


class Job(NamedTuple):
    """One picture to draw: of whom, his points (21, 3) and where they are to be (21, 3)."""

    source: Source
    start: FloatArray
    driving: FloatArray


class FastTorchEngine(TorchEngine):
    """The engine (engine.py) in PyTorch with all tricks."""

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        device: str = "cpu",
        precision: str = "float32",
        how: str = "eager",
        *,
        batch: int = 1,
        painter: str | None = None,
    ) -> None:
        """Run ``networks`` (``eager.open_networks``) on ``device``, G on ``painter`` if given.

        ``precision`` of what runs for every frame (``eager.PRECISIONS``); ``how`` it is called
        (``nn.compile.HOWS``); at most ``batch`` frames at once.

        Raises:
            InputError: there is no such device, precision or way.
        """
        others = {name: net for name, net in networks.items() if name not in (W, G)}
        super().__init__(others, device, precision)
        if how not in HOWS:
            raise InputError(f"There is no way {how!r} to run. Give one of: {', '.join(HOWS)}.")
        dtype = PRECISIONS[precision]
        other = torch.device(painter or self._device)
        self._is_on_gpu = self._device.type == "cuda"
        multiple = UNITS if self._is_on_gpu else 1
        self._warp = FastWarp(networks[W], multiple=multiple).to(self._device, dtype)
        decoder = FastDecoder(networks[G]).to(other, dtype)
        if self._is_on_gpu:
            torch.backends.cudnn.benchmark = True  # shapes never change
            turn_channels_last(self._warp)
            turn_channels_last(decoder)
        self._batch = batch
        self._dtype_drawn = dtype
        self._move = Stage(prepared(self._warp, self._device, how), self._device)
        paint = prepared(_Painter(decoder), other, how)
        self._paint = Stage(lambda features: to_host(paint(features)), other)
        self._gathered: Gathered[Job, FloatArray] = Gathered(
            lambda jobs: list(self.draw_together(jobs)), most=4 * batch
        )

    def volume(self, image: FloatArray) -> Source:  # type: ignore[override]
        """Return what ``draw`` needs of the picture (256, 256, 3), RGB in 0..1."""
        with torch.inference_mode():
            volume = super().volume(image).to(self._dtype_drawn)
            return Source(volume, self._warp.source(volume))

    def draw(  # type: ignore[override]
        self, volume: Source, source: FloatArray, driving: FloatArray
    ) -> Iterator[FloatArray]:
        """Yield a picture (512, 512, 3), RGB in 0..255, for each of ``driving`` (n, 21, 3).

        Threads may call it at the same time; what they want is drawn together.
        """
        return iter(self._gathered([Job(volume, source, points) for points in driving]))

    def draw_together(self, jobs: Sequence[Job]) -> Iterator[FloatArray]:
        """Yield the picture of each of ``jobs``, in order; they may be of several portraits."""
        under_way: deque[tuple[Tensor, Any]] = deque()
        first = 0
        while first < len(jobs):
            count = together(len(jobs) - first, self._batch)
            under_way.append(self._launched(jobs[first : first + count]))
            first += count
            if len(under_way) > (AHEAD if self._is_on_gpu else 0):
                yield from _finished(*under_way.popleft())
        while under_way:
            yield from _finished(*under_way.popleft())

    def _launched(self, jobs: Sequence[Job]) -> tuple[Tensor, Any]:
        """Start to draw ``jobs``; return where the pictures will be, and when."""
        points = torch.from_numpy(
            np.stack([[job.start, job.driving] for job in jobs]).astype(np.float32)
        )
        with torch.inference_mode():
            volume = torch.cat([job.source.volume for job in jobs])
            thin = torch.cat([job.source.thin for job in jobs])
            ready = (
                torch.cuda.current_stream(self._device).record_event() if self._is_on_gpu else None
            )
            features, moved = self._move(volume, thin, points[:, 0], points[:, 1], after=ready)
            return self._paint(features, after=moved)


def together(waiting: int, most: int) -> int:
    """Return how many of ``waiting`` pictures make a batch: a power of two, so that few shapes of
    networks are compiled or recorded.
    """
    return 1 << (min(waiting, most).bit_length() - 1)


class _Painter(nn.Module):
    """G, and its picture as the engine yields it."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: Tensor) -> Tensor:
        return self.decoder(features).float().permute(0, 2, 3, 1).contiguous() * 255


def turn_channels_last(module: nn.Module) -> None:
    """Keep the weights of all convolutions in ``module`` as matrix units read them."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)


def _finished(pictures: Tensor, painted: Any) -> Iterator[FloatArray]:
    """Yield the pictures once they are there."""
    if painted is not None:
        painted.synchronize()
    yield from pictures.numpy()
