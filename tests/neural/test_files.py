"""Files of models: written at random, looked through, converted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from golden import IS_FULL, keys
from visavis.audio.hubert import WINDOW_SAMPLES, load_hubert
from visavis.errors import ModelError, OutputError, UnknownModel, WeightsMismatch
from visavis.hub.catalog import CATALOG
from visavis.hub.folder import Record, Seen, digest, write_record
from visavis.nn.rule import rule_weights
from visavis.types import Audio

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from visavis.motion.ditto.weights import read_lmdm  # noqa: E402
from visavis.neural.checking import Verdict, check  # noqa: E402
from visavis.neural.converting import convert  # noqa: E402
from visavis.neural.random_weights import write_random  # noqa: E402
from visavis.nn.checkpoints import read_published  # noqa: E402
from visavis.render.liveportrait.eager import open_networks  # noqa: E402


def verdict(verdicts: list[Verdict], network: str) -> Verdict:
    return next(v for v in verdicts if v.network == network)


@pytest.mark.parametrize("name", list(CATALOG))
def test_random_files_lie_where_the_published_ones_do(tiny: dict[str, Path], name: str) -> None:
    files = {str(p.relative_to(tiny[name])) for p in tiny[name].rglob("*") if p.is_file()}
    assert files == {file.path for file in CATALOG[name].files} | {"config.json"}
    verdicts = check(tiny[name])
    assert [v.network for v in verdicts] == [file.network for file in CATALOG[name].files]
    assert all(v.is_ok for v in verdicts), verdicts
    assert "not the published file" in verdict(verdicts, "motion").text


def test_random_weights_follow_the_seed(tiny: dict[str, Path], tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 7)):
        write_random("ditto", tmp_path / name, is_tiny=True, seed=seed)
    for file in CATALOG["ditto"].files:
        one, same, other = (
            p / file.path for p in (tiny["ditto"], tmp_path / "same", tmp_path / "other")
        )
        assert digest(one) == digest(same)
        assert digest(one) != digest(other)
    assert all(v.is_ok for v in check(tmp_path / "other"))


def test_random_files_overwrite_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(OutputError, match="is no empty folder"):
        write_random("ditto", tmp_path, is_tiny=True)
    with pytest.raises(OutputError, match="is no empty folder"):
        write_random("ditto", tmp_path / "mine", is_tiny=True)
    with pytest.raises(OutputError, match="cannot be written to"):
        write_random("ditto", tmp_path / "mine/below", is_tiny=True)
    with pytest.raises(UnknownModel):
        write_random("dito", tmp_path / "new")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not IS_FULL, reason="the published keys are in ../shared")
def test_the_rule_gives_the_published_files_their_keys(true_size: Path) -> None:
    for network, name in (("lmdm", "lmdm_model"), ("stitching", "lp_stitching")):
        file = next(f for f in CATALOG["ditto"].files if f.network == network)
        held = read_published(true_size / file.path)
        nest = held["model_state_dict"] if network == "lmdm" else held["retarget_shoulder"]
        state = {key.removeprefix("module."): value for key, value in nest.items()}
        assert {key: tuple(value.shape) for key, value in state.items()} == keys(name)
        prefix = "retarget_shoulder." if network == "stitching" else ""
        expected = rule_weights(keys(name), prefix=prefix)
        if network == "lmdm":
            expected["final_layer.weight"] *= np.float32(0.1)
        assert all(np.array_equal(state[key].numpy(), expected[key]) for key in expected)
    published_bytes = {f.path: f.size for f in CATALOG["ditto"].files if f.network != "hubert"}
    for path, size in published_bytes.items():
        written = (true_size / path).stat().st_size
        assert abs(written / (size or 1) - 1) < (0.05 if size and size > 3e6 else 0.7), path


def test_huberts_stand_in_hears(tiny: dict[str, Path]) -> None:
    hubert = load_hubert(
        tiny["ditto"] / "ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx", normalize=False
    )
    assert hubert.size == 1024
    sound = np.random.default_rng(0).normal(0, 0.1, 2 * WINDOW_SAMPLES).astype(np.float32)
    _, heard = hubert.step(hubert.start(), Audio(sound), final=True)
    assert heard.values.std(axis=0).mean() > 0.01


def test_a_converted_folder_is_the_same_model(tiny: dict[str, Path], tmp_path: Path) -> None:
    files = convert(tiny["ditto"], tmp_path / "ours")
    assert {path.suffix for path in files} == {".safetensors", ".onnx"}
    verdicts = check(tmp_path / "ours")
    assert all(v.is_ok for v in verdicts), verdicts
    assert "converted" in verdict(verdicts, "decoder").text
    before, after = open_networks(tiny["ditto"]), open_networks(tmp_path / "ours")
    assert before.keys() == after.keys()
    before["lmdm"] = read_lmdm(tiny["ditto"] / "ditto_pytorch/models/lmdm_v0.4_hubert.pth")
    after["lmdm"] = read_lmdm(tmp_path / "ours/lmdm.safetensors")
    for name, network in before.items():
        theirs = after[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())


@pytest.fixture
def copy(tiny: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny["ditto"], tmp_path / "copy"))


def test_a_folder_is_converted_in_place_and_again(copy: Path, tmp_path: Path) -> None:
    first = convert(copy)
    assert {path.parent for path in first} == {copy}
    assert not (copy / "hubert.onnx").exists()
    verdicts = check(copy)
    assert all(v.is_ok for v in verdicts), verdicts
    assert verdict(verdicts, "decoder").file == "decoder.safetensors"
    shutil.rmtree(copy / "ditto_pytorch/models")
    convert(copy)
    convert(copy, tmp_path / "again")
    assert (tmp_path / "again/hubert.onnx").is_file()
    before, after = open_networks(copy), open_networks(tmp_path / "again")
    for name, network in before.items():
        theirs = after[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())


def test_a_conversion_that_broke_off_is_made_whole(copy: Path, tmp_path: Path) -> None:
    convert(copy)
    (copy / "decoder.safetensors").unlink()
    with pytest.raises(ModelError, match="visavis models convert"):
        open_networks(copy)
    convert(copy)
    open_networks(copy)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file cannot be written to"):
        convert(copy, tmp_path / "file")


def test_a_file_of_another_network_is_told(copy: Path) -> None:
    convert(copy)
    shutil.copyfile(copy / "motion.safetensors", copy / "decoder.safetensors")
    assert "holds the network motion" in verdict(check(copy), "decoder").text
    with pytest.raises(WeightsMismatch, match="holds the network motion"):
        open_networks(copy)


def test_check_says_what_is_missing(copy: Path) -> None:
    (copy / "ditto_pytorch/models/decoder.pth").unlink()
    found = verdict(check(copy), "decoder")
    assert (found.is_ok, found.file) == (False, "")
    assert "ditto_pytorch/models/decoder.pth (visavis models fetch ditto)" in found.text
    with pytest.raises(ModelError, match="no weights of decoder"):
        convert(copy, copy.parent / "ours")


def test_check_tells_what_is_wrong_inside(copy: Path) -> None:
    models = copy / "ditto_pytorch/models"
    held = torch.load(models / "warp_network.pth", weights_only=True)
    key = next(iter(held))
    torch.save(held | {"extra": held[key]}, models / "warp_network.pth")
    held = torch.load(models / "decoder.pth", weights_only=True)
    held["fc.bias"][2] = float("nan")
    torch.save(held, models / "decoder.pth")
    (models / "motion_extractor.pth").write_bytes(b"not weights")
    held = torch.load(models / "lmdm_v0.4_hubert.pth", weights_only=True)
    held["model_state_dict"].pop("norm_cond.bias")
    torch.save(held, models / "lmdm_v0.4_hubert.pth")
    (copy / "ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx").write_bytes(b"not a graph")
    verdicts = check(copy)
    assert {v.network: v.is_ok for v in verdicts} == {
        "appearance": True,
        "motion": False,
        "warping": False,
        "decoder": False,
        "stitching": True,
        "lmdm": False,
        "hubert": False,
    }
    assert "1 are left over: extra" in verdict(verdicts, "warping").text
    assert "holds values that are no numbers" in verdict(verdicts, "decoder").text
    assert "cannot be read as PyTorch weights" in verdict(verdicts, "motion").text
    assert "1 are missing: norm_cond.bias" in verdict(verdicts, "lmdm").text
    assert "cannot be read as an ONNX network" in verdict(verdicts, "hubert").text


def test_check_by_name_is_strict(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_MODELS", str(copy.parent / "models"))
    assert not any(v.is_ok for v in check("ditto"))
    folder = copy.parent / "models" / "ditto"
    shutil.copytree(copy, folder)
    assert "instead of 251e6a94ad66" in verdict(check("ditto"), "motion").text
    files = {f.path: Seen(1, digest(folder / f.path)) for f in CATALOG["ditto"].files}
    write_record(folder, Record("", "main", "", files))
    verdicts = check("ditto")
    assert all(v.is_ok for v in verdicts)
    assert "as it came" in verdict(verdicts, "motion").text
    with pytest.raises(UnknownModel):
        check("dito")
