import cv2
import numpy as np
import pytest

from visavis.faces.crop import Crop
from visavis.faces.detect import detect
from visavis.faces.landmarks import FaceLandmarks, locate, refine, track
from visavis.faces.measure import head_rotation, interocular
from visavis.hub import asset


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    coded = np.fromfile(asset("demo_portrait.webp"), np.uint8)
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def face(picture: np.ndarray) -> FaceLandmarks:
    return refine(picture, locate(picture, detect(picture)[0]))


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of points in percent of the outer eye distance."""
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean() / interocular(b) * 100)


def test_shape_and_presence(face: FaceLandmarks) -> None:
    assert face.points.shape == (478, 3)
    assert face.points.dtype == np.float32
    assert face.presence > 0.85
    assert np.abs(head_rotation(face.points)).max() < 12


def test_twice_is_the_same(picture: np.ndarray) -> None:
    box = detect(picture)[0]
    first, second = (locate(picture, box) for _ in range(2))
    assert (first.points == second.points).all()
    assert first.presence == second.presence


@pytest.mark.parametrize("turn", [-25.0, 18.0])
def test_follows_turn_and_scale(picture: np.ndarray, face: FaceLandmarks, turn: float) -> None:
    crop = Crop((520.0, 500.0), 1300.0, turn, 700)
    m = crop.matrix.astype(np.float64)
    moved = cv2.warpAffine(picture, m, (700, 700), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    found = refine(moved, locate(moved, detect(moved)[0]))
    assert error(found.points, crop.into(face.points)) < 2.0
    assert head_rotation(found.points)[2] - head_rotation(face.points)[2] == pytest.approx(
        -turn, abs=2
    )


@pytest.mark.parametrize("turn", [90.0, 180.0, -90.0])
def test_any_way_up(picture: np.ndarray, face: FaceLandmarks, turn: float) -> None:
    small = Crop((512.0, 512.0), 1024.0, turn, 400)
    m = small.matrix.astype(np.float64)
    moved = cv2.warpAffine(picture, m, (400, 400), flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    found = refine(moved, locate(moved, detect(moved)[0]))
    assert error(found.points, small.into(face.points)) < 2.0


def test_mirror_image_has_mirrored_points(picture: np.ndarray, face: FaceLandmarks) -> None:
    from visavis.faces.topology import mirror

    flipped = np.ascontiguousarray(picture[:, ::-1])
    found = refine(flipped, locate(flipped, detect(flipped)[0])).points[mirror()]
    found[:, 0] = 1024 - found[:, 0]
    assert error(found, face.points) < 0.6


def test_track_follows_small_steps_and_finds_again(picture: np.ndarray) -> None:
    small = cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)
    previous = track(small, None)
    assert previous is not None
    for step in range(1, 6):
        shifted = np.roll(small, 6 * step, 1)
        face = track(shifted, previous)
        assert face is not None
        expected = previous.points + [6, 0, 0]
        assert error(face.points, expected) < 2.0
        previous = face
    assert track(np.zeros_like(small), previous) is None
    lost = FaceLandmarks(previous.points + np.float32(5000), 1.0)
    found = track(small, lost)
    assert found is not None
    assert error(found.points, track(small, None).points) < 2.0
