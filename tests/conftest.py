"""What all tests share: the data folder beside the checkout, if it is there, and the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from product import SHARED
from visavis.types import Portrait

os.environ["VISAVIS_CACHE"] = "off"  # what is tested is computed, in subprocesses too
os.environ.setdefault("VISAVIS_PROVENANCE", "off")  # a signature differs from run to run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the data folder where there is none."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason="no ../shared beside the checkout"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data folder; the test must carry the mark ``shared``."""
    return SHARED


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """The embedded voice (n,) float32 at 16 kHz."""
    from visavis.media.read import open_audio
    from visavis.opening import DEMO_SPEECH

    with open_audio(DEMO_SPEECH) as reader:
        return np.concatenate(list(reader.chunks()))


@pytest.fixture(scope="session")
def portrait() -> Portrait:
    """The embedded portrait, opened once."""
    from visavis.opening import DEMO_PORTRAIT, open_portrait

    return open_portrait(DEMO_PORTRAIT)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch with one thread: networks of tests are small, and others may share the machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
