import cv2
import numpy as np
import pytest

from visavis.faces.crop import Crop
from visavis.faces.detect import detect
from visavis.faces.landmarks import locate
from visavis.faces.matte import guided, mattes


@pytest.fixture(scope="module")
def points(picture: np.ndarray) -> np.ndarray:
    return locate(picture, detect(picture)[0]).points


def test_face_is_head_and_head_is_person(picture: np.ndarray, points: np.ndarray) -> None:
    person, head = mattes(picture, points)
    assert person.shape == head.shape == (512, 512)
    assert person.dtype == head.dtype == np.float32
    assert head.min() >= 0
    assert person.max() <= 1
    assert (head <= person).all()
    x, y = points[:468, :2].mean(0).astype(int)
    assert head[y - 40 : y + 40, x - 40 : x + 40].min() > 0.95
    assert person[:40, :60].max() < 0.1  # a corner of the background
    assert head[-8:, 200:300].max() < 0.1  # the chest is no head
    assert person[-8:, 200:300].min() > 0.9


def test_person_beyond_the_crop(picture: np.ndarray, points: np.ndarray) -> None:
    wide = np.full((512, 1600, 3), 200, np.uint8)
    wide[:, 500:1012] = picture
    person, head = mattes(wide, points + np.float32([500, 0, 0]))
    assert person[:, :300].mean() < 0.05
    assert head[:, :400].max() < 0.05


def test_guided_filter_sharpens_at_the_colour_edge() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 30:] = (200, 150, 90)
    wanted = np.broadcast_to((np.arange(64) >= 30).astype(np.float32), (64, 64))
    rough = cv2.blur(wanted, (9, 9))[..., None]
    fine = guided(image, rough, 5)[..., 0]
    step, was = (m[32, 30] - m[32, 29] for m in (fine, rough[..., 0]))
    assert step > 4 * was
    flat = guided(np.full_like(image, 50), rough, 2)[..., 0]
    assert np.abs(flat - rough[..., 0]).mean() < 0.02


def test_crops_hold_the_same_square() -> None:
    crop = Crop((10.0, 20.0), 40.0, 90.0, 80)
    corner = crop.back(np.zeros((1, 2), np.float32))[0]
    assert corner == pytest.approx([30.0, 0.0], abs=1e-4)
