"""Bytes for floats: an ONNX network -> the same with 8-bit weights and activations (static, QDQ).

Weights have a scale for each output; the ranges of activations are those seen on examples. What is
left in floats says whoever knows the network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Feed = Mapping[str, NDArray[Any]]
"""What a network takes in one call, by name."""


def to_bytes(
    source: Path,
    out: Path,
    feeds: Sequence[Feed],
    kinds: Collection[str] = ("Conv",),
    floats: Collection[str] = (),
) -> int:
    """Write the network ``source`` to ``out`` in bytes, with the ranges seen on ``feeds``.

    ``kinds`` of nodes are made so where they have weights, but those whose name holds one of
    ``floats``, and the last convolution, whose output is seen. The texts beside the network are
    kept. Returns how many nodes are in bytes.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    metadata = onnx.load(str(source)).metadata_props
    with TemporaryDirectory() as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        _without_casts(source, plain)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        chosen = list(_chosen(graph, kinds, floats))
        quantize_static(
            str(ready), str(out), _Reader(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=list(kinds), nodes_to_quantize=chosen,
        )  # fmt: skip
    model = onnx.load(str(out))
    for entry in metadata:
        kept = model.metadata_props.add()
        kept.key, kept.value = entry.key, entry.value
    onnx.save(model, str(out))
    return len(chosen)


def _chosen(graph: Any, kinds: Collection[str], floats: Collection[str]) -> Iterator[str]:
    """Yield the names of the nodes of ``graph`` that are to be in bytes."""
    weights = {tensor.name for tensor in graph.initializer}
    last = [node.name for node in graph.node if node.op_type == "Conv"][-1:]
    for node in graph.node:
        has_weights = node.op_type in kinds and node.input[1] in weights
        if has_weights and node.name not in last and not any(part in node.name for part in floats):
            yield node.name


def _without_casts(source: Path, out: Path) -> None:
    """Write ``source`` with its half-precision weights unfolded to floats."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


class _Reader:
    """Hands ``feeds`` to the calibration."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next inputs by name, None after the last."""
        feed = next(self._feeds, None)
        return None if feed is None else {k: np.ascontiguousarray(v) for k, v in feed.items()}
