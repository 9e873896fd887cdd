import cv2
import numpy as np
import pytest

from visavis.faces.detect import FaceBox, detect
from visavis.hub import asset


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    picture = cv2.imdecode(np.fromfile(asset("demo_portrait.webp"), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def box(portrait: np.ndarray) -> FaceBox:
    return detect(portrait)[0]


def test_finds_the_one_face(portrait: np.ndarray, box: FaceBox) -> None:
    assert len(detect(portrait)) == 1
    assert abs(box.roll) < 10
    assert 300 < box.side < 900
    assert np.abs(np.subtract(box.centre, 512)).max() < 120


@pytest.mark.parametrize("side", [200, 640, 3000])
def test_any_resolution(portrait: np.ndarray, box: FaceBox, side: int) -> None:
    found = detect(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA))[0]
    factor = 1024 / side
    assert (
        np.abs(np.subtract(found.centre, np.divide(box.centre, factor))).max() < 0.06 * found.side
    )
    assert found.side * factor == pytest.approx(box.side, rel=0.12)


@pytest.mark.parametrize("share", [0.12, 0.3, 1.0])
def test_small_and_large_in_the_picture(portrait: np.ndarray, box: FaceBox, share: float) -> None:
    side = round(box.side)
    x, y = round(box.x), round(box.y)
    face = portrait[max(0, y) : y + side, max(0, x) : x + side]
    canvas = np.full((round(side / share), round(side / share), 3), 128, np.uint8)
    top = (canvas.shape[0] - face.shape[0]) // 3
    canvas[top : top + face.shape[0], : face.shape[1]] = face
    found = detect(canvas)[0]
    wanted = (face.shape[1] / 2, top + face.shape[0] / 2)
    assert np.hypot(*np.subtract(found.centre, wanted)) < 0.12 * side


@pytest.mark.parametrize(
    ("quarter", "roll"),
    [(cv2.ROTATE_90_CLOCKWISE, 90), (cv2.ROTATE_90_COUNTERCLOCKWISE, -90), (cv2.ROTATE_180, 180)],
)
def test_quarter_turns(portrait: np.ndarray, box: FaceBox, quarter: int, roll: float) -> None:
    found = detect(cv2.rotate(portrait, quarter))[0]
    x, y = box.centre
    wanted = {90: (1024 - y, x), -90: (y, 1024 - x), 180: (1024 - x, 1024 - y)}[int(roll)]
    assert np.hypot(*np.subtract(found.centre, wanted)) < 0.08 * box.side
    assert abs((found.roll - roll - box.roll + 180) % 360 - 180) < 20  # landmarks do the rest


def test_two_faces_best_first(portrait: np.ndarray) -> None:
    half = cv2.resize(portrait, (512, 512), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((1024, 1536, 3), np.uint8)
    canvas[:, :1024] = portrait
    canvas[256:768, 1024:] = half
    boxes = detect(canvas)
    assert len(boxes) == 2
    assert boxes[0].side > boxes[1].side


@pytest.mark.parametrize("kind", ["black", "noise", "ramp"])
def test_no_face(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    ramp = np.broadcast_to(np.arange(400, dtype=np.uint8)[None, :, None], (300, 400, 3))
    image = {"black": np.zeros_like(noise), "noise": noise, "ramp": ramp.copy()}[kind]
    assert detect(image) == []


def test_extreme_aspect(portrait: np.ndarray) -> None:
    assert detect(np.zeros((8, 4000, 3), np.uint8)) == []
    wide = np.zeros((1024, 5000, 3), np.uint8)
    wide[:, 2000:3024] = portrait
    assert abs(detect(wide)[0].centre[0] - 2512) < 150
