"""A latent model of random weights, made once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def latent_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with next to no weights, drawn in one step."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from latent_model import write_model

    torch.set_num_threads(1)
    return write_model(tmp_path_factory.mktemp("latent"))
