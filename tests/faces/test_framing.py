"""The picture's frame: inside the photograph, square, round the head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.faces.framing import cut, fitted, head_and_shoulders
from visavis.types import Portrait


def face_at(width: int, height: int, x: float, y: float, face: float) -> Portrait:
    """A portrait whose face is ``face`` pixels high, its middle at (x, y)."""
    rng = np.random.default_rng(0)
    points = np.zeros((478, 3), np.float32)
    points[:, :2] = (x, y) + rng.uniform(-0.5, 0.5, (478, 2)) * (0.75 * face, face)
    head = np.zeros((height, width), np.float32)
    top, bottom = max(0, int(y - 0.8 * face)), max(1, int(y + face / 2))
    head[top:bottom, max(0, int(x - face / 2)) : max(1, int(x + face / 2))] = 1
    return Portrait(np.zeros((height, width, 3), np.uint8), points, head, head, np.zeros(3))


@given(
    width=st.integers(64, 900),
    height=st.integers(64, 900),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    face=st.floats(20, 1200),
)
def test_the_square_lies_inside_the_photograph(
    width: int, height: int, at: tuple[float, float], face: float
) -> None:
    portrait = face_at(width, height, at[0] * width, at[1] * height, face)
    region = head_and_shoulders(portrait)
    assert region.width == region.height
    assert region.width % 2 == 0
    assert 0 <= region.left <= width - region.width
    assert 0 <= region.top <= height - region.height
    assert cut(portrait, region).image.shape == (region.height, region.width, 3)


def test_a_small_face_gets_a_close_square_with_room_above_and_below() -> None:
    portrait = face_at(2000, 1500, 900, 500, 200)
    region = head_and_shoulders(portrait)
    assert 350 < region.width < 650
    assert region.top < 340 < 600 < region.top + region.height
    moved = cut(portrait, region).landmarks[:, :2].mean(0)
    assert moved[0] == pytest.approx(region.width / 2, abs=12)


def test_a_close_portrait_is_shown_whole() -> None:
    region = head_and_shoulders(face_at(512, 512, 256, 280, 360))
    assert (region.left, region.top, region.width) == (0, 0, 512)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((4032, 3024), 3840, (3840, 2880)),
        ((333, 501), 3840, (332, 500)),
        ((301, 299), 3840, (300, 300)),
        ((3000, 100), 500, (500, 16)),
    ],
)
def test_whole_photographs_keep_their_aspect_at_even_sizes(
    size: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    assert fitted(*size, longest) == expected
