"""Every packaged file is the published one, is described, and came from nobody else's shelf."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.hub import ASSETS, asset, manifest

FILES = [path for path in ASSETS.rglob("*") if path.is_file()]


def card_of(name: str) -> Path:
    """The card of the file ``name``; files of a folder share one beside it."""
    folder, _, file = name.rpartition("/")
    return ASSETS / f"{folder}.md" if folder else (ASSETS / file).with_suffix(".md")


def test_nothing_is_packaged_that_the_manifest_does_not_list() -> None:
    files = {path.relative_to(ASSETS).as_posix() for path in FILES if path.suffix != ".md"}
    assert files - {"manifest.json"} == set(manifest())


@pytest.mark.parametrize("name", sorted(manifest()))
def test_every_file_is_verified_and_has_a_card(name: str) -> None:
    assert asset(name).suffix in {".onnx", ".npz", ".webp", ".flac", ".json"}
    card = card_of(name).read_text("utf-8")
    assert card.startswith(f"# {name.rpartition('/')[0] or name}")
    assert "2026-11-" in card
    assert any(word in card.lower() for word in ("licen", "apache", "mit"))


def test_the_package_stays_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < 38_000_000
