"""The motion denoiser's weights: from the published file to ours and back (ditto-spec 1.1).

Projections of attention are published as one matrix of three parts; ours are three. Pair-turning
speeds (``rotary.freqs``) are published with the weights, ours are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.errors import WeightsMismatch
from visavis.motion.ditto.config import LmdmConfig
from visavis.motion.ditto.network import Lmdm
from visavis.nn.checkpoints import (
    State,
    check_keys,
    read_converted,
    read_published,
    write_converted,
)
from visavis.nn.rule import rule_weights

NAME = "lmdm"
"""The network's name, and that of its converted file."""
PUBLISHED_FILE = "ditto_pytorch/models/lmdm_v0.4_hubert.pth"
NEST = "model_state_dict"

_TOP = {
    "motion_in": "input_projection",
    "condition_in": "cond_projection",
    "summary.0": "non_attn_cond_projection.0",
    "summary.1": "non_attn_cond_projection.1",
    "summary.3": "non_attn_cond_projection.3",
    "time_in": "time_mlp.1",
    "time_out": "to_time_cond.0",
    "time_tokens": "to_time_tokens.0",
    "memory_norm": "norm_cond",
    "out": "final_layer",
}
_ENCODER = {"norm1": "norm1", "norm2": "norm2", "feed.0": "linear1", "feed.2": "linear2"}
_DECODER = {**_ENCODER, "norm3": "norm3"} | {
    f"film{i}.project": f"film{i}.block.1" for i in (1, 2, 3)
}
_PARTS = ("query", "key", "value")

_Row = tuple[str, str, int | None]
"""Our key, the published one, and which of its three parts is ours (None: all of it)."""


def _pairs(ours: str, theirs: str, names: Mapping[str, str]) -> Iterator[_Row]:
    """Yield weight and bias of every module in ``names`` under both prefixes."""
    for our, their in names.items():
        for kind in ("weight", "bias"):
            yield f"{ours}{our}.{kind}", f"{theirs}{their}.{kind}", None


def _attention(ours: str, theirs: str) -> Iterator[_Row]:
    """Yield the rows of one attention."""
    for kind in ("weight", "bias"):
        for part, name in enumerate(_PARTS):
            yield f"{ours}.{name}.{kind}", f"{theirs}.in_proj_{kind}", part
    yield from _pairs(f"{ours}.", f"{theirs}.", {"out": "out_proj"})


def _rows(config: LmdmConfig) -> Iterator[_Row]:
    """Yield the whole map."""
    yield from _pairs("", "", _TOP)
    yield "nothing", "null_cond_embed", None
    yield "nothing_summary", "null_cond_hidden", None
    for i in range(config.encoders):
        ours, theirs = f"encoders.{i}.", f"cond_encoder.{i}."
        yield from _pairs(ours, theirs, _ENCODER)
        yield from _attention(f"{ours}attention", f"{theirs}self_attn")
    for i in range(config.layers):
        ours, theirs = f"layers.{i}.", f"seqTransDecoder.stack.{i}."
        yield from _pairs(ours, theirs, _DECODER)
        yield from _attention(f"{ours}within", f"{theirs}self_attn")
        yield from _attention(f"{ours}across", f"{theirs}multihead_attn")


def _speeds(config: LmdmConfig) -> Iterator[str]:
    """Yield the keys of the turning speeds."""
    yield "rotary.freqs"
    yield from (f"cond_encoder.{i}.rotary.freqs" for i in range(config.encoders))
    yield from (f"seqTransDecoder.stack.{i}.rotary.freqs" for i in range(config.layers))


def published_shapes(config: LmdmConfig | None = None) -> dict[str, tuple[int, ...]]:
    """Return every published key (in its nest) and its shape."""
    config = config or LmdmConfig()
    ours, shapes = _shapes(config), dict[str, tuple[int, ...]]()
    for our, their, part in _rows(config):
        first, *rest = ours[our]
        shapes[their] = (first if part is None else len(_PARTS) * first, *rest)
    return shapes | dict.fromkeys(_speeds(config), (config.width // 2,))


def published_config(state: Mapping[str, Any]) -> LmdmConfig:
    """Return the sizes that the published ``state`` shows; heads cannot be seen.

    Raises:
        WeightsMismatch: what shows them is missing.
    """
    try:
        _, frames, width = state["null_cond_embed"].shape
        motion, condition = len(state["final_layer.bias"]), state["cond_projection.weight"].shape[1]
        hidden = len(state["seqTransDecoder.stack.0.linear1.bias"])
    except (KeyError, ValueError) as missing:
        raise WeightsMismatch(
            f"The published file of {NAME} holds no motion network ({missing}); {PUBLISHED_FILE} "
            "is needed. Fetch it again: visavis models fetch ditto"
        ) from missing
    layers, encoders = _count(state, "seqTransDecoder.stack."), _count(state, "cond_encoder.")
    return LmdmConfig(
        frames=frames, motion=motion, condition=condition, width=width, hidden=hidden,
        layers=layers, encoders=encoders,
    )  # fmt: skip


def _count(state: Mapping[str, Any], prefix: str) -> int:
    """Return how many numbered parts begin with ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def from_published(held: Mapping[str, Any], config: LmdmConfig | None = None) -> State:
    """Return our weights, float32, from what the published file holds, in its nest or out of it.

    Raises:
        WeightsMismatch: a key is missing, left over or of another shape.
    """
    state = held.get(NEST, held)
    config = config or published_config(state)
    check_keys(NAME, published_shapes(config), state)
    ours: State = {}
    for our, their, part in _rows(config):
        whole = torch.as_tensor(state[their]).float()
        ours[our] = whole if part is None else whole.chunk(len(_PARTS))[part].clone()
    return ours


def rule_state(config: LmdmConfig | None = None, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Return published weights by the golden rule; another set per ``prefix``."""
    config = config or LmdmConfig()
    state = rule_weights(published_shapes(config), prefix=prefix)
    state["final_layer.weight"] *= np.float32(0.1)
    return state


def write_published(path: Path, state: Mapping[str, NDArray[Any]]) -> None:
    """Write published weights to ``path`` as Ditto's file has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({NEST: {key: torch.from_numpy(value) for key, value in state.items()}}, path)


def read_lmdm(path: Path) -> Lmdm:
    """Return the network of the published file (.pth) or the converted one at ``path``.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged or of another origin.
    """
    if path.suffix == ".pth":
        held = read_published(path)
        config = published_config(held.get(NEST, held))
        return made(from_published(held, config), config)
    state, texts = read_converted(path)
    config = LmdmConfig.from_json(texts.get("config", ""))
    check_keys(f"{path}", _shapes(config), state)
    return made(state, config)


def write_lmdm(folder: Path, net: Lmdm) -> Path:
    """Write ``net`` to ``folder`` as we keep it and return the file."""
    path = folder / f"{NAME}.safetensors"
    state: dict[str, Tensor] = {key: value.cpu() for key, value in net.state_dict().items()}
    write_converted(path, state, {"network": NAME, "config": net.config.to_json()})
    return path


def made(state: State, config: LmdmConfig) -> Lmdm:
    """Return the network with our weights ``state``, ready to be used, not to be trained."""
    with torch.device("meta"):
        net = Lmdm(config)
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def _shapes(config: LmdmConfig) -> dict[str, tuple[int, ...]]:
    """Return our keys and their shapes."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in Lmdm(config).state_dict().items()}
