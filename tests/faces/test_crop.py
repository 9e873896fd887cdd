import cv2
import numpy as np
import pytest

from visavis.faces.crop import Crop, frontal_fit, sample, upright_crop
from visavis.faces.topology import canonical, mirror, triangles


def face_at(x: float, y: float, scale: float, roll: float) -> np.ndarray:
    """Return the canonical face as landmarks: scaled (pixels a cm), turned and moved."""
    turn = np.deg2rad(roll)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = canonical() * [1, -1, -1] * scale
    points[:, :2] = points[:, :2] @ rotation.T + [x, y]
    return points.astype(np.float32)


@pytest.mark.parametrize("roll", [-170.0, -30.0, 0.0, 12.5, 90.0])
def test_fit_recovers_size_and_roll(roll: float) -> None:
    _, scale, found = frontal_fit(face_at(300, 200, 13.0, roll))
    assert scale == pytest.approx(13.0, rel=1e-4)
    assert found == pytest.approx(roll, abs=1e-2)


def test_points_go_into_a_crop_and_back() -> None:
    points = face_at(300, 200, 13.0, 20)
    crop = upright_crop(points, 24.0, 144)
    inside = crop.into(points)
    assert np.abs(crop.back(inside) - points).max() < 1e-3
    assert inside[:, :2].min() > 0
    assert inside[:, :2].max() < 144
    assert abs(inside[33, 1] - inside[263, 1]) < 0.1


@pytest.mark.parametrize("side", [60.0, 90.0, 400.0])
def test_sampled_pixels_lie_where_the_points_say(side: float) -> None:
    image = np.zeros((500, 700, 3), np.uint8)
    spot = np.array([[410.0, 220.0, 0.0]], np.float32)
    cv2.circle(image, (410, 220), 9, (255, 255, 255), -1)
    crop = Crop((400.0, 230.0), side, 25.0, 100)
    view = sample(image, crop)[..., 0].astype(float)
    y, x = np.mgrid[:100, :100] + 0.5
    seen = np.array([(x * view).sum(), (y * view).sum()]) / view.sum()
    assert np.abs(seen - crop.into(spot + [0.5, 0.5, 0])[0, :2]).max() < 0.25


def test_crop_beyond_the_picture_is_black() -> None:
    image = np.full((50, 60, 3), 200, np.uint8)
    assert sample(image, Crop((-500.0, -500.0), 40.0, 0.0, 32)).max() == 0
    assert sample(image, Crop((-500.0, -500.0), 400.0, 0.0, 32)).max() == 0


def test_topology_is_symmetric() -> None:
    assert (mirror()[mirror()] == np.arange(478)).all()
    assert mirror()[33] == 263
    assert mirror()[468] == 473
    assert triangles().min() == 0
    assert triangles().max() == 477
