"""Drawing only what moves gives the picture that drawing everything would give."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from visavis.faces.framing import Region
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


@pytest.fixture(scope="module")
def group(wide: Portrait) -> Portrait:
    """The same photograph with a neighbour, larger than the person, whom the region cuts through.

    A pole hangs together with the person and leaves the region at its lower border.
    """
    region = moving_region(wide)
    image, matte = wide.image.copy(), wide.matte.copy()
    neighbour = np.s_[40:660, region.left - 250 : region.left + 40]
    image[neighbour], matte[neighbour] = (200, 150, 120), 1
    pole = np.s_[300:, 485:515]
    image[pole], matte[pole] = (60, 60, 160), 1
    return replace(wide, image=image, matte=matte)


def cut_out(portrait: Portrait) -> tuple[np.ndarray, Region]:
    """The cut-out's first frame (h, w, 4) and the region that was drawn."""
    renderer = InsetRenderer(MeshWarpRenderer(is_cutout=True), is_cutout=True)
    appearance = renderer.prepare(portrait, portrait.image.shape[1::-1])
    return renderer.draw(appearance, Motion.rest(1)), appearance.region


def test_a_cut_out_of_a_group_holds_all_of_one_person(group: Portrait) -> None:
    frame, region = cut_out(group)
    assert region.left > 0
    assert region.top + region.height < 700
    assert frame[40:660, region.left - 250 : region.left + 40, 3].max() == 0
    x, y = group.landmarks[1, :2].astype(int)
    assert frame[y, x, 3] == 255
    assert frame[310:695, 500, 3].min() > 250


def test_who_meets_the_person_outside_the_region_stays_whole(group: Portrait) -> None:
    """A neighbour who hangs together with the person is not sliced at the region's border."""
    matte, image = group.matte.copy(), group.image.copy()
    matte[640:660, :503], image[640:660, :503] = 1, (60, 60, 160)
    frame, region = cut_out(replace(group, matte=matte, image=image))
    assert region.top + region.height < 640
    assert frame[60:640, region.left - 20 : region.left + 20, 3].min() > 250


def test_a_cut_out_goes_on_at_the_border_of_the_region(group: Portrait) -> None:
    soft = cv2.GaussianBlur(group.matte, (0, 0), 3)
    frame, region = cut_out(replace(group, matte=soft))
    bottom = region.top + region.height
    above, below = (frame[row, 480:520, 3].astype(int) for row in (bottom - 1, bottom))
    assert below.max() > 200
    assert np.abs(above - below).max() < 40
