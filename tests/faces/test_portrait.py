import cv2
import numpy as np
import pytest

from visavis.errors import InputError, NoFaceFound
from visavis.faces import topology
from visavis.faces.inspect import inspect_picture
from visavis.faces.measure import interocular
from visavis.faces.portrait import find_faces, left_to_right, make_portrait


@pytest.fixture(scope="module")
def pair(picture: np.ndarray) -> np.ndarray:
    """A large face on the right, a small one on the left."""
    canvas = np.full((512, 900, 3), 90, np.uint8)
    canvas[:, 388:] = picture
    canvas[120:376, 60:316] = cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)
    return canvas


def test_good_portrait_has_no_warning(picture: np.ndarray) -> None:
    portrait = make_portrait(picture)
    assert portrait.warnings == ()
    assert portrait.image is picture
    assert portrait.matte.shape == portrait.head_matte.shape == (512, 512)
    assert portrait.matte.dtype == np.float32
    assert np.abs(portrait.rotation).max() < 12


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photograph_on_its_side_is_set_upright(picture: np.ndarray, quarters: int) -> None:
    wide = np.pad(picture, ((0, 0), (40, 90), (0, 0)), mode="edge")
    upright = make_portrait(wide)
    portrait = make_portrait(np.rot90(wide, quarters))
    assert np.array_equal(portrait.image, wide)
    assert np.abs(portrait.landmarks - upright.landmarks).max() < 3
    assert len(portrait.warnings) == 1
    assert "turned by" in portrait.warnings[0]
    assert any("turned by" in line for line in inspect_picture(np.rot90(wide, quarters)).lines)


def test_of_two_faces_the_larger_is_taken_with_a_word(pair: np.ndarray) -> None:
    faces = left_to_right(find_faces(pair))
    assert len(faces) == 2
    portrait = make_portrait(pair)
    assert interocular(portrait.landmarks) > 1.6 * interocular(faces[0].landmarks.points)
    assert "number 2" in portrait.warnings[0]
    assert "--face" in portrait.warnings[0]


def test_faces_are_counted_from_the_left(pair: np.ndarray) -> None:
    assert make_portrait(pair, 1).landmarks[1, 0] < 400 < make_portrait(pair, 2).landmarks[1, 0]
    assert not any("faces found" in w for w in make_portrait(pair, 1).warnings)
    for number in (0, 3, -1):
        with pytest.raises(InputError, match="left to right"):
            make_portrait(pair, number)


@pytest.mark.parametrize(
    ("ring", "grow", "word"),
    [(topology.LIPS_OUTER, 1.5, "mouth"), (topology.LEFT_EYE, 2.0, "eye")],
)
def test_a_covered_part_is_named(
    picture: np.ndarray, ring: tuple[int, ...], grow: float, word: str
) -> None:
    covered = picture.copy()
    part = make_portrait(picture).landmarks[list(ring), :2]
    size = (part.max(0) - part.min(0)) * grow + 25
    cv2.ellipse(covered, (part.mean(0).tolist(), size.tolist(), 10.0), (25, 20, 20), -1)
    assert any(word in w for w in make_portrait(covered).warnings)


def test_no_face_names_the_remedy() -> None:
    with pytest.raises(NoFaceFound, match="No face found .* Give a photo"):
        make_portrait(np.full((300, 200, 3), 127, np.uint8))


def test_small_face_warns_then_fails(picture: np.ndarray) -> None:
    soft = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA)
    assert any("small" in w for w in make_portrait(soft).warnings)
    tiny = np.full((200, 200, 3), 90, np.uint8)
    tiny[70:126, 70:126] = cv2.resize(picture, (56, 56), interpolation=cv2.INTER_AREA)
    with pytest.raises(NoFaceFound, match="too small"):
        make_portrait(tiny)


@pytest.mark.parametrize("size", [(90, 60), (512, 512), (300, 1200)])
def test_report_is_drawn_at_any_size(picture: np.ndarray, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 60, np.uint8)
    side = min(size)
    image[:side, :side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    report = inspect_picture(image)
    assert report.picture.dtype == np.uint8
    assert report.picture.shape[0] >= 420
    assert report.lines[0].startswith("Picture")
    assert report.is_usable == (side > 80)


def test_report_without_a_face() -> None:
    report = inspect_picture(np.zeros((100, 100, 3), np.uint8))
    assert not report.is_usable
    assert report.lines[-1].startswith("!")
