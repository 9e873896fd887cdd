"""Networks as functions, and what they run on."""

import numpy as np
import pytest

from visavis.errors import InputError, MissingExtra
from visavis.hub import asset
from visavis.nn.session import DEVICE_VARIABLE, Network, packaged, providers

NETWORK = "face_detector.onnx"
CPU, CUDA, TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))


@pytest.fixture(scope="module")
def view():
    return np.random.default_rng(0).uniform(-1, 1, (1, 3, 160, 160)).astype(np.float32)


@pytest.fixture(scope="module")
def truth(view):
    return Network(str(asset(NETWORK)), device="cpu")({"image": view})


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(view, truth, threads):
    outputs = Network(str(asset(NETWORK)), threads, "cpu")({"image": view})
    assert all(np.array_equal(a, b) for a, b in zip(outputs, truth, strict=True))


def test_bound_outputs_are_the_same(view, truth):
    bound = Network(str(asset(NETWORK)), device="cpu")._bound({"image": view})
    assert all(np.array_equal(a, b) for a, b in zip(bound, truth, strict=True))


def test_the_cpu_is_the_default_and_the_environment_may_say_otherwise(monkeypatch):
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    assert Network(str(asset(NETWORK))).metadata is not None
    monkeypatch.setenv(DEVICE_VARIABLE, "abacus")
    with pytest.raises(InputError, match="no device 'abacus'.*cpu, cuda, tensorrt, openvino"):
        Network(str(asset(NETWORK)))
    monkeypatch.setenv(DEVICE_VARIABLE, "")
    assert Network(str(asset(NETWORK))).metadata is not None


@pytest.mark.parametrize(
    ("device", "offered", "chosen"),
    [
        ("cpu", [CUDA, CPU], [CPU]),
        ("cuda", [TENSORRT, CUDA, CPU], [CUDA, CPU]),
        ("tensorrt", [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        ("tensorrt", [TENSORRT, CPU], [TENSORRT, CPU]),
    ],
)
def test_a_device_takes_what_serves_it_and_the_cpu_last(device, offered, chosen):
    assert providers(device, offered) == chosen


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino"])
def test_a_device_that_is_not_served_says_what_to_install(device):
    with pytest.raises(MissingExtra, match=f"'{device}'.*Install onnxruntime-.*{DEVICE_VARIABLE}"):
        providers(device, [CPU])


def test_a_packaged_network_is_loaded_once_for_each_device(monkeypatch):
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    first = packaged(NETWORK)
    assert packaged(NETWORK, threads=1) is packaged(NETWORK) is first
    assert packaged(NETWORK, threads=2) is not first
    monkeypatch.setenv(DEVICE_VARIABLE, "abacus")
    with pytest.raises(InputError, match="no device 'abacus'"):
        packaged(NETWORK)
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert packaged(NETWORK) is first
