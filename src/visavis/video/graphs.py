"""Both networks as ONNX files, so that a finished model runs without PyTorch.

The outputs of the reference network's file are inputs of the denoiser's, by name: what is known of
the portrait. One file of the denoiser takes any number of clips, of any length; the sides of the
latents are fixed. All conditions are given, labels may be "not known"; a model for few steps has
its guidance folded in, that of a base model is made within the file, by a second call. What the
files hold besides is ``VideoConfig`` as JSON, under "config".
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from visavis.nn.export import OPSET
from visavis.video.blocks import Appearance
from visavis.video.conditions import Conditions
from visavis.video.denoiser import Denoiser, VideoNetworks
from visavis.video.rolling import guided
from visavis.video.sizes import VideoConfig

CLIP_INPUTS = ("latents", "time", "speech", "phase", "emotion", "face")
"""Inputs of the denoiser's file beside the portrait: arguments of ``Denoiser`` by name."""
OUTPUT = "clean"
_EXAMPLE_FRAMES = 3


def portrait_names(networks: VideoNetworks) -> list[str]:
    """Return the names of what is known of a portrait: keys and values, then what is added."""
    count = len(list(networks.denoiser.net.transformers()))
    names = [f"{kind}_{i}" for i in range(count) for kind in ("key", "value")]
    return names + ["still"] * networks.config.has_still


def _in_a_row(appearance: Appearance) -> tuple[Tensor, ...]:
    """Return what is known of a portrait in the order of ``portrait_names``."""
    pairs = tuple(each for pair in appearance.kept for each in pair)
    return pairs if appearance.still is None else (*pairs, appearance.still)


class _Reference(nn.Module):
    """A portrait's latent to its keys and values, one after the other."""

    def __init__(self, networks: VideoNetworks) -> None:
        """Wrap ``networks``."""
        super().__init__()
        self.networks = networks

    def forward(self, portrait: Tensor) -> tuple[Tensor, ...]:
        """Return keys and values (b, heads, l, d) in turn, then what is added, if anything."""
        return _in_a_row(self.networks.appearance(portrait))


class _Denoiser(nn.Module):
    """The denoiser with all that it is told as tensors in a row."""

    def __init__(self, denoiser: Denoiser, speech: float) -> None:
        """Wrap ``denoiser``; the sound counts ``speech`` times."""
        super().__init__()
        self.denoiser = denoiser
        self.weight = speech

    def forward(self, latents: Tensor, time: Tensor, *told: Tensor) -> Tensor:
        """Return the guess (b, c, t, h, w); ``told`` as in ``CLIP_INPUTS``, then the portrait."""
        speech, phase, emotion, face, *known = told
        still = known.pop() if self.denoiser.config.has_still else None
        appearance = Appearance(tuple(zip(known[::2], known[1::2], strict=True)), still)
        conditions = Conditions(appearance, speech, phase, emotion, face)
        guess: Tensor = guided(self.denoiser, conditions, speech=self.weight)(latents, time)
        return guess


def export_reference(networks: VideoNetworks, path: Path, side: int) -> None:
    """Write the reference network for portraits of ``side`` x ``side`` latents to ``path``."""
    names = portrait_names(networks)
    portrait = torch.zeros(1, networks.config.latent, side, side)
    axes = {name: {0: "portraits"} for name in ("portrait", *names)}
    _write(_Reference(networks), path, {"portrait": portrait}, names, axes, networks.config)


def export_denoiser(networks: VideoNetworks, path: Path, side: int, speech: float = 1.0) -> None:
    """Write the denoiser for latents of ``side`` x ``side`` to ``path``.

    A batch of clips has a portrait each, or one for all. ``speech`` is the weight of the sound in
    guidance; any but 1 costs a second call.
    """
    config, frames = networks.config, _EXAMPLE_FRAMES
    count = 2  # exporters take one for an axis that is always one
    with torch.no_grad():
        appearance = networks.appearance(torch.zeros(count, config.latent, side, side))
    known, names = _in_a_row(appearance), portrait_names(networks)
    labels = torch.zeros(count, frames, dtype=torch.int64)
    clip = (
        torch.zeros(count, config.latent, frames, side, side),
        torch.ones(count, frames),
        torch.zeros(count, frames, config.tokens, config.speech),
        labels,
        labels.clone(),
        torch.ones(count, 1, side, side),
    )
    inputs = dict(zip((*CLIP_INPUTS, *names), (*clip, *known), strict=True))
    axes = {name: {0: "clips", 1: "frames"} for name in ("time", "speech", "phase", "emotion")}
    axes |= {name: {0: "clips", 2: "frames"} for name in ("latents", OUTPUT)}
    axes |= {"face": {0: "faces"}} | {name: {0: "portraits"} for name in names}
    _write(_Denoiser(networks.denoiser, speech), path, inputs, [OUTPUT], axes, config)


def _write(
    module: nn.Module,
    path: Path,
    inputs: Mapping[str, Tensor],
    outputs: list[str],
    axes: Mapping[str, Mapping[int, str]],
    config: VideoConfig,
) -> None:
    """Write ``module`` with examples of its ``inputs`` to ``path``, whole or not at all."""
    import onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of checks that only count before the export
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), str(part), input_names=list(inputs),
            output_names=outputs, opset_version=OPSET, dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(part))
    onnx.helper.set_model_props(model, {"config": config.to_json()})
    onnx.save(model, str(part))
    part.replace(path)
