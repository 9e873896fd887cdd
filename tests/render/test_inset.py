"""Drawing only what moves gives the picture that drawing everything would give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from visavis.render.inset import InsetRenderer, moving_region
from visavis.render.mesh_warp import MeshWarpRenderer, resized
from visavis.types import ARKIT_NAMES, Motion, Portrait


@pytest.fixture(scope="module")
def wide(portrait: Portrait) -> Portrait:
    """The demo portrait, 200 pixels large, within a photograph of 900 x 700."""
    small = resized(portrait, (200, 200))
    at = (slice(120, 320), slice(400, 600))
    image = np.full((700, 900, 3), (90, 140, 110), np.uint8)
    matte, head = np.zeros((700, 900), np.float32), np.zeros((700, 900), np.float32)
    image[at], matte[at], head[at] = small.image, small.matte, small.head_matte
    shift = np.array([400, 120, 0], np.float32)
    return replace(
        small, image=image, landmarks=small.landmarks + shift, matte=matte, head_matte=head
    )


def lively() -> Motion:
    motion = Motion.rest(1)
    motion.coefficients[0, ARKIT_NAMES.index("jawOpen")] = 0.6
    motion.rotation[0] = (6, 10, 4)
    motion.translation[0] = (0.05, -0.05)
    return motion


def test_the_region_holds_the_head_and_little_else(wide: Portrait) -> None:
    region = moving_region(wide)
    assert region.left < 400
    assert region.left + region.width > 600
    assert region.width * region.height < 0.4 * 900 * 700


def test_nothing_changes_outside_and_the_border_is_seamless(wide: Portrait) -> None:
    renderer = InsetRenderer(MeshWarpRenderer())
    appearance = renderer.prepare(wide, (900, 700))
    frame = renderer.draw(appearance, lively())
    region = appearance.region
    inside = np.zeros((700, 900), bool)
    margin = 12
    inside[
        region.top + margin : region.top + region.height - margin,
        region.left + margin : region.left + region.width - margin,
    ] = True
    changed = np.abs(frame.astype(int) - wide.image).max(2) > 8
    assert changed[inside].sum() > 2000
    assert not changed[~inside].any()


def test_a_close_portrait_is_drawn_whole(portrait: Portrait) -> None:
    inset, plain = InsetRenderer(MeshWarpRenderer()), MeshWarpRenderer()
    a = inset.draw(inset.prepare(portrait, (256, 256)), lively())
    b = plain.draw(plain.prepare(portrait, (256, 256)), lively())
    assert np.array_equal(a, b)
