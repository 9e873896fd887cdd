"""The square of a face, for upstream's point sets and for ours."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import golden_crop
from golden import load, relative_error, thinned
from visavis.faces.topology import canonical
from visavis.render.liveportrait.crop import cut_out, face_square, network_input

FITS = {"s224": ((1.5, -0.1), 224), "s512": ((2.3, -0.125), 512)}


def face(scale=20.0, turn=0.0, centre=(300.0, 280.0)):
    """The canonical face (478, 3) in a picture."""
    points = canonical() * np.array([1, -1, -1]) * scale
    c, s = np.cos(turn), np.sin(turn)
    points[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + centre
    return points.astype(np.float32)


@pytest.mark.shared
def test_the_golden_picture_is_what_it_is_said_to_be():
    assert np.array_equal(load("crop_paste")["img"], golden_crop.picture())


@pytest.mark.parametrize("name", golden_crop.ANCHORS)
@pytest.mark.parametrize("kind", FITS)
def test_golden_squares(name, kind):
    data, (fit, size) = load("crop_paste"), FITS[kind]
    square = golden_crop.square(name, fit)
    assert relative_error(square.into(size), data[f"M_o2c_{name}_{kind}"]) < 1e-5
    assert relative_error(square.back(size), data[f"M_c2o_{name}_{kind}"]) < 1e-5


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("106", "s224", "crop_106_s224"),
        ("203", "s224", "crop_203_s224"),
        ("203", "s512", "crop_203_s512_s4"),
    ],
)
def test_golden_crops(name, kind, key):
    data, (fit, size) = load("crop_paste"), FITS[kind]
    crop = cut_out(golden_crop.picture(), golden_crop.square(name, fit), size)
    assert np.abs(thinned(crop, data[key]).astype(int) - data[key]).max() <= 1


def test_golden_network_input():
    data = load("crop_paste")
    seen = network_input(cut_out(golden_crop.picture(), golden_crop.square()))
    assert seen.dtype == np.float32
    expected = data["crop_203_256_area_s2"] / 255
    assert np.abs(thinned(seen, expected) - expected).max() <= 1.001 / 255


@given(st.floats(3, 60), st.floats(-1.5, 1.5), st.floats(0, 900), st.floats(0, 900))
def test_the_square_goes_with_the_face(scale, turn, x, y):
    base = face_square(face())
    moved = face_square(face(scale, turn, (x, y)))
    assert moved.side == pytest.approx(base.side * scale / 20, rel=1e-4)
    assert moved.angle == pytest.approx(turn, abs=1e-4)
    crop = moved.unit(face(scale, turn, (x, y))[:, :2])
    assert np.allclose(crop, base.unit(face()[:, :2]), atol=2e-3)


def test_the_face_takes_the_part_published_weights_know():
    points = face()
    square = face_square(points)
    assert square.side == pytest.approx(2.3 * np.ptp(points[:468, 0]), rel=1e-3)
    eyes = square.unit(points[[468, 473], :2])
    assert np.all(np.abs(eyes[:, 1]) < 0.15)  # at half the height


def test_large_faces_do_not_alias():
    picture = np.zeros((2000, 2000, 3), np.uint8)
    picture[::2] = 255
    square = face_square(face(100, centre=(1000, 1000)))
    crop = cut_out(picture, square)[200:300, 200:300]
    assert crop.std() < 12  # unreduced: 127
    assert abs(crop.mean() - 127.5) < 5
    whole = square.back() @ np.array([256, 256, 1])
    assert np.allclose(whole[:2], square.centre)


def test_a_reduced_copy_lies_where_the_picture_does():
    picture = np.zeros((1600, 1600, 3), np.uint8)
    cv2.circle(picture, (900, 700), 60, (255, 255, 255), -1)
    square = face_square(face(80, turn=0.3, centre=(800, 800)))
    crop = cut_out(picture, square)[..., 0]
    rows, columns = np.nonzero(crop > 127)
    expected = square.into() @ np.array([900, 700, 1])
    assert np.allclose((columns.mean(), rows.mean()), expected[:2], atol=0.4)
