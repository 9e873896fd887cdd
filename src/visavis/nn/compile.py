"""Networks made ready for the device they run on: compiled, recorded, in streams of their own.

A network here is any function from tensors to one tensor. ``prepared`` makes it quicker to call;
a ``Stage`` runs it beside other stages, so that a chain of stages works on several items at once.
On a CPU all of it also runs, one thing after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Tensor]
HOWS = ("eager", "graph", "compile", "compile+graph")
"""As PyTorch calls it; launches recorded once (CUDA graphs); kernels fused; both."""
_WARM_UPS = 3
"""Calls before launches are recorded: libraries choose their kernels in the first ones."""


class Recorded:
    """A function whose kernel launches are recorded once per shape and replayed from then on.

    Takes the time to launch out of networks of many small kernels. What it returns is a copy:
    the next call writes over what was recorded.
    """

    def __init__(self, function: Function) -> None:
        """Record ``function``, which must do the same for all inputs of a shape (CUDA only)."""
        self._function = function
        self._records: dict[Any, tuple[Any, tuple[Tensor, ...], Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the function makes of ``inputs``, queued in the current stream."""
        key = tuple((value.shape, value.dtype, value.stride()) for value in inputs)
        if key not in self._records:
            self._records[key] = self._recorded(inputs)
        graph, places, output = self._records[key]
        for place, value in zip(places, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        return output.clone()

    def _recorded(self, inputs: tuple[Tensor, ...]) -> tuple[Any, tuple[Tensor, ...], Tensor]:
        """Return the recording for inputs like ``inputs``: graph, places for inputs, output."""
        places = tuple(value.clone() for value in inputs)
        stream = torch.cuda.Stream(places[0].device)
        stream.wait_stream(torch.cuda.current_stream(places[0].device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._function(*places)
        torch.cuda.current_stream(places[0].device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            output = self._function(*places)
        return graph, places, output


def prepared(function: Function, device: torch.device, how: str) -> Function:
    """Return ``function`` made quicker to call on ``device``; ``how`` is one of ``HOWS``.

    Graphs exist on CUDA devices only; elsewhere they are left out.
    """
    if "compile" in how:
        function = torch.compile(function, dynamic=False)
    if "graph" in how and device.type == "cuda":
        function = Recorded(function)
    return function


class Stage:
    """A function on a device, in a stream of its own there."""

    def __init__(self, function: Function, device: torch.device) -> None:
        """Run ``function`` on ``device``."""
        self._function = function
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, *inputs: Tensor, after: Any = None) -> tuple[Tensor, Any]:
        """Queue the work once the event ``after`` has come; return the output and its own event.

        Without streams the output is there when this returns, and the event is None.
        """
        if self._stream is None:
            return self._function(*(value.to(self._device) for value in inputs)), None
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            if after is not None:
                self._stream.wait_event(after)
            given = [value.to(self._device, non_blocking=True) for value in inputs]
            for value in given:
                value.record_stream(self._stream)
            output = self._function(*given)
            return output, self._stream.record_event()


def to_host(value: Tensor) -> Tensor:
    """Queue a copy of ``value`` to the host in the current stream; it is there when that is."""
    if not value.is_cuda:
        return value
    place = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
    return place.copy_(value, non_blocking=True)
