"""LivePortrait's weights: from the published files to ours and back (ditto-spec 1.1).

Ditto and LivePortrait publish the same networks under the same keys, in files of other names. Our
networks name their parts for what they do; ``NETWORKS`` says what each part is called upstream.
Spectral norm (Miyato et al. 2018) is divided out when weights are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.errors import ModelError, WeightsMismatch
from visavis.nn.checkpoints import (
    State,
    check_keys,
    read_converted,
    read_published,
    write_converted,
)
from visavis.nn.rule import rule_weights
from visavis.render.liveportrait.appearance import AppearanceExtractor
from visavis.render.liveportrait.config import LivePortraitConfig
from visavis.render.liveportrait.decoder import SpadeDecoder
from visavis.render.liveportrait.keypoints import MotionExtractor
from visavis.render.liveportrait.stitching import eyes_network, lips_network, stitching_network
from visavis.render.liveportrait.warping import WarpingNetwork

OPTIONAL = ("eyes", "lips")
"""Networks that Ditto does without, and whose weights its file may lack."""
CONFIG_FILE = "config.json"
"""Sizes, beside published files of other than the published sizes."""
COUNTER = "num_batches_tracked"
"""Last word of keys that training needs and nobody else."""
_DITTO = "ditto_pytorch/models"
_BASE, _RETARGETING = "liveportrait/base_models", "liveportrait/retargeting_models"
_POINT_FILES = {
    "ditto": f"{_DITTO}/stitch_network.pth",
    "liveportrait": f"{_RETARGETING}/stitching_retargeting_module.pth",
}


def _doubled(found: re.Match[str]) -> str:
    """Return the published name of a perceptron's layer: activations count there, too."""
    return f"mlp.{2 * int(found[1])}."


@dataclass(frozen=True)
class Published:
    """A network and what it is called where it is published.

    ``names`` are (pattern, replacement) pairs that turn our keys into the published ones, each
    tried once, in turn. ``files`` are its paths in Ditto's and LivePortrait's repositories,
    ``nest`` the part of the file that holds it (all of it if empty). ``spectral`` tells our keys of
    weights under spectral norm. ``gain`` is that of the golden data's rule.
    """

    build: Callable[[LivePortraitConfig], nn.Module]
    files: Mapping[str, str]
    names: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
    nest: str = ""
    spectral: str = "(?!)"
    gain: float = 1.0


def _perceptron(build: Callable[[LivePortraitConfig], nn.Module], nest: str) -> Published:
    """Return what is known of the perceptron in ``nest``."""
    return Published(build, _POINT_FILES, ((r"^layers\.(\d+)\.", _doubled),), nest)


