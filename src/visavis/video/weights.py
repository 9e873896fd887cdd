"""The video networks' weights: published ones of Stable Diffusion's family to ours; our own files.

=============  =======================================================  ==========================
part           published as                                             becomes
=============  =======================================================  ==========================
``unet``       Stable Diffusion 1.5's U-Net, diffusers' layout          the denoiser but for time
``reference``  a ReferenceNet (or the same U-Net to begin with)         the reference network
``motion``     AnimateDiff's motion module, ``mm_sd_v15_v2.ckpt``       the denoiser over time
=============  =======================================================  ==========================

What has no published counterpart (sound, labels, face, nobody) keeps the values it was made with.
The published U-Net guesses noise on another schedule, and its attention to text becomes that to
sound: such weights are where training starts, not a model that can be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from visavis.errors import WeightsMismatch
from visavis.nn.checkpoints import (
    State,
    check_keys,
    read_converted,
    read_published,
    write_converted,
)
from visavis.video.attention import waves
from visavis.video.denoiser import VideoNetworks
from visavis.video.sizes import VideoConfig

NAME = "video"
"""The networks' name in our files."""
PARTS = {"unet": "denoiser.", "reference": "reference.", "motion": "denoiser."}
"""Published parts and where in ``VideoNetworks`` they go."""
POSITIONS = "pos_encoder.pe"
"""Waves that are published with each attention over time; ours are computed."""
POSITION_COUNT = 32
_NESTS = ("state_dict", "module")

