"""Sampling by tiles gives what sampling everything gives, and leaves the rest alone."""

import cv2
import numpy as np
import pytest

from visavis.render.geometry import Box, grid, refine
from visavis.render.sampling import make_plane, sample

STEP = 3
SIZE = (200, 152)


@pytest.fixture(scope="module")
def picture(portrait):
    return cv2.resize(portrait.image, SIZE, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def back(picture):
    return np.ascontiguousarray(picture[::-1])


def disc(radius, soft=4.0):
    away = np.linalg.norm(grid(Box(0, 0, *SIZE)) - (90, 70), axis=-1)
    return np.clip((radius - away) / soft, 0, 1).astype(np.float32)


def nodes(turn_deg=0.0, shift=(0, 0)):
    at = grid(Box(0, 0, SIZE[0] + STEP, SIZE[1] + STEP), STEP)
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    middle = np.array([90, 70], np.float32)
    turned = (at - middle) @ np.array([[c, -s], [s, c]]).T + middle + shift
    return turned.astype(np.float32)


def everything(picture, alpha, back, at):
    """Sample all of the frame, as sharply as can be, and blend all of it."""
    source = refine(at, STEP, back.shape[:2])
    front = cv2.remap(picture, source, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.remap(alpha, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return front * cover[..., None] + back * (1 - cover[..., None])


def test_where_nothing_moves_the_picture_stays_bit_for_bit(picture, back):
    alpha = np.ones(SIZE[::-1], np.float32)
    drawn = sample(make_plane(picture, alpha, STEP), nodes(), back)
    assert np.array_equal(drawn.over(back), picture)
    assert not drawn.rims


@pytest.mark.parametrize(("turn", "shift"), [(0, (0.5, 0.5)), (7, (0, 0)), (-12, (9, -4))])
def test_it_is_what_sampling_everything_gives(picture, back, turn, shift):
    alpha, at = disc(50), nodes(turn, shift)
    drawn = sample(make_plane(picture, alpha, STEP), at, back).over(back)
    off = np.abs(drawn - everything(picture, alpha, back, at))
    assert off.mean() < 0.6
    assert np.percentile(off, 99) < 8


def test_it_is_as_sharp_as_cubic_sampling(picture, back):
    alpha, at = np.ones(SIZE[::-1], np.float32), nodes(7)
    drawn = sample(make_plane(picture, alpha, STEP), at, back).frame
    source = refine(at, STEP, SIZE[::-1])
    cubic, linear = (
        cv2.remap(picture, source, None, how, borderMode=cv2.BORDER_REPLICATE)
        for how in (cv2.INTER_CUBIC, cv2.INTER_LINEAR)
    )
    sharp = {
        name: cv2.Laplacian(image[20:-20, 20:-20], cv2.CV_32F).std()
        for name, image in (("drawn", drawn), ("cubic", cubic), ("linear", linear))
    }
    assert sharp["drawn"] > 0.92 * sharp["cubic"]
    assert sharp["drawn"] > 1.1 * sharp["linear"]


def test_the_background_is_kept_and_only_the_rim_is_blended(picture, back):
    plane = make_plane(picture, disc(60), STEP)
    drawn = sample(plane, nodes(4), back)
    blended = np.zeros(SIZE[::-1], bool)
    for rim in drawn.rims:
        blended[rim.slices] = True
    assert ((drawn.cover == 0) | (drawn.cover == 255))[~blended].all()
    assert ((drawn.cover > 0) & (drawn.cover < 255)).any()
    assert np.array_equal(drawn.over(back)[drawn.cover == 0], back[drawn.cover == 0])


def test_the_background_given_is_not_written_to(picture, back):
    before = back.copy()
    sample(make_plane(picture, disc(60), STEP), nodes(4), back).over(back)
    assert np.array_equal(back, before)


def test_nobody_in_sight_leaves_the_background(picture, back):
    plane = make_plane(picture, np.zeros(SIZE[::-1], np.float32), STEP)
    drawn = sample(plane, nodes(9), back)
    assert np.array_equal(drawn.over(back), back)
    assert not drawn.cover.any()


def test_large_pictures_are_not_enlarged_and_drawn_alike(picture, back, monkeypatch):
    alpha, at = disc(50), nodes(7)
    fine = sample(make_plane(picture, alpha, STEP), at, back).over(back)
    monkeypatch.setattr("visavis.render.sampling._LARGEST", 100)
    plane = make_plane(picture, alpha, STEP)
    assert plane.pixels.shape == (plane.box.h, plane.box.w, 4)
    assert plane.box.w < SIZE[0]
    assert np.abs(sample(plane, at, back).over(back).astype(int) - fine).mean() < 1
