"""Every packaged file is the published one, is described, and came from nobody else's shelf."""

from __future__ import annotations

import pytest

from visavis.hub import ASSETS, asset, manifest


def test_nothing_is_packaged_that_the_manifest_does_not_list() -> None:
    files = {path.name for path in ASSETS.iterdir() if path.suffix != ".md"}
    assert files - {"manifest.json"} == set(manifest())


@pytest.mark.parametrize("name", sorted(manifest()))
def test_every_file_is_verified_and_has_a_card(name: str) -> None:
    assert asset(name).suffix in {".onnx", ".npz", ".webp", ".flac"}
    card = asset(name).with_suffix(".md").read_text("utf-8")
    assert card.startswith(f"# {name}")
    assert "2026-11-" in card
    assert any(word in card.lower() for word in ("licen", "apache", "mit"))


def test_the_package_stays_small() -> None:
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 16_000_000
