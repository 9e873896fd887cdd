"""Drawn squares in whole pictures: no change is the photograph, detail moves with the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from visavis.errors import InputError
from visavis.faces.film import FilmPortrait
from visavis.faces.framing import Region
from visavis.opening import framed_to
from visavis.render.geometry import Box
from visavis.render.mesh_warp import resized
from visavis.types import ARKIT_NAMES, Motion, Portrait
from visavis.video.canvas import Canvas, canvas_of, feather
from visavis.video.expressions import LEVELS, expression, level
from visavis.video.renderer import LatentRenderer, as_picture
from visavis.video.settings import LatentSettings
from visavis.video.studio import Studio, as_input

SIDE, CHANNELS = 64, 2
SETTINGS = LatentSettings(SIDE, (2.0,) * CHANNELS)


def still(inputs: Any) -> list[np.ndarray]:
    """A decoder that returns the portrait, its pixels unmoved."""
    return [inputs["picture"], np.zeros((1, 2, 16, 16), np.float32)]


class Mean:
    """Stands for a network: what it gives are means of what it is given."""

    def __init__(self, *outputs: str) -> None:
        self.outputs = outputs

    def __call__(self, inputs: Any) -> list[np.ndarray]:
        given = next(iter(inputs.values()))
        cells = cv2.resize(given[0].mean(0), (2, 2), interpolation=cv2.INTER_AREA)
        return [np.repeat(cells[None, None], CHANNELS, axis=1)] * len(self.outputs)


def studio() -> Studio:
    return Studio(
        {
            "guide": Mean("latents", "fine", "middle"),
            "reference": Mean("key_0", "value_0"),
        },
        SETTINGS,
    )


def moment(latents: np.ndarray | None = None) -> Motion:
    nothing = np.zeros((1, 2, CHANNELS, 2, 2), np.float32)
    return replace(Motion.rest(1), latents=nothing if latents is None else latents)


@pytest.mark.parametrize("size", [64, 200])
def test_no_change_is_the_photograph(portrait: Portrait, size: int) -> None:
    renderer = LatentRenderer(still, studio())
    square, shape = framed_to(portrait, size, True)
    looks = renderer.prepare(square, shape)
    assert looks.canvas.mask is None
    drawn = renderer.draw(looks, moment())
    shown = resized(square, shape).image
    assert drawn.shape == (size, size, 3)
    assert np.abs(drawn.astype(int) - shown).max() <= 1
    (again,) = renderer.draw_many([looks], moment())
    np.testing.assert_array_equal(again, drawn)
    assert renderer.rough(looks) is looks


def test_a_square_is_put_back_softly(portrait: Portrait) -> None:
    def black(inputs: Any) -> list[np.ndarray]:
        return [np.full_like(inputs["picture"], -1)]

    renderer = LatentRenderer(black, studio())
    whole, shape = framed_to(portrait, 320, False)
    left = Portrait(
        np.pad(whole.image, ((0, 0), (200, 0), (0, 0))), whole.landmarks + [200, 0, 0],
        np.pad(whole.matte, ((0, 0), (200, 0))), np.pad(whole.head_matte, ((0, 0), (200, 0))),
        whole.rotation,
    )  # fmt: skip
    looks = renderer.prepare(left, (320, 268))
    drawn, photo = renderer.draw(looks, moment()), resized(left, (320, 268)).image
    box = looks.canvas.box
    outside = np.ones(drawn.shape[:2], bool)
    outside[box.slices] = False
    assert outside.any()
    np.testing.assert_array_equal(drawn[outside], photo[outside])
    middle = drawn[box.y + box.h // 2, box.x + box.w // 2]
    assert middle.max() <= 60  # black, and what detail the photograph has there
    assert shape[0] <= 320


def test_borders_fade_only_within_the_picture() -> None:
    mask = feather(Box(0, 10, 50, 40), (100, 60))
    assert mask.shape == (40, 50)
    assert (mask[20, :40] == 1).all()
    assert mask[20, -1] < 0.2
    assert mask[0].max() < 0.2
    assert (np.diff(mask[:5, 10]) >= 0).all()


def test_detail_goes_with_the_pixels() -> None:
    rng = np.random.default_rng(0)
    big = cv2.resize(rng.integers(0, 255, (90, 90, 3), np.uint8), (180, 180))
    picture = Portrait(
        big, np.zeros((478, 3), np.float32), *(np.ones((180, 180), np.float32),) * 2, np.zeros(3)
    )
    small = cv2.resize(big, (60, 60), interpolation=cv2.INTER_AREA)
    canvas = canvas_of(picture, Region(0, 0, 180, 180), small, (180, 180))
    assert canvas.detail is not None
    moved = np.roll(small, -10, axis=1)  # what was 10 px to the right is here
    flow = np.zeros((2, 15, 15), np.float32)
    flow[0] = 2 * 10 / 60
    shown = canvas.put(moved, flow)[:, 10:140].astype(int)
    target = np.roll(big, -30, axis=1)[:, 10:140]
    without = Canvas(canvas.picture, canvas.box, None, None).put(moved, flow)[:, 10:140]
    assert np.abs(shown - target).mean() < 1.5
    assert np.abs(without.astype(int) - target).mean() > 10


def test_pictures_survive_the_way_into_networks_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    np.testing.assert_array_equal(as_picture(as_input(levels)[0]), levels)
    assert as_picture(np.float32([[[-2.0, 2.0]]] * 3)).tolist() == [[[0] * 3, [255] * 3]]


def test_portraits_are_edited_for_emotions(portrait: Portrait) -> None:
    made = studio()
    looks = made.looks(framed_to(portrait, SIDE, True)[0], (SIDE, SIDE))
    assert made.reference(looks, "happy", 0) is looks.reference
    assert not looks.reference.shift.any()
    full, half = (made.reference(looks, "surprised", n) for n in (LEVELS, LEVELS // 2))
    assert np.abs(full.shift).sum() > np.abs(half.shift).sum() > 0
    assert set(full.known) == {"key_0", "value_0"}
    assert not np.array_equal(made.edited(looks, "happy", 4)[0], made.edited(looks, "sad", 4)[0])
    smile = dict(zip(ARKIT_NAMES, expression("happy"), strict=True))
    assert smile["mouthSmileLeft"] == smile["mouthSmileRight"] > 0.5
    assert [level("happy", x) for x in (0.0, 0.3, 1.0)] == [0, 1, LEVELS]
    assert level("neutral", 1.0) == 0


def test_what_it_cannot_draw_is_refused(portrait: Portrait) -> None:
    renderer = LatentRenderer(still, studio())
    looks = renderer.prepare(framed_to(portrait, SIDE, True)[0], (SIDE, SIDE))
    with pytest.raises(InputError, match="pictures of speech alone"):
        renderer.draw(looks, Motion.rest(1))
    with pytest.raises(InputError, match="photographs, not clips"):
        renderer.prepare(object.__new__(FilmPortrait), (SIDE, SIDE))
