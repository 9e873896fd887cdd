from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from visavis.integrations.speaker import Face, open_face
from visavis.opening import DEMO_PORTRAIT
from visavis.stream.worker import Crew


@pytest.fixture(scope="session")
def face() -> Iterator[Face]:
    """The embedded portrait, small and without the networks that paint."""
    crew = Crew(threads=1)
    yield open_face(DEMO_PORTRAIT, size=96, quality="draft", crew=crew)
    crew.close()


@pytest.fixture(scope="session")
def words(speech: np.ndarray) -> np.ndarray:
    """Speech (n,) int16 at 16 kHz without a zero, so that silence can be told from sound."""
    pcm = (speech[16_000:80_000] * 32_000).astype(np.int16)
    return np.where(pcm == 0, 1, pcm).astype(np.int16)
