from __future__ import annotations

import numpy as np
import pytest

from visavis.animator import MotionAnimator, Prepared
from visavis.api import load
from visavis.media.read import open_audio
from visavis.opening import DEMO_SPEECH
from visavis.types import Portrait


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Nine seconds of somebody speaking, 16 kHz."""
    with open_audio(DEMO_SPEECH) as reader:
        return np.concatenate(list(reader.chunks(16_000)))


@pytest.fixture(scope="session")
def animator() -> MotionAnimator:
    """The packaged animator without the networks that paint."""
    return load(quality="draft")


@pytest.fixture(scope="session")
def prepared(animator: MotionAnimator, portrait: Portrait) -> Prepared:
    return animator.prepare(portrait, (96, 96))