NETWORKS = {
    "appearance": Published(
        AppearanceExtractor,
        {
            "ditto": f"{_DITTO}/appearance_extractor.pth",
            "liveportrait": f"{_BASE}/appearance_feature_extractor.pth",
        },
        (
            (r"^stem\.", "first."),
            (r"^downs\.", "down_blocks."),
            (r"^to_volume\.", "second."),
            (r"^blocks\.(\d+)\.", r"resblocks_3d.3dr\1."),
            (r"_first\.", "1."),
            (r"_second\.", "2."),
        ),
    ),
    "motion": Published(
        MotionExtractor,
        {
            "ditto": f"{_DITTO}/motion_extractor.pth",
            "liveportrait": f"{_BASE}/motion_extractor.pth",
        },
        (
            (r"^stages\.0\.patch\.", "downsample_layers.0.0."),
            (r"^stages\.0\.norm\.", "downsample_layers.0.1."),
            (r"^stages\.(\d+)\.norm\.", r"downsample_layers.\1.0."),
            (r"^stages\.(\d+)\.patch\.", r"downsample_layers.\1.1."),
            (r"\.blocks\.", "."),
            (r"\.depthwise\.", ".dwconv."),
            (r"\.widen\.", ".pwconv1."),
            (r"\.response\.", ".grn."),
            (r"\.narrow\.", ".pwconv2."),
            (r"^heads\.", "fc_"),
            (r"^", "detector."),
        ),
    ),
    "warping": Published(
        WarpingNetwork,
        {"ditto": f"{_DITTO}/warp_network.pth", "liveportrait": f"{_BASE}/warping_module.pth"},
        (
            (r"^dense\.compress\.conv\.", "dense.compress."),
            (r"^dense\.compress\.norm\.", "dense.norm."),
            (r"\.downs\.", ".encoder.down_blocks."),
            (r"\.ups\.", ".decoder.up_blocks."),
            (r"\.out\.", ".decoder."),
            (r"^dense\.", "dense_motion_network."),
            (r"^merge\.", "third."),
            (r"^project\.", "fourth."),
        ),
        gain=1.4,
    ),
    "decoder": Published(
        SpadeDecoder,
        {"ditto": f"{_DITTO}/decoder.pth", "liveportrait": f"{_BASE}/spade_generator.pth"},
        (
            (r"^stem\.", "fc."),
            (r"^middle\.", "G_middle_"),
            (r"^ups\.", "up_"),
            (r"^out\.", "conv_img.0."),
            (r"_first\.", "_0."),
            (r"_second\.", "_1."),
            (r"_shortcut\.", "_s."),
            (r"\.shared\.", ".mlp_shared.0."),
            (r"\.gamma\.", ".mlp_gamma."),
            (r"\.beta\.", ".mlp_beta."),
        ),
        spectral=r"\.conv_(first|second|shortcut)\.weight$",
    ),
    "stitching": _perceptron(stitching_network, "retarget_shoulder"),
    "eyes": _perceptron(eyes_network, "retarget_eye"),
    "lips": _perceptron(lips_network, "retarget_mouth"),
}
"""Every network of LivePortrait by its name here."""


def published_key(network: str, key: str) -> str:
    """Return what our ``key`` of ``network`` is called upstream, spectral norm aside."""
    for pattern, replacement in NETWORKS[network].names:
        key = re.sub(pattern, replacement, key, count=1)
    return key


