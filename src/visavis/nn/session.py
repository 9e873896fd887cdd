"""A packaged ONNX network as a plain function from named arrays to arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.hub import asset

# Importing ONNX Runtime would leave a device id in the home folder and may send usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime


class Network:
    """An ONNX file behind one call. Holds weights, never a conversation."""

    def __init__(self, path: str) -> None:
        """Load the ONNX file at ``path`` for one thread of the CPU."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    @property
    def metadata(self) -> dict[str, str]:
        """Return the named texts that the file carries beside the network."""
        texts: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return texts

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the input ``name``, which must be fixed in the file."""
        found = next(i for i in self._session.get_inputs() if i.name == name)
        return tuple(map(int, found.shape))

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the network and return its outputs in the order of the file."""
        outputs: list[NDArray[np.float32]] = self._session.run(None, dict(inputs))
        return outputs


@cache
def packaged(name: str) -> Network:
    """Return the packaged network ``name`` (a file name in assets/), loaded once per process."""
    return Network(str(asset(name)))
