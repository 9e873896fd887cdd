from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from visavis.animator import MotionAnimator, Prepared
from visavis.api import load
from visavis.stream.worker import Crew
from visavis.types import Portrait

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS / "dialogue"), str(TESTS / "voice")]


@pytest.fixture(scope="session")
def animator() -> MotionAnimator:
    """The packaged animator without the networks that paint."""
    return load(live=True, quality="draft")


@pytest.fixture(scope="session")
def prepared(animator: MotionAnimator, portrait: Portrait) -> Prepared:
    return animator.prepare(portrait, (96, 96))


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(1)
    yield crew
    crew.close()


@pytest.fixture(scope="session")
def words(speech: np.ndarray) -> np.ndarray:
    """2.35 s of somebody speaking without a long pause, 16 kHz."""
    return speech[int(1.37 * 16_000) : int(3.72 * 16_000)]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
