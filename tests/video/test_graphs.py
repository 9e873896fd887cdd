"""The video networks run as ONNX files as they do in PyTorch, for clips of any length."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from visavis.video.conditions import Conditions  # noqa: E402
from visavis.video.denoiser import VideoNetworks  # noqa: E402
from visavis.video.graphs import (  # noqa: E402
    CLIP_INPUTS,
    OUTPUT,
    export_denoiser,
    export_reference,
    portrait_names,
)
from visavis.video.sizes import EMOTIONS, PHASES, VideoConfig  # noqa: E402

SIDE = 8


def opened(path):
    """A session of the file on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def test_guidance_is_made_within_the_file(tmp_path) -> None:
    torch.manual_seed(0)
    networks = VideoNetworks(VideoConfig.smallest()).eval()
    for weight in networks.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.2)
    config, count, frames = networks.config, 2, 6
    export_denoiser(networks, tmp_path / "denoiser.onnx", SIDE, speech=2.5)
    known = networks.appearance(torch.randn(1, config.latent, SIDE, SIDE))
    clip = (
        torch.randn(count, config.latent, frames, SIDE, SIDE),
        torch.rand(count, frames),
        torch.randn(count, frames, config.tokens, config.speech),
        torch.ones(count, frames, dtype=torch.int64),
        torch.ones(count, frames, dtype=torch.int64),
        torch.ones(1, 1, SIDE, SIDE),
    )
    heard = Conditions(known, *clip[2:])
    deaf = networks(clip[0], clip[1], heard.without("speech"))
    expected = deaf + 2.5 * (networks(clip[0], clip[1], heard) - deaf)
    fed = {name: value.numpy() for name, value in zip(CLIP_INPUTS, clip, strict=True)}
    row = [each for pair in known.kept for each in pair] + [known.still]
    names = portrait_names(networks)
    fed |= {name: each.numpy() for name, each in zip(names, row, strict=True)}
    (found,) = opened(tmp_path / "denoiser.onnx").run([OUTPUT], fed)
    np.testing.assert_allclose(found, expected.numpy(), atol=5e-4)


@pytest.mark.parametrize("is_published", [False, True], ids=["tiny", "published"])
@torch.no_grad()
def test_files_compute_what_the_networks_do(tmp_path, is_published: bool) -> None:
    torch.manual_seed(0)
    networks = VideoNetworks(VideoConfig.smallest(is_published)).eval()
    for weight in networks.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.2)
    config = networks.config
    export_reference(networks, tmp_path / "reference.onnx", SIDE)
    export_denoiser(networks, tmp_path / "denoiser.onnx", SIDE)
    reference, denoiser = opened(tmp_path / "reference.onnx"), opened(tmp_path / "denoiser.onnx")
    for session in (reference, denoiser):
        said = session.get_modelmeta().custom_metadata_map["config"]
        assert VideoConfig.from_json(said) == config

    portrait = torch.randn(2, config.latent, SIDE, SIDE)
    names = portrait_names(networks)
    for portraits, count, frames in ((1, 1, 2), (2, 2, 3), (1, 2, 7), (1, 1, 36)):
        given = portrait[:portraits]
        kept = reference.run(names, {"portrait": given.numpy()})
        clip = (
            torch.randn(count, config.latent, frames, SIDE, SIDE),
            torch.rand(count, frames),
            torch.randn(count, frames, config.tokens, config.speech),
            torch.randint(PHASES + 1, (count, frames)),
            torch.randint(EMOTIONS + 1, (count, frames)),
            torch.ones(portraits, 1, SIDE, SIDE),
        )
        told = Conditions(networks.appearance(given), *clip[2:])
        expected = networks(clip[0], clip[1], told).numpy()
        fed = {name: value.numpy() for name, value in zip(CLIP_INPUTS, clip, strict=True)}
        (found,) = denoiser.run([OUTPUT], fed | dict(zip(names, kept, strict=True)))
        np.testing.assert_allclose(found, expected, atol=2e-4)
