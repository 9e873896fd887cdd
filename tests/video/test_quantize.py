"""A latent model in bytes: near the one in floats, opened by the same runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from visavis.media.image import read_image  # noqa: E402
from visavis.motion.controls import Controls  # noqa: E402
from visavis.nn.quantize import to_bytes  # noqa: E402
from visavis.nn.session import Network  # noqa: E402
from visavis.opening import DEMO_PORTRAIT  # noqa: E402
from visavis.train import quantize_video as quantizing  # noqa: E402
from visavis.train.video_data import VideoClip  # noqa: E402
from visavis.types import Phase  # noqa: E402
from visavis.video.opening import FILES, open_latent  # noqa: E402
from visavis.video.settings import FILE  # noqa: E402

RNG = np.random.default_rng(0)


def clip_of(frames: int, portrait: np.ndarray) -> VideoClip:
    nothing = np.zeros((0, 64, 64, 3), np.uint8)
    phase = np.array([2] * (frames - 3) + [0] * 3)
    return VideoClip(
        "clip", "somebody", "animated", nothing, portrait,
        RNG.random((frames, 4, 45), np.float32), phase, np.full(frames, 8),
        np.zeros((frames, 3, 4), np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def feeds(latent_model: Path):
    nobody = np.zeros((64, 64, 3), np.uint8)
    clips = [clip_of(9, nobody), clip_of(12, read_image(DEMO_PORTRAIT))]
    return quantizing.spoken(latent_model, clips)


def test_what_the_networks_are_given_is_kept(feeds):
    new = [feed["latents"].shape[2] - 4 for feed in feeds["denoiser"]]
    assert sum(new) == 12  # the picture without a face is left out
    assert new[0] == 4
    assert len(feeds["decoder"]) == 3  # every fifth picture
    picked = quantizing.thinned(feeds["denoiser"], 2)
    assert [id(feed) for feed in picked] == [id(feeds["denoiser"][i]) for i in (0, -1)]


def test_phases_are_wishes():
    timeline = quantizing.timeline_of(clip_of(9, np.zeros((4, 4, 3), np.uint8)))
    assert timeline.keys == (
        (0.0, Controls(phase=Phase.SPEAKING)), (6 / 25, Controls(phase=tuple(Phase)[0]))
    )  # fmt: skip


def test_a_model_in_bytes_is_near_and_opens(latent_model, feeds, tmp_path):
    out = tmp_path / "bytes"
    nodes = quantizing.quantize_latent(latent_model, out, feeds)
    assert min(nodes.values()) > 3
    assert sorted(p.name for p in out.iterdir()) == sorted([FILE, *(f"{n}.onnx" for n in FILES)])
    for name in quantizing.PARTS:
        pair = latent_model / f"{name}.onnx", out / f"{name}.onnx"
        found = quantizing.apart(*pair, feeds[name])
        assert 0 < found["error"] < 0.1
        texts = [Network(str(path)).metadata for path in pair]
        assert texts[0].items() <= texts[1].items()
    open_latent(out)


def test_one_part_alone(latent_model, feeds, tmp_path):
    nodes = quantizing.quantize_latent(latent_model, tmp_path, feeds, ["decoder"])
    assert set(nodes) == {"decoder"}
    same = (tmp_path / "denoiser.onnx").read_bytes()
    assert same == (latent_model / "denoiser.onnx").read_bytes()


def test_named_nodes_and_the_last_convolution_stay_in_floats(latent_model, feeds, tmp_path):
    out = tmp_path / "decoder.onnx"
    source = latent_model / "decoder.onnx"
    every = to_bytes(source, out, feeds["decoder"])
    fewer = to_bytes(source, out, feeds["decoder"], floats=("/flows.",))
    assert fewer == every - 2
    convolutions = [n for n in onnx.load(str(source)).graph.node if n.op_type == "Conv"]
    assert every == len(convolutions) - 1
