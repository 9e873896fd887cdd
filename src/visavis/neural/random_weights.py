"""Weights by a stated rule in the published layout, for trying and timing without published ones.

What is drawn with them is noise, but every file has the names and keys of the real one, and the
networks cost what the real ones cost. Only HuBERT is stood in for by a network of one layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visavis.audio.hubert import TOKENS, WINDOW_SAMPLES
from visavis.errors import OutputError
from visavis.hub.catalog import published
from visavis.hub.folder import written
from visavis.motion.ditto import weights as ditto
from visavis.motion.ditto.config import LmdmConfig
from visavis.neural.extra import extra
from visavis.nn.rule import normal
from visavis.render.liveportrait import weights as liveportrait
from visavis.render.liveportrait.config import LivePortraitConfig

HUBERT_WIDTH = 1024
"""Values of a token of HuBERT-large."""
_CHANNELS, _KERNEL, _STRIDE = 16, 400, 320
"""The stand-in's; HuBERT's own first layers see as many samples at a time, at the same steps."""


def write_random(name: str, folder: Path, *, is_tiny: bool = False, seed: int = 0) -> list[Path]:
    """Write weights of the model ``name`` to ``folder`` as it is published; return the files.

    Args:
        name: a name of the catalogue.
        folder: new or empty.
        is_tiny: networks of the same structure that need next to no time; their sizes are written
            beside them.
        seed: 0 is the rule of the golden data itself; any other number gives other weights.

    Raises:
        MissingExtra: onnx, which writes HuBERT's stand-in, is not installed.
        OutputError: something else lies in ``folder``, or it cannot be written to.
        UnknownModel: there is no such model.
    """
    model = published(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is no empty folder. Name a folder that does not exist yet.")
    prefix = f"{seed}:" if seed else ""
    config = LivePortraitConfig.tiny() if is_tiny else None
    paths = {file.network: folder / file.path for file in model.files}
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if "hubert" in paths:
            _write_hubert(paths["hubert"], prefix)
            sizes = LmdmConfig.tiny() if is_tiny else LmdmConfig()
            ditto.write_published(paths["lmdm"], ditto.rule_state(sizes, prefix))
        states = {n: liveportrait.rule_state(n, config, prefix) for n in liveportrait.NETWORKS}
        liveportrait.write_published(folder, name, states, config)
    return sorted(paths.values())


def _write_hubert(path: Path, prefix: str) -> None:
    """Write a graph from (1, 6480) samples to (20, 1024) tokens: a filter bank and a projection."""
    with extra():
        import onnx
        from onnx import TensorProto, helper, numpy_helper

    def weight(name: str, *shape: int, scale: float) -> Any:
        drawn = scale * normal(f"{prefix}hubert.{name}", shape)
        return numpy_helper.from_array(drawn.astype(np.float32), name)

    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "one"], ["sound"]),
        helper.make_node("Conv", ["sound", "filters"], ["bands"], strides=[_STRIDE]),
        helper.make_node("Tanh", ["bands"], ["bent"]),
        helper.make_node("Squeeze", ["bent", "zero"], ["rows"]),
        helper.make_node("Gemm", ["rows", "out", "bias"], ["encoding_out"], transA=1),
    ]
    graph = helper.make_graph(
        nodes,
        "hubert_stand_in",
        [helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, WINDOW_SAMPLES])],
        [helper.make_tensor_value_info("encoding_out", TensorProto.FLOAT, [TOKENS, HUBERT_WIDTH])],
        [
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.array([0], np.int64), "zero"),
            weight("filters", _CHANNELS, 1, _KERNEL, scale=0.5),
            weight("out", _CHANNELS, HUBERT_WIDTH, scale=_CHANNELS**-0.5),
            weight("bias", HUBERT_WIDTH, scale=0.05),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
