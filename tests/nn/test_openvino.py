"""ONNX files run by OpenVINO: several threads at once, and files that are none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from visavis.errors import WeightsMismatch
from visavis.nn.openvino import OpenVinoNetwork

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")

SIDE = 300


def test_threads_may_ask_at_the_same_time(tmp_path: Path) -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    squared = helper.make_graph(
        [helper.make_node("MatMul", ["x", "x"], ["y"])],
        "squared",
        [helper.make_tensor_value_info("x", kind, [SIDE, SIDE])],
        [helper.make_tensor_value_info("y", kind, [SIDE, SIDE])],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(squared, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    network = OpenVinoNetwork(tmp_path / "a.onnx", threads=1)
    given = np.random.default_rng(0).random((4, SIDE, SIDE), np.float32)
    alone = [network({"x": x})[0] for x in given]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: network({"x": x})[0], np.tile(given, (10, 1, 1))))
    np.testing.assert_array_equal(together, np.tile(alone, (10, 1, 1)))


def test_a_damaged_file_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsMismatch, match=r"a\.onnx cannot be read as an ONNX network"):
        OpenVinoNetwork(tmp_path / "a.onnx")
