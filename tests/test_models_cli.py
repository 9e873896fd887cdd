"""``visavis models`` as people and scripts run it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hub_stand_in import StandIn, serving
from product import visavis
from visavis.hub.catalog import CATALOG


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("VISAVIS_ACCEPT_LICENCE", raising=False)
    return tmp_path / "models"


def test_list_tells_names_sizes_and_licences(tmp_path: Path) -> None:
    run = visavis("models", "list", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    for text in (
        "ditto",
        "2.17 GB",
        "Apache-2.0",
        "liveportrait",
        "522.3 MB",
        "0 of 5 files here",
        "latent-tiny",
    ):
        assert text in run.stdout
    rows = json.loads(visavis("models", "list", "--json", folder=tmp_path).stdout)
    assert [row["name"] for row in rows] == ["ditto", "liveportrait"]
    assert rows[0]["missing"] == rows[0]["files"] == 7
    assert not (tmp_path / "models").exists()


def test_the_licence_comes_before_the_network(tmp_path: Path) -> None:
    environment = dict(os.environ, HF_ENDPOINT="http://127.0.0.1:9")
    run = visavis("models", "fetch", "ditto", folder=tmp_path, env=environment)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "--accept-licence" in run.stderr
    assert "InsightFace" in run.stderr


def test_no_network_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    environment = dict(os.environ, HF_ENDPOINT="http://127.0.0.1:9")
    words = ("models", "fetch", "liveportrait", "--accept-licence")
    run = visavis(*words, folder=tmp_path, env=environment)
    assert run.returncode == 1
    assert "visavis: error: The hub cannot be reached" in run.stderr
    assert "Traceback" not in run.stderr


def test_ditto_comes_from_a_hub(tmp_path: Path, shelf: Path) -> None:
    pytest.importorskip("huggingface_hub")
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from visavis.neural.random_weights import write_random

    files = write_random("ditto", tmp_path / "served", is_tiny=True)
    ditto = CATALOG["ditto"]
    hub = StandIn(tmp_path / "served", ditto.repository, (ditto.revision, "main"))
    words = ("models", "fetch", "ditto", "--accept-licence")
    with serving(hub):
        environment = dict(os.environ, HF_ENDPOINT=hub.url)
        run = visavis(*words, folder=tmp_path, env=environment)
        assert run.returncode == 1
        assert "another appearance_extractor.pth than was published" in run.stderr
        run = visavis(*words, "--revision", "main", folder=tmp_path, env=environment)
        assert run.returncode == 0, run.stderr
    assert run.stdout == f"{shelf / 'ditto'}\n"
    assert "7 of 7: hubert_streaming_fix_kv.onnx" in run.stderr
    for file in files:
        place = shelf / "ditto" / file.relative_to(tmp_path / "served")
        assert place.read_bytes() == file.read_bytes()
    rows = json.loads(visavis("models", "list", "--json", folder=tmp_path).stdout)
    assert rows[0]["missing"] == 0


def test_an_unknown_name(tmp_path: Path) -> None:
    run = visavis("models", "fetch", "dito", folder=tmp_path)
    assert run.returncode == 1
    assert "Did you mean 'ditto'?" in run.stderr


def test_random_check_convert(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    run = visavis("models", "random", "ditto", "theirs", "--tiny", "--json", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    files = [Path(name) for name in json.loads(run.stdout)]
    assert all((tmp_path / file).is_file() for file in files)
    run = visavis("models", "convert", "theirs", "--out", "ours", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "decoder.safetensors" in run.stdout
    (tmp_path / "ours/decoder.safetensors").write_bytes(b"broken")
    run = visavis("models", "check", "ours", "--json", folder=tmp_path)
    assert run.returncode == 1
    faults = [row for row in json.loads(run.stdout) if not row["is_ok"]]
    assert [row["network"] for row in faults] == ["decoder"]