def published_shapes(
    network: str, config: LivePortraitConfig | None = None
) -> dict[str, tuple[int, ...]]:
    """Return every published key of ``network`` (in its nest) and its shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in _shapes(network, config).items():
        name = published_key(network, key)
        if re.search(NETWORKS[network].spectral, key):
            shapes[f"{name}_orig"] = shape
            shapes[f"{name}_u"] = shape[:1]
            shapes[f"{name}_v"] = (torch.Size(shape[1:]).numel(),)
        else:
            shapes[name] = shape
    return shapes


def from_published(
    network: str, held: Mapping[str, Any], config: LivePortraitConfig | None = None
) -> State:
    """Return our weights of ``network``, float32, from what its published file holds.

    Raises:
        WeightsMismatch: a key is missing, left over or of another shape.
    """
    state = _unnested(network, held)
    shapes = published_shapes(network, config)
    check_keys(network, shapes, state, [key for key in shapes if key.endswith(COUNTER)])
    ours: State = {}
    for key in _shapes(network, config):
        name = published_key(network, key)
        if key.endswith(COUNTER):
            ours[key] = torch.zeros((), dtype=torch.int64)
        elif re.search(NETWORKS[network].spectral, key):
            ours[key] = _folded(*(state[name + end].float() for end in ("_orig", "_u", "_v")))
        else:
            ours[key] = state[name].float()
    return ours


def rule_state(
    network: str, config: LivePortraitConfig | None = None, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """Return published weights of ``network`` by the golden rule; another set per ``prefix``."""
    known = NETWORKS[network]
    nest = f"{known.nest}." if known.nest else ""
    return rule_weights(published_shapes(network, config), known.gain, prefix + nest)


def read_published_folder(
    folder: Path, config: LivePortraitConfig | None = None
) -> tuple[dict[str, State], LivePortraitConfig]:
    """Return our weights by network, and their sizes, of published files in or below ``folder``.

    Raises:
        ModelError: a file is missing.
        WeightsMismatch: a file is damaged or is not what was published.
    """
    sizes = folder / CONFIG_FILE
    if config is None and sizes.is_file():
        config = LivePortraitConfig.from_json(sizes.read_text("utf-8"))
    config = config or LivePortraitConfig()
    states = {}
    for network, known in NETWORKS.items():
        held = read_published(_published_file(folder, network))
        if known.nest in held or network not in OPTIONAL:
            states[network] = from_published(network, held, config)
    return states, config


def write_published(
    folder: Path,
    layout: str,
    states: Mapping[str, Mapping[str, NDArray[Any]]],
    config: LivePortraitConfig | None = None,
) -> list[Path]:
    """Write published weights by network name as ``layout`` ("ditto", "liveportrait") has them.

    Returns the files, which lie in ``folder`` as in the repository of that project; ``config``
    lies beside them if it is given.
    """
    if config is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).write_text(config.to_json(), "utf-8")
    files: dict[Path, dict[str, Any]] = {}
    for network, state in states.items():
        known = NETWORKS[network]
        held = files.setdefault(folder / known.files[layout], {})
        tensors = {key: torch.from_numpy(value) for key, value in state.items()}
        if known.nest:
            held[known.nest] = {f"module.{key}": value for key, value in tensors.items()}
        else:
            held.update(tensors)
    for path, held in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(held, path)
    return list(files)


def write_network(folder: Path, network: str, state: State, config: LivePortraitConfig) -> Path:
    """Write our weights of ``network`` to ``folder`` and return the file."""
    path = folder / f"{network}.safetensors"
    write_converted(path, state, {"network": network, "config": config.to_json()})
    return path


def read_network(path: Path) -> tuple[str, State, LivePortraitConfig]:
    """Return which network ``write_network`` wrote to ``path``, its weights and its sizes.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged or of another origin.
    """
    state, texts = read_converted(path)
    network = texts.get("network", "")
    if network not in NETWORKS:
        raise WeightsMismatch(
            f"{path} does not say which network it is ({network!r}); known: {', '.join(NETWORKS)}. "
            "Convert the published files again: visavis models convert"
        )
    if network != path.stem:
        raise WeightsMismatch(
            f"{path} holds the network {network}, not {path.stem}. "
            "Convert the published files again: visavis models convert"
        )
    config = LivePortraitConfig.from_json(texts.get("config", ""))
    check_keys(f"{path}", _shapes(network, config), state)
    return network, state, config


def made(network: str, state: State, config: LivePortraitConfig | None = None) -> nn.Module:
    """Return ``network`` with our weights ``state``, ready to be used, not to be trained."""
    with torch.device("meta"):
        module = NETWORKS[network].build(config or LivePortraitConfig())
    module.load_state_dict(state, assign=True)
    return module.eval().requires_grad_(False)


def _shapes(network: str, config: LivePortraitConfig | None) -> dict[str, tuple[int, ...]]:
    """Return our keys of ``network`` and their shapes."""
    with torch.device("meta"):
        module = NETWORKS[network].build(config or LivePortraitConfig())
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def _published_file(folder: Path, network: str) -> Path:
    """Return the published file of ``network`` in or below ``folder``, the least deep if several.

    Raises:
        ModelError: there is none.
    """
    names = {Path(file).name for file in NETWORKS[network].files.values()}
    found = [path for name in names for path in folder.rglob(name)]
    if not found:
        raise ModelError(
            f"{folder} has no weights of {network}: neither {network}.safetensors nor "
            f"{' nor '.join(sorted(names))}. Fetch them: visavis models fetch"
        )
    return min(found, key=lambda path: (len(path.parts), str(path)))


def _unnested(network: str, held: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of ``network`` out of its file, without its nest and 'module.'.

    Raises:
        WeightsMismatch: the file holds something else.
    """
    nest = NETWORKS[network].nest
    state = held.get(nest, held) if nest else held
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsMismatch(
            f"The published file of {network} holds {', '.join(list(held)[:3])} and no weights "
            f"under {nest or 'plain keys'!r}. Fetch it again: visavis models fetch"
        )
    return {key.replace("module.", ""): value for key, value in state.items()}


def _folded(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return ``weight`` over its spectral norm u' W v, as upstream's evaluation has it."""
    return weight / torch.dot(u, torch.mv(weight.flatten(1), v))
