"""A packaged ONNX network as a plain function from named arrays to arrays.

Networks run on the CPU, where equal inputs give equal outputs, unless the environment variable
``VISAVIS_DEVICE`` (or an argument) names another of ``DEVICES`` that this ONNX Runtime serves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, MissingExtra, WeightsMismatch
from visavis.hub import asset

# Importing ONNX Runtime would leave a device id in the home folder and may send usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

DEVICE_VARIABLE = "VISAVIS_DEVICE"
DEVICES = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider",),
}
"""Where networks can run, and ONNX Runtime's names of what runs them, the preferred first."""
_UNREADABLE = (
    runtime_errors.Fail,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoSuchFile,
)
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu and tensorrt",
    "openvino": "onnxruntime-openvino",
}


class Network:
    """An ONNX file behind one call. Holds weights, never a conversation."""

    def __init__(self, path: str, threads: int = 1, device: str | None = None) -> None:
        """Load the ONNX file at ``path`` for ``threads`` threads of the CPU, or for ``device``.

        Raises:
            InputError: there is no such device.
            MissingExtra: this ONNX Runtime does not serve it.
            WeightsMismatch: the file is no network, or a damaged one.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait leave the core to the encoder: half the CPU time of two that spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        name = device or _chosen()
        wanted = providers(name, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=wanted)
        except _UNREADABLE as error:
            said = " ".join(str(error).split())[:200]
            raise WeightsMismatch(
                f"{path} cannot be read as an ONNX network ({said}). Fetch or make it again."
            ) from error
        if self._session.get_providers()[0] != wanted[0]:
            raise _missing(name, "it cannot start here")
        self._is_bound = name in ("cuda", "tensorrt")

    @property
    def metadata(self) -> dict[str, str]:
        """Return the named texts that the file carries beside the network."""
        texts: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return texts

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what the network takes."""
        return tuple(port.name for port in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what the network gives, in the order of the file."""
        return tuple(port.name for port in self._session.get_outputs())

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the input ``name``, which must be fixed in the file."""
        found = next(i for i in self._session.get_inputs() if i.name == name)
        return tuple(map(int, found.shape))

    def sides(self, name: str) -> tuple[int, ...]:
        """Return the shape of the input ``name`` but for its first axis, of any length."""
        found = next(i for i in self._session.get_inputs() if i.name == name)
        return tuple(map(int, found.shape[1:]))

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the network and return its outputs in the order of the file."""
        if self._is_bound:
            return self._bound(inputs)
        outputs: list[NDArray[np.float32]] = self._session.run(None, dict(inputs))
        return outputs

    def _bound(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run the network with outputs left where they are made until all are done."""
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for output in self._session.get_outputs():
            binding.bind_output(output.name)
        self._session.run_with_iobinding(binding)
        outputs: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return outputs


def providers(device: str, offered: Sequence[str]) -> list[str]:
    """Return what runs networks on ``device``, of what this ONNX Runtime ``offered``, the CPU last.

    Raises:
        InputError: there is no such device.
        MissingExtra: what runs it is not offered.
    """
    if device not in DEVICES:
        raise InputError(f"There is no device {device!r}. Give one of: {', '.join(DEVICES)}.")
    first, *others = DEVICES[device]
    if first not in offered:
        raise _missing(device, f"ONNX Runtime here has no {first}")
    others = [name for name in (*others, *DEVICES["cpu"]) if name in offered]
    return [first, *(name for name in others if name != first)]


def runtime() -> str:
    """Return what runs networks here: ONNX Runtime's version and the device."""
    return f"{onnxruntime.__version__} {_chosen()}"


def _chosen() -> str:
    """Return the device that the environment names, the CPU by default."""
    return os.environ.get(DEVICE_VARIABLE) or "cpu"


def _missing(device: str, reason: str) -> MissingExtra:
    """Return the error that ``device`` cannot be used, for ``reason``."""
    package = _PACKAGES.get(device, "onnxruntime")
    return MissingExtra(
        f"Networks cannot run on {device!r}: {reason}. Install {package} instead of onnxruntime, "
        f"or use the CPU: {DEVICE_VARIABLE}=cpu."
    )


def packaged(name: str, threads: int = 1) -> Network:
    """Return the packaged network ``name`` (a file name in assets/) on the device that is chosen.

    It is loaded once per process and device.
    """
    return _loaded(name, threads, _chosen())


@cache
def _loaded(name: str, threads: int, device: str) -> Network:
    """Return the packaged network ``name`` on ``device``."""
    return Network(str(asset(name)), threads, device)