_SPATIAL, _TEMPORAL = "transformer_blocks.0.", "temporal_transformer."
_PLACES = (
    (r"^net\.stem\.", "conv_in."),
    (r"^net\.time\.0\.", "time_embedding.linear_1."),
    (r"^net\.time\.2\.", "time_embedding.linear_2."),
    (r"^norm\.", "conv_norm_out."),
    (r"^out\.", "conv_out."),
    (r"^net\.downs\.(\d+)\.resize\.", r"down_blocks.\1.downsamplers.0.conv."),
    (r"^net\.ups\.(\d+)\.resize\.", r"up_blocks.\1.upsamplers.0.conv."),
    (r"^net\.(down|up)s\.(\d+)\.layers\.(\d+)\.", r"\1_blocks.\2.\3."),
    (r"^net\.middle\.(\d+)\.", r"mid_block.\1."),
    (r"\.(\d+)\.residual\.", r".resnets.\1."),
    (r"\.(\d+)\.attention\.", r".attentions.\1."),
    (r"\.(\d+)\.motion\.", rf".motion_modules.\1.{_TEMPORAL}"),
)
_INSIDE = (
    (r"\.norm_first\.", ".norm1."),
    (r"\.conv_first\.", ".conv1."),
    (r"(resnets\.\d+)\.told\.", r"\1.time_emb_proj."),
    (r"\.norm_second\.", ".norm2."),
    (r"\.conv_second\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
    (r"\.block\.attentions\.", f".{_SPATIAL}attention_blocks."),
    (r"\.block\.norms\.", f".{_SPATIAL}norms."),
    (r"\.block\.norm_feed\.", f".{_SPATIAL}ff_norm."),
    (r"\.block\.feed\.", f".{_SPATIAL}ff."),
    (r"\.norm_within\.", f".{_SPATIAL}norm1."),
    (r"\.norm_across\.", f".{_SPATIAL}norm2."),
    (r"\.norm_feed\.", f".{_SPATIAL}norm3."),
    (r"\.within\.", f".{_SPATIAL}attn1."),
    (r"\.across\.", f".{_SPATIAL}attn2."),
    (r"\.feed\.", f".{_SPATIAL}ff."),
    (r"\.query\.", ".to_q."),
    (r"\.key\.", ".to_k."),
    (r"\.value\.", ".to_v."),
    (r"(attn\d|attention_blocks\.\d)\.out\.", r"\1.to_out.0."),
    (r"\.wide\.", ".net.0.proj."),
    (r"\.narrow\.", ".net.2."),
    (r"\.enter\.", ".proj_in."),
    (r"\.leave\.", ".proj_out."),
)
"""Patterns of our names and what stands there in published ones, each tried once, in turn."""
_OWN = re.compile(r"^(speech|face|labels|context|still|summary)\b|\bnobody$")
_FROM_CONV = re.compile(r"\.attentions\.\d+\.proj_(in|out)\.weight$")
"""Published as convolutions of one place, ours linear."""


def published_key(key: str) -> str:
    """Return what our ``key`` of one of the networks is called where it is published."""
    for pattern, name in (*_PLACES, *_INSIDE):
        key = re.sub(pattern, name, key, count=1)
    return key


def published_shapes(part: str, config: VideoConfig) -> dict[str, tuple[int, ...]]:
    """Return every published key of ``part`` (one of ``PARTS``) and its shape."""
    shapes: dict[str, tuple[int, ...]] = {}
    ours = _shapes(config)
    for key in _keys(part, ours):
        name, shape = published_key(key.removeprefix(PARTS[part])), ours[key]
        shapes[name] = (*shape, 1, 1) if _FROM_CONV.search(name) else shape
        if part == "motion" and name.endswith(".to_q.weight"):
            position = name.replace("to_q.weight", POSITIONS)
            shapes[position] = (1, POSITION_COUNT, shape[0])
    return shapes | (_ends(config) if part == "reference" else {})


def from_published(part: str, held: Mapping[str, Tensor], config: VideoConfig) -> State:
    """Return our weights, float32, of ``VideoNetworks`` from what a file of ``part`` holds.

    Raises:
        WeightsMismatch: a key is missing, left over or of another shape, or the places of frames
            are told otherwise than by the waves we compute.
    """
    state, shapes = _unnested(held), published_shapes(part, config)
    optional = [key for key in shapes if part == "reference" and key in _ends(config)]
    check_keys(f"the {part} of {NAME}", shapes, state, optional)
    for key, value in state.items():
        if key.endswith(POSITIONS):
            _check_positions(key, value)
    ours = _shapes(config)
    return {
        key: state[published_key(key.removeprefix(PARTS[part]))].float().reshape(ours[key])
        for key in _keys(part, ours)
    }


def adopt(networks: VideoNetworks, published: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """Give ``networks`` the ``published`` weights by part; return the keys that no part gave.

    Raises:
        WeightsMismatch: as ``from_published``.
    """
    given: State = {}
    for part, held in published.items():
        given |= from_published(part, held, networks.config)
    networks.load_state_dict(given, strict=False)
    return [key for key in networks.state_dict() if key not in given]


def read_part(path: Path) -> Mapping[str, Tensor]:
    """Return what the published file ``path`` holds: safetensors, or PyTorch's format.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged.
    """
    return read_converted(path)[0] if path.suffix == ".safetensors" else read_published(path)


def write_networks(path: Path, networks: VideoNetworks) -> None:
    """Write ``networks`` and their sizes to ``path`` (.safetensors), whole or not at all."""
    state = {key: value.cpu() for key, value in networks.state_dict().items()}
    write_converted(path, state, {"network": NAME, "config": networks.config.to_json()})


def read_networks(path: Path) -> VideoNetworks:
    """Return the networks that ``write_networks`` wrote, ready to be used, not to be trained.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged or of another origin.
    """
    state, texts = read_converted(path)
    config = VideoConfig.from_json(texts.get("config", ""))
    check_keys(f"{path}", _shapes(config), state)
    with torch.device("meta"):
        networks = VideoNetworks(config)
    networks.load_state_dict(state, assign=True)
    return networks.eval().requires_grad_(False)


def _shapes(config: VideoConfig) -> dict[str, tuple[int, ...]]:
    """Return our keys of ``VideoNetworks`` and their shapes."""
    with torch.device("meta"):
        return {key: tuple(v.shape) for key, v in VideoNetworks(config).state_dict().items()}


def _keys(part: str, ours: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Yield those of ``ours`` that are published with ``part``."""
    for key in ours:
        name = key.removeprefix(PARTS[part])
        is_there = name != key and not _OWN.search(name)
        if is_there and (part == "reference" or (".motion." in name) == (part == "motion")):
            yield key


def _ends(config: VideoConfig) -> dict[str, tuple[int, ...]]:
    """Return the last layers of a published U-Net, which a reference network does not use."""
    width, latent = config.widths[0], config.latent
    return {
        "conv_norm_out.weight": (width,),
        "conv_norm_out.bias": (width,),
        "conv_out.weight": (latent, width, 3, 3),
        "conv_out.bias": (latent,),
    }


def _unnested(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights out of their nest, without 'module.' before their names."""
    for nest in _NESTS:
        held = held[nest] if isinstance(held.get(nest), dict) else held  # type: ignore[assignment]
    return {key.removeprefix("module."): v for key, v in held.items() if isinstance(v, Tensor)}


def _check_positions(key: str, value: Tensor) -> None:
    """Refuse places of frames told otherwise than by ``waves``.

    Raises:
        WeightsMismatch: they are.
    """
    expected = waves(torch.arange(value.shape[1]), value.shape[2])
    if not torch.allclose(value[0].float(), expected, atol=2e-3):
        raise WeightsMismatch(
            f"The published {key} holds no plain waves, which is how {NAME} tells frames apart. "
            "Use AnimateDiff's mm_sd_v15_v2.ckpt"
        )
