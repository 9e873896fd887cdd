"""The looks of a clip's mouth: mixed as the head turns, and handed on untouched where one is."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.render.clip_light import Patch
from visavis.render.geometry import Box
from visavis.render.rig import load_rig

LEVELS = (10, 13, 250)


def patch(*shares: float) -> Patch:
    looks = np.stack([np.full((4, 5, 3), level, np.uint8) for level in LEVELS])
    return Patch(
        looks=looks,
        box=Box(0, 0, 5, 4),
        cover=np.ones((4, 5), np.float32),
        shares=np.array([shares], np.float32),
        points=np.zeros((478, 2), np.float32),
        held=np.zeros(478, bool),
        rig=load_rig(),
    )


@pytest.mark.parametrize(
    ("shares", "level"),
    [((0.5, 0.5, 0.0), 12), ((0.4, 0.2, 0.4), 107), ((0.0, 0.3, 0.7), 179)],
)
def test_looks_are_mixed_and_rounded(shares: tuple[float, ...], level: int) -> None:
    look = patch(*shares).look(0)
    assert look.dtype == np.uint8
    assert (look == level).all()


def test_a_single_look_is_not_copied() -> None:
    one = patch(0.004, 0.99, 0.006)
    assert np.shares_memory(one.look(0), one.looks)
    assert (one.look(0) == LEVELS[1]).all()
