"""Published weights of Stable Diffusion's family fit, and compute what they do where published."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch.nn import functional  # noqa: E402

from visavis.errors import ModelError, WeightsMismatch  # noqa: E402
from visavis.nn.checkpoints import write_converted  # noqa: E402
from visavis.nn.rule import normal, rule_weights  # noqa: E402
from visavis.video.attention import Scene, waves  # noqa: E402
from visavis.video.blocks import UNet, time_waves  # noqa: E402
from visavis.video.denoiser import VideoNetworks  # noqa: E402
from visavis.video.sizes import VideoConfig  # noqa: E402
from visavis.video.weights import (  # noqa: E402
    PARTS,
    POSITIONS,
    adopt,
    from_published,
    published_shapes,
    read_networks,
    read_part,
    write_networks,
)

SMALL = dataclasses.replace(
    VideoConfig.smallest(is_published=True),
    attends=(True, False), feed=4, layers=2, context=12,
)  # fmt: skip
"""Sizes that diffusers 0.42.1 was given, too: widths 16, 32; 2 layers; 2 heads; 4 groups."""


def published(part: str, config: VideoConfig = SMALL, prefix: str = "") -> dict:
    """Published weights by the rule."""
    state = {}
    for key, value in rule_weights(published_shapes(part, config), prefix=prefix).items():
        is_wave = key.endswith(POSITIONS)
        state[key] = (
            waves(torch.arange(value.shape[1]), value.shape[2])[None]
            if is_wave
            else torch.from_numpy(value)
        )
    return state


def spelled_unet(widths: tuple, layers: int, attends: tuple, context: int) -> set:
    """The keys of a diffusers U-Net, spelled out anew."""

    def both(name: str) -> list:
        return [f"{name}.weight", f"{name}.bias"]

    def residual(at: str, has_shortcut: bool) -> list:
        names = ["norm1", "conv1", "time_emb_proj", "norm2", "conv2"]
        return [k for n in [*names, *["conv_shortcut"] * has_shortcut] for k in both(f"{at}.{n}")]

    def transformer(at: str) -> list:
        inner = f"{at}.transformer_blocks.0"
        names = [f"{at}.norm", f"{at}.proj_in", f"{at}.proj_out", f"{inner}.ff.net.0.proj"]
        names += [f"{inner}.ff.net.2", *(f"{inner}.norm{i}" for i in (1, 2, 3))]
        names += [f"{inner}.attn{i}.to_out.0" for i in (1, 2)]
        plain = [f"{inner}.attn{i}.to_{p}.weight" for i in (1, 2) for p in "qkv"]
        return [k for n in names for k in both(n)] + plain

    ends = ("conv_in", "time_embedding.linear_1", "time_embedding.linear_2", "conv_norm_out")
    keys = [k for n in (*ends, "conv_out") for k in both(n)]
    last = len(widths) - 1
    for i in range(len(widths)):
        for j in range(layers + 1):
            up = f"up_blocks.{last - i}"
            keys += residual(f"{up}.resnets.{j}", True)
            keys += transformer(f"{up}.attentions.{j}") if attends[i] else []
            if j < layers:
                changes = j == 0 and i > 0 and widths[i] != widths[i - 1]
                keys += residual(f"down_blocks.{i}.resnets.{j}", changes)
                keys += transformer(f"down_blocks.{i}.attentions.{j}") if attends[i] else []
        keys += both(f"down_blocks.{i}.downsamplers.0.conv") if i < last else []
        keys += both(f"up_blocks.{i}.upsamplers.0.conv") if i < last else []
    for j in (0, 1):
        keys += residual(f"mid_block.resnets.{j}", False)
    return {*keys, *transformer("mid_block.attentions.0")}


@pytest.mark.parametrize("part", ["unet", "reference"])
def test_keys_are_those_of_stable_diffusion(part: str) -> None:
    shapes = published_shapes(part, VideoConfig.sd15())
    assert len(shapes) == 686
    assert set(shapes) == spelled_unet(
        (320, 640, 1280, 1280), 2, (True, True, True, False), context=768
    )
    assert sum(int(np.prod(s)) for s in shapes.values()) == 859_520_964
    listed = sorted((key, list(shape)) for key, shape in shapes.items())
    assert zlib.crc32(repr(listed).encode()) == 0x4133A24B  # of diffusers' own model


def test_keys_over_time_are_those_of_animatediff() -> None:
    shapes = published_shapes("motion", VideoConfig.sd15())
    assert len(shapes) == 21 * 28
    inner = "temporal_transformer.transformer_blocks.0."
    first = f"up_blocks.3.motion_modules.2.{inner}"
    assert shapes[f"{first}attention_blocks.1.{POSITIONS}"] == (1, 32, 320)
    assert shapes[f"{first}attention_blocks.1.to_q.weight"] == (320, 320)
    assert shapes[f"{first}attention_blocks.0.to_out.0.bias"] == (320,)
    assert shapes[f"{first}ff.net.0.proj.weight"] == (2560, 320)
    assert shapes[f"{first}norms.1.bias"] == shapes[f"{first}ff_norm.bias"] == (320,)
    assert shapes["mid_block.motion_modules.0.temporal_transformer.proj_out.bias"] == (1280,)
    learnt = [s for key, s in shapes.items() if not key.endswith(POSITIONS)]
    assert sum(int(np.prod(s)) for s in learnt) == 453_209_280


@torch.no_grad()
def test_the_unet_computes_what_diffusers_does() -> None:
    state = from_published("unet", published("unet"), SMALL)
    inside = {key.removeprefix("denoiser."): value for key, value in state.items()}
    net = UNet(SMALL, has_motion=False, has_portrait=False, has_ups=True)
    net.load_state_dict({k[4:]: v for k, v in inside.items() if k.startswith("net.")})
    latents = torch.from_numpy(normal("latents", (2, 4, 8, 8))).float()
    context = torch.from_numpy(normal("context", (2, 3, 12))).float()
    told = net.time(time_waves(torch.tensor([0.7, 0.02]), SMALL.widths[0]))
    x, _ = net(net.stem(latents), Scene(told, context, torch.zeros(1), 2, 1), None)
    x = functional.group_norm(x, SMALL.groups, inside["norm.weight"], inside["norm.bias"])
    x = functional.conv2d(functional.silu(x), inside["out.weight"], inside["out.bias"], padding=1)
    # diffusers 0.42.1, UNet2DConditionModel of these sizes and weights, steps 700 and 20
    expected = [[-0.0014, 0.6452, -0.40798, 1.16312], [-0.05979, -0.98468, -0.32149, 1.22939]]
    torch.testing.assert_close(x[:, :, 3, 5], torch.tensor(expected), atol=2e-5, rtol=0)
    assert x.abs().mean().item() == pytest.approx(0.55472, abs=1e-5)


@torch.no_grad()
def test_the_temporal_module_computes_what_animatediff_does() -> None:
    networks = VideoNetworks(SMALL)
    adopt(networks, {"motion": published("motion")})
    module = networks.denoiser.net.downs[1].layers[1].motion
    features = torch.from_numpy(normal("features", (6, 32, 4, 4))).float()
    scene = Scene(torch.zeros(6, 1), torch.zeros(6, 1, 1), torch.arange(3), clips=2, frames=3)
    # diffusers 0.42.1, AnimateDiffTransformer3D, normalised frame by frame as AnimateDiff does
    expected = [-3.62983, -0.57526, -1.5233, -3.71196, -3.06264, -2.2393]
    torch.testing.assert_close(
        module(features, scene)[:, 7, 1, 2], torch.tensor(expected), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize("config", [SMALL, VideoConfig.smallest(), VideoConfig.smallest(True)])
def test_all_parts_go_in_and_nothing_else_is_touched(config: VideoConfig) -> None:
    torch.manual_seed(0)
    networks = VideoNetworks(config)
    before = {key: value.clone() for key, value in networks.state_dict().items()}
    if not config.is_reference_whole:
        with pytest.raises(WeightsMismatch, match="left over"):
            adopt(networks, {"reference": published("reference", SMALL)})
    left = adopt(networks, {part: published(part, config, part) for part in PARTS})
    for key, value in networks.state_dict().items():
        assert torch.equal(value, before[key]) == (key in left), key
    owners = {key.split(".")[1] for key in left if not key.endswith("nobody")}
    assert owners - {"still", "summary"} == {"speech", "face", "labels", "context"}
    assert ("still" in owners) == config.has_still
    assert ("summary" in owners) == config.has_summary


def test_nests_and_prefixes_are_undone() -> None:
    state = published("motion")
    plain = from_published("motion", state, SMALL)
    nested = {"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}
    again = from_published("motion", nested, SMALL)
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[key], again[key]) for key in plain)


def test_a_reference_network_may_lack_its_last_layers() -> None:
    state = published("reference")
    whole = from_published("reference", state, SMALL)
    part = {k: v for k, v in state.items() if not k.startswith(("conv_norm_out", "conv_out"))}
    assert from_published("reference", part, SMALL).keys() == whole.keys()
    assert not any("norm_out" in key for key in whole)


@pytest.mark.parametrize("part", list(PARTS))
def test_other_weights_are_refused(part: str) -> None:
    state = published(part)
    key = next(k for k in state if k.endswith("proj_in.weight"))
    for other in ({k: v for k, v in state.items() if k != key}, state | {"more": torch.ones(1)},
                  state | {key: torch.ones(3)}):  # fmt: skip
        with pytest.raises(WeightsMismatch, match=f"the {part} of video"):
            from_published(part, other, SMALL)


def test_other_places_of_frames_are_refused() -> None:
    state = published("motion")
    key = next(k for k in state if k.endswith(POSITIONS))
    with pytest.raises(WeightsMismatch, match="no plain waves"):
        from_published("motion", state | {key: state[key] + 0.1}, SMALL)
    half = {k: v.half() for k, v in state.items()}
    assert from_published("motion", half, SMALL)


def test_our_files_come_back(tmp_path) -> None:
    networks = VideoNetworks(VideoConfig.smallest())
    path = tmp_path / "video.safetensors"
    write_networks(path, networks)
    again = read_networks(path)
    assert again.config == networks.config
    assert not any(p.requires_grad for p in again.parameters())
    for key, value in networks.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    with pytest.raises(ModelError, match="no file"):
        read_networks(tmp_path / "none.safetensors")
    write_converted(path, dict(networks.state_dict()), {"config": VideoConfig.sd15().to_json()})
    with pytest.raises(WeightsMismatch, match="missing"):
        read_networks(path)
    for text in ("", "[]", "{}", networks.config.to_json().replace("16, 32", "16, 33")):
        write_converted(path, dict(networks.state_dict()), {"config": text})
        with pytest.raises(WeightsMismatch, match="sizes"):
            read_networks(path)


def test_published_files_of_both_kinds_are_read(tmp_path) -> None:
    state = published("motion")
    torch.save({"state_dict": state}, tmp_path / "mm.ckpt")
    write_converted(tmp_path / "mm.safetensors", state, {})
    for name in ("mm.ckpt", "mm.safetensors"):
        held = from_published("motion", read_part(tmp_path / name), SMALL)
        assert len(held) == len(from_published("motion", state, SMALL))


@pytest.mark.parametrize(
    "change", [{"attends": (True,)}, {"groups": 5}, {"motion_heads": 16}, {"heads": 3}]
)
def test_sizes_that_do_not_go_together_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="multiple|turned|must say"):
        dataclasses.replace(VideoConfig.smallest(), **change)
