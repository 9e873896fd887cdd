"""Black-and-white and tinted photographs: what is painted into them takes on their hue."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.render.tone import tone_of
from visavis.types import ARKIT_NAMES, Motion, Portrait


def tinted(image: np.ndarray, hue: tuple[float, float, float], grain: float = 0) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * np.array(hue)
    noise = np.random.default_rng(0).normal(0, grain, image.shape) if grain else 0
    return np.clip(np.round(grey + noise), 0, 255).astype(np.uint8)


def test_photographs_in_colour_have_no_tone(portrait: Portrait) -> None:
    assert tone_of(portrait.image) is None
    few = (portrait.image // 64) * 64  # a cartoon: each grey has one colour, but no curve
    assert tone_of(few) is None


@pytest.mark.parametrize("hue", [(1, 1, 1), (1.0, 0.87, 0.7), (0.8, 0.9, 1.0)])
def test_a_tint_is_found_and_given(portrait: Portrait, hue: tuple[float, float, float]) -> None:
    image = tinted(portrait.image, hue, grain=1.5)
    tone = tone_of(image)
    assert tone is not None
    again = image.copy()
    tone.apply(again)
    changed = (again != image).any(-1)
    assert changed.mean() < 0.01  # the photograph's own pixels stay
    red = np.full((4, 4, 3), (170, 60, 50), np.uint8)
    tone.apply(red)
    wanted = np.array(hue) / hue[0] * red[0, 0, 0]
    assert np.abs(red[0, 0] - wanted).max() < 6


def test_an_open_mouth_is_grey_in_a_grey_photograph(portrait: Portrait) -> None:
    grey = replace(portrait, image=tinted(portrait.image, (1, 1, 1)))
    renderer, motion = MeshWarpRenderer(), Motion.rest(1)
    motion.coefficients[0, ARKIT_NAMES.index("jawOpen")] = 0.7
    for pose in ((0, 0, 0), (5, 20, -10)):
        motion.rotation[0] = pose
        for size in ((192, 192), (320, 240)):
            frame = renderer.draw(renderer.prepare(grey, size), motion).astype(int)
            assert np.ptp(frame, axis=-1).max() <= 4  # two levels either way
