"""Tiny random models, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny random weights in the published layouts, by name."""
    from visavis.neural.random_weights import write_random

    folder = tmp_path_factory.mktemp("tiny")
    for name in ("ditto", "liveportrait"):
        write_random(name, folder / name, is_tiny=True)
    return {name: folder / name for name in ("ditto", "liveportrait")}


@pytest.fixture(scope="session")
def true_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Ditto's networks in their published sizes, by the golden rule (0.7 GB)."""
    from visavis.neural.random_weights import write_random

    folder = tmp_path_factory.mktemp("true") / "ditto"
    write_random("ditto", folder)
    return folder
