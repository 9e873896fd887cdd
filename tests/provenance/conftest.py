"""A folder of settings of its own for every test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from visavis.media.write import open_writer
from visavis.provenance.policy import VARIABLE


@pytest.fixture(autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of settings, empty."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.delenv(VARIABLE, raising=False)
    return folder / "visavis"


@pytest.fixture
def write_video() -> Callable[[Path], Path]:
    """Writes a small video of noise to a path, and returns that."""

    def write(path: Path) -> Path:
        noise = np.random.default_rng(0)
        with open_writer(path, (64, 64), 25) as writer:
            for _ in range(8):
                writer.write(noise.integers(0, 255, (64, 64, 3), np.uint8))
        return path

    return write
