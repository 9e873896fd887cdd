"""Packaged files are the published ones, or they are refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from visavis.errors import UnknownModel, WeightsMismatch
from visavis.hub import assets as hub


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An assets folder with one good and one damaged file."""
    (tmp_path / "good.onnx").write_bytes(b"weights")
    (tmp_path / "damaged.onnx").write_bytes(b"weighty")
    digest = hashlib.sha256(b"weights").hexdigest()
    names = ("good.onnx", "damaged.onnx", "missing.onnx")
    (tmp_path / "manifest.json").write_text(json.dumps(dict.fromkeys(names, digest)))
    monkeypatch.setattr(hub, "ASSETS", tmp_path)
    hub.manifest.cache_clear()
    hub.asset.cache_clear()
    yield tmp_path
    hub.manifest.cache_clear()
    hub.asset.cache_clear()


def test_the_published_file_is_given(shelf: Path) -> None:
    assert hub.asset("good.onnx").read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["damaged.onnx", "missing.onnx"])
def test_another_file_is_refused_with_a_remedy(shelf: Path, name: str) -> None:
    with pytest.raises(WeightsMismatch, match="Reinstall"):
        hub.asset(name)


def test_an_unknown_name_names_the_nearest(shelf: Path) -> None:
    with pytest.raises(UnknownModel, match=r"Did you mean 'good\.onnx'"):
        hub.asset("god.onnx")
