import numpy as np
import pytest

from visavis.faces import measure, topology
from visavis.faces.topology import canonical
from visavis.render.solve import turn


def turned(pitch: float, yaw: float, roll: float, scale: float = 20.0) -> np.ndarray:
    """Return the canonical face seen from the front after the given turn, as landmarks."""
    p, y, r = np.deg2rad([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    seen = canonical() @ (about_z @ about_y @ about_x).T * scale
    return (seen * [1, -1, -1] + [256, 256, 0]).astype(np.float32)


@pytest.mark.parametrize("angles", [(0, 0, 0), (15, 0, 0), (0, 25, 0), (0, 0, -30), (10, -20, 40)])
def test_head_rotation_recovers_the_turn(angles: tuple[int, int, int]) -> None:
    assert measure.head_rotation(turned(*angles)) == pytest.approx(angles, abs=1e-3)


def test_angles_are_those_of_motion() -> None:
    front = canonical() * [1, -1, -1]
    for angles in ((10, 15, -8), (-12, 20, 15)):
        drawn = (front @ turn(*angles).T * 20).astype(np.float32)
        assert measure.head_rotation(drawn) == pytest.approx(angles, abs=1e-3)


def test_signs_are_those_of_the_viewer() -> None:
    nose = [turned(*a)[topology.NOSE_TIP, :2] - [256, 256] for a in ((20, 0, 0), (0, 20, 0))]
    rest = turned(0, 0, 0)[topology.NOSE_TIP, :2] - [256, 256]
    assert nose[0][1] < rest[1]  # chin raised: the nose moves up
    assert nose[1][0] > rest[0]  # turned to the viewer's right
    forehead = turned(0, 0, 20)[topology.FOREHEAD, 0]
    assert forehead > 256  # clockwise: the forehead moves right


def test_interocular_does_not_depend_on_the_turn() -> None:
    front = measure.interocular(turned(0, 0, 0))
    assert front == pytest.approx(8.89 * 20, rel=1e-3)
    assert measure.interocular(turned(10, 35, 5)) == pytest.approx(front, rel=1e-4)


def test_openings_follow_lids_and_lips() -> None:
    points = turned(0, 0, 0)
    points[topology.LEFT_LIDS[0]] = points[topology.LEFT_LIDS[1]]
    left, right = measure.eye_opening(points)
    assert left == 0
    assert right > 0.15
    points[topology.LOWER_LIP] = points[topology.UPPER_LIP] + [0, 20, 0]
    assert measure.mouth_opening(points) == pytest.approx(20 / measure.interocular(points))


def test_gaze_follows_the_iris_not_the_head() -> None:
    rest = np.array(measure.gaze(turned(0, 0, 0)))
    assert rest[0] == pytest.approx(rest[1] * [-1, 1], abs=1e-3)
    assert np.array(measure.gaze(turned(5, 15, 10))) == pytest.approx(rest, abs=1e-3)
    points = turned(0, 0, 0)
    points[468, 0] += 0.2 * 20  # right iris 2 mm to the viewer's right
    points[473, 1] -= 0.2 * 20  # left iris 2 mm up
    left, right = np.array(measure.gaze(points)) - rest
    assert 12 < right[0] < 20
    assert 12 < left[1] < 20
    assert abs(right[1]) + abs(left[0]) < 0.1
