import numpy as np
import pytest

from visavis.eval import flicker
from visavis.types import ImageArray, Portrait


@pytest.fixture(scope="module")
def face(portrait: Portrait) -> ImageArray:
    x, y = portrait.landmarks[1, :2].astype(int)
    return np.ascontiguousarray(portrait.image[y - 80 : y + 80, x - 80 : x + 80])


def shifted(image: ImageArray, pixels: int) -> ImageArray:
    return np.ascontiguousarray(np.roll(image, pixels, axis=1))


def test_what_stands_still_does_not_flicker(face: ImageArray) -> None:
    assert flicker.unexplained(face, face, face) == pytest.approx(0, abs=0.05)
    assert not flicker.jumps(np.stack([face] * 4)).any()


def test_motion_is_explained_and_light_that_comes_and_goes_is_not(face: ImageArray) -> None:
    moved = flicker.unexplained(shifted(face, -2), face, shifted(face, 2))
    unaided = np.abs(face.astype(int) - shifted(face, 2)).mean()
    brighter = np.clip(face.astype(int) + 8, 0, 255).astype(np.uint8)
    lit = flicker.unexplained(face, brighter, face)
    assert moved < 0.3 * unaided
    assert 6 < lit < 9
    assert moved < 0.4 * lit


def test_more_flicker_counts_more(face: ImageArray) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (3, *face.shape))
    found = []
    for strength in (1.0, 3.0, 9.0):
        three = np.clip(face + strength * noise, 0, 255).astype(np.uint8)
        found.append(flicker.unexplained(*three))
    assert found[0] < found[1] < found[2]


def test_a_constant_rate_does_not_jump_and_one_odd_frame_does() -> None:
    ramp = np.arange(6)[:, None, None, None] * 7 + np.full((6, 4, 4, 3), 20)
    assert not flicker.jumps(ramp.astype(np.uint8)).any()
    ramp[3] += 10
    jump = flicker.jumps(ramp.astype(np.uint8))
    assert jump.shape == (4, 4, 4)
    np.testing.assert_allclose(jump[:, 0, 0], [0, 5, 10, 5])
