"""The 21 points: angles, places, eyes and rows of clips, as upstream has them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import load, relative_error
from visavis.faces.implicit import (
    Implicit,
    Sitter,
    degrees,
    eye_state,
    head_angles,
    head_rotations,
    mirrored,
    place,
    posed,
    rotations,
)
from visavis.render.solve import turn

angle = st.floats(-80, 80)


def implicit(data, prefix):
    kp, exp = (data[f"{prefix}_{name}"].reshape(-1, 21, 3) for name in ("kp", "exp"))
    rest = (data[f"{prefix}_{name}"] for name in ("pitch", "yaw", "roll", "t", "scale"))
    return Implicit(kp, exp, *rest)


def sitter(rows, loop="mirror"):
    face = implicit(load("motion_primitives"), "xs")[np.zeros(rows, np.int64)]
    return Sitter(face, np.zeros((rows, 2)), np.zeros((rows, 6)), loop)


def test_golden_angles():
    data = load("motion_primitives")
    for name in ("pitch", "yaw", "roll"):
        assert relative_error(degrees(data[f"xs_{name}"]), data[f"deg_{name}"]) < 1e-6
    assert relative_error(rotations(*data["angles_pyr_deg"].T), data["angles_R"]) < 1e-6


@pytest.mark.parametrize(
    ("prefix", "out"), [("xs", "kp_transformed"), ("xs2", "xs2_kp_transformed")]
)
def test_golden_place(prefix, out):
    data = load("motion_primitives")
    face = implicit(data, prefix)
    assert relative_error(place(face), data[out]) < 1e-6
    assert np.array_equal(posed(face).points, place(face))


def test_golden_eyes():
    data = load("crop_paste")
    opened, gaze = eye_state(data["lmk478"])
    assert relative_error(opened, data["eye_open"]) < 1e-6
    assert relative_error(gaze, data["eye_ball_move"].reshape(2, 6)) < 1e-6


def test_golden_mirrored_rows():
    there_and_back = [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
    assert [mirrored(i, 5) for i in range(25)] == (3 * there_and_back)[:25]
    assert mirrored(-70, 5) == 0
    assert {mirrored(i, 1) for i in range(9)} == {0}


def test_rows_of_a_sitter():
    assert [sitter(3).row(i) for i in range(-1, 7)] == [0, 0, 1, 2, 2, 1, 0, 0]
    assert [sitter(3, "repeat").row(i) for i in range(-1, 5)] == [0, 0, 1, 2, 0, 1]
    assert [sitter(3, "hold").row(i) for i in range(-1, 5)] == [0, 0, 1, 2, 2, 2]


@given(angle, angle, angle)
def test_head_angles_are_those_of_motion(pitch, yaw, roll):
    angles = np.array([[pitch, yaw, roll]], np.float32)
    rotation = head_rotations(angles)
    assert np.allclose(rotation[0].T, turn(pitch, yaw, roll), atol=1e-6)
    assert np.allclose(head_angles(rotation), angles, atol=1e-2)


def test_some_pictures_of_many():
    face = sitter(4).faces
    assert len(face[1:3]) == 2
    assert len(posed(face)[np.array([0, 2, 3])]) == 3
