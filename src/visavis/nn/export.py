"""PyTorch networks as ONNX files, so that they run where PyTorch is not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from visavis.errors import ModelError

OPSET = 18
"""Version of ONNX's operators; no network here needs a newer one."""
_LARGEST = 2 * 2**30 - 2**20
"""Bytes an ONNX file can hold: it is one protobuf message."""


def export(
    module: nn.Module,
    path: Path,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    *,
    any_rows: bool = False,
    axes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write ``module`` to the ONNX file ``path``, whole or not at all.

    ``inputs`` are examples by name, in the order of its arguments, and fix all shapes, but for the
    first axis of all if ``any_rows``, or for the ``axes`` named. ``outputs`` names what it returns.

    Raises:
        ModelError: the network is too large for one file.
    """
    weights = sum(value.nbytes for value in module.state_dict().values())
    if weights > _LARGEST:
        raise ModelError(f"{weights / 2**30:.1f} GiB of weights do not fit into one ONNX file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if any_rows:
        axes = {name: {0: "rows"} for name in (*inputs, *outputs)}
    with torch.inference_mode(), warnings.catch_warnings():
        # The exporter that traces needs no further package; PyTorch would have us use the other.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(part),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_axes=axes,
            dynamo=False,
        )
    part.replace(path)
