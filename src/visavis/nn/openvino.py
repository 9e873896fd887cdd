"""ONNX files run by OpenVINO, in halves where a network bears it (``pip install openvino``).

On processors with matrix units for bfloat16 (Intel from 2020, AMD from 2022) convolutions in halves
take half the time. OpenVINO's own switch rounds all that is between them, too, and errors add up:
here only the convolutions are halved, everything between stays float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import MissingExtra, WeightsMismatch
from visavis.machine import cpu_threads
from visavis.nn.gather import Gathered

_HALVED = ("Convolution", "ConvolutionBackpropData")
"""OpenVINO's names of what is done in halves."""


class OpenVinoNetwork:
    """An ONNX file behind one call, as ``nn.session.Network``. Holds weights, no conversation.

    Threads may call it at the same time; OpenVINO answers one after the other.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        *,
        halves: bool = False,
        kept: Sequence[str] = (),
    ) -> None:
        """Load ``path`` for ``threads`` threads, all there are by default.

        ``halves``: convolutions in bfloat16, but for those whose name has one of ``kept`` in it.

        Raises:
            MissingExtra: OpenVINO is not installed.
            WeightsMismatch: the file is no network, or a damaged one.
        """
        core = _package().Core()
        try:
            model = core.read_model(str(path))
        except RuntimeError as error:
            said = " ".join(str(error).split())[:200]
            raise WeightsMismatch(
                f"{path} cannot be read as an ONNX network ({said}). Fetch or make it again."
            ) from error
        self._names = [port.any_name for port in model.inputs]
        if halves:
            _halve(model, kept)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "f32",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads or cpu_threads(),
            },
        )
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)
        self._run: Gathered[Mapping[str, NDArray[Any]], list[NDArray[np.float32]]]
        self._run = Gathered(lambda one: [self._answer(*one)], most=1)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the network and return its outputs in the order of the file."""
        return self._run([inputs])[0]

    def _answer(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Return the outputs for ``inputs``; one call at a time."""
        given = [np.ascontiguousarray(inputs[name], np.float32) for name in self._names]
        results = self._request.infer(given, share_inputs=True)
        return [results[index] for index in range(self._outputs)]


def _package() -> Any:
    """Return the package openvino.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import openvino
    except ImportError as reason:
        raise MissingExtra(
            "OpenVINO is not installed. Install it: pip install openvino, or take onnxruntime."
        ) from reason
    return openvino


def _halve(model: Any, kept: Sequence[str]) -> None:
    """Do convolutions of ``model`` in bfloat16, but for those with one of ``kept`` in the name."""
    from openvino import opset14

    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if node.get_type_name() not in _HALVED or any(part in name for part in kept):
            continue
        for port in node.inputs()[:2]:
            halved = opset14.convert(port.get_source_output(), "bf16")
            port.replace_source_output(halved.output(0))
        readers = list(node.output(0).get_target_inputs())
        whole = opset14.convert(node.output(0), "f32").output(0)
        for reader in readers:
            reader.replace_source_output(whole)
    model.validate_nodes_and_infer_types()
