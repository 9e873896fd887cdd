"""The neural renderer: photographs and clips, keypoints and coefficients, put back in place."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

import golden_crop
from filmed import nodding, write_clip
from golden import FULL, load, picture, relative_error, true_network
from posed import motion as posed_motion
from stub_engine import StubEngine
from visavis.errors import ModelError
from visavis.faces.implicit import Implicit, place
from visavis.faces.watch import read_film
from visavis.nn.rule import normal
from visavis.render.base import shown
from visavis.render.liveportrait.bridge import Bridge
from visavis.render.liveportrait.clip import smoothed
from visavis.render.liveportrait.crop import face_square
from visavis.render.liveportrait.paste import paste_at
from visavis.render.liveportrait.renderer import LivePortraitRenderer
from visavis.render.liveportrait.retarget import LIPS
from visavis.render.liveportrait.transfer import DrivingOptions
from visavis.types import Motion

SIZE = (320, 320)


@pytest.fixture(scope="module")
def bridge():
    return Bridge(normal("bridge", (52, 63)).astype(np.float32) * 0.01)


@pytest.fixture(scope="module")
def renderer(bridge):
    return LivePortraitRenderer(StubEngine(), bridge, stitching=False)


@pytest.fixture(scope="module")
def looks(renderer, portrait):
    return renderer.prepare(portrait, SIZE)


@pytest.fixture(scope="module")
def film(portrait, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return read_film(write_clip(path, nodding(portrait, 14)))


@pytest.fixture(scope="module")
def clip(renderer, film):
    return renderer.prepare(film, (224, 224))


def with_keypoints(points):
    return replace(Motion.rest(len(points)), keypoints=points.astype(np.float32))


class Spy(StubEngine):
    """Notes what it is asked to draw."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def draw(self, volume, source, driving):
        self.drawn.append((source, driving))
        yield from super().draw(volume, source, driving)


def drawn_points(bridge, appearance, motion, **options):
    """The points the engine is asked to draw of ``appearance``."""
    engine = Spy()
    LivePortraitRenderer(engine, bridge, stitching=False, **options).draw(appearance, motion)
    return engine.drawn[0][1][0]


def test_what_motion_models_are_told(looks):
    sitter = looks.sitter
    assert len(sitter.faces) == 1
    assert sitter.eye_open.shape == (1, 2)
    assert sitter.eye_ball.shape == (1, 6)
    assert np.all((sitter.eye_open > 0.3) & (sitter.eye_open < 1.5))
    assert np.array_equal(place(sitter.faces), looks.source.points)
    assert 0.3 < looks.unit[0] < 0.45
    assert 0.1 < looks.pivot[0, 1] < 0.6


def test_a_photograph_put_back_is_itself(renderer, looks, portrait):
    far = with_keypoints(np.full((1, 21, 3), 9.0))  # the stub's dots are out of sight
    frame = renderer.draw(looks, far)
    assert frame.shape == (320, 320, 3)
    assert frame.dtype == np.uint8
    expected = cv2.resize(portrait.image, SIZE, interpolation=cv2.INTER_AREA)
    assert np.abs(frame.astype(int) - expected).mean() < 4
    assert np.array_equal(frame[0], expected[0])


def test_points_are_drawn_where_they_are(renderer, looks, portrait):
    far = np.full((1, 21, 3), 9.0)
    dotted = far.copy()
    dotted[0, 0, :2] = (0.1, -0.2)
    plain, with_dot = (renderer.draw(looks, with_keypoints(p)) for p in (far, dotted))
    rows, columns = np.nonzero(np.abs(with_dot.astype(int) - plain).max(-1) > 60)
    square = face_square(portrait.landmarks)
    x, y, _ = square.back() @ np.array([1.1 * 256, 0.8 * 256, 1]) * SIZE[0] / 1024
    assert np.allclose((columns.mean(), rows.mean()), (x, y), atol=1)


def test_frames_of_a_photograph_go_together(looks):
    engine = Spy()
    renderer = LivePortraitRenderer(engine)
    points = normal("points", (5, 21, 3)) * 0.2
    motion = with_keypoints(points)
    frames = list(renderer.draw_many([looks] * 5, motion))
    assert len(engine.drawn) == 1
    for i, frame in enumerate(frames):
        assert np.array_equal(frame, renderer.draw(looks, motion[i : i + 1]))
    assert np.array_equal(engine.drawn[0][1], engine.stitch(looks.source.points, motion.keypoints))


def test_motion_without_keypoints_needs_a_bridge(looks):
    with pytest.raises(ModelError, match="fit_bridge"):
        LivePortraitRenderer(StubEngine()).draw(looks, Motion.rest(1))


def test_coefficients_go_over_the_bridge(bridge, looks):
    rest = drawn_points(bridge, looks, Motion.rest(1))
    opened = drawn_points(bridge, looks, posed_motion(jawOpen=0.5))
    expected = bridge.expression(posed_motion(jawOpen=0.5).coefficients)[0]
    assert np.allclose(opened - rest, expected * looks.source.scale[0], atol=1e-5)


def test_the_photograph_keeps_part_of_its_smile(bridge, looks):
    source = looks.source
    moved = looks.rest - source.exp[0]
    taken = bridge.coefficients(-moved[None])[0]
    assert np.abs(moved).max() < 0.1
    assert taken.max() <= 1


@pytest.mark.parametrize(("rotation", "axis", "sign"), [((20, 0, 0), 1, -1), ((0, 20, 0), 0, 1)])
def test_heads_turn_as_motion_says(bridge, looks, rotation, axis, sign):
    still, turned = (
        drawn_points(bridge, looks, posed_motion(angles)) for angles in ((0, 0, 0), rotation)
    )
    nose, back = np.argmin(still[:, 2]), np.argmax(still[:, 2])
    moved = (turned - still)[:, axis] * sign
    assert moved[nose] > moved[back]  # what is near the viewer goes up, or to the right


def test_heads_tilt_about_the_neck(bridge, looks):
    neck = looks.pivot[0]
    kp = np.zeros((1, 21, 3), np.float32)
    kp[..., :2] = neck
    at_neck = replace(looks.source, kp=kp, rotation=np.eye(3)[None], t=np.zeros((1, 3)))
    at_neck = replace(at_neck, scale=np.ones((1, 1)))
    held = replace(looks, source=at_neck, rest=np.zeros((21, 3)))
    motion = posed_motion((10, -20, 30))
    points = drawn_points(bridge, held, motion)
    assert np.allclose(points[:, :2], neck, atol=1e-5)
    grown = replace(motion, scale=np.full(1, 1.5), translation=np.array([[0.5, -0.25]]))
    shift = drawn_points(bridge, held, grown)[:, :2] - neck
    assert np.allclose(shift, np.array([0.5, -0.25]) * looks.unit[0], atol=1e-5)


def test_a_rough_picture_is_the_same_one(renderer, looks):
    assert renderer.rough(looks) is looks


def test_a_clip_is_read_picture_by_picture(clip):
    assert len(clip.sitter.faces) == len(clip.squares) == len(clip.picks) == 14
    assert clip.sitter.row(14) == 13  # there and back
    assert clip.source.points.shape == (14, 21, 3)


def test_volumes_of_a_clip_are_made_when_they_are_drawn(bridge, film):
    engine = Spy()
    renderer = LivePortraitRenderer(engine, bridge)
    clip = renderer.prepare(film, (224, 224))
    assert engine.volumes == 0
    assert max(engine.read_sizes) <= 8
    for i in (0, 3, 20):
        frame = renderer.draw(shown(clip, i), Motion.rest(1))
        assert frame.shape == (224, 224, 3)
    assert engine.volumes == 3
    assert np.array_equal(engine.drawn[2][0], clip.source.points[7])  # 27 - 20


def test_only_the_lips_of_a_clip_are_driven(bridge, clip):
    others = [i for i in range(21) if i not in LIPS]
    own = clip.source.points[5]
    motion = posed_motion((10, 5, 0), jawOpen=0.8, browInnerUp=1.0)
    mouth = drawn_points(bridge, shown(clip, 5), motion)
    assert np.allclose(mouth[others], own[others], atol=1e-6)
    assert np.abs(mouth[list(LIPS)] - own[list(LIPS)]).max() > 1e-3
    face = replace(clip, film=replace(clip.film, redrive="face"))
    assert np.abs((drawn_points(bridge, shown(face, 5), motion) - own)[others]).max() > 1e-3


def test_pictures_without_a_face_are_shown_as_they_are(renderer, clip):
    strength = clip.film.strength.copy()
    strength[:] = 0
    lost = replace(clip, film=replace(clip.film, strength=strength))
    frame = renderer.draw(shown(lost, 2), Motion.rest(1))
    assert np.array_equal(frame, clip.film.picture(2))


def test_a_lost_face_does_not_disturb_its_neighbours(renderer, film):
    strength = film.film.strength.copy()
    strength[4:7] = 0
    points = film.film.points.copy()
    points[4:7] = 0
    lost = replace(film, film=replace(film.film, strength=strength, points=points))
    clip = renderer.prepare(lost, (224, 224))
    assert clip.squares[4] == clip.squares[3]
    assert clip.squares[6] == clip.squares[7]
    assert np.isfinite(clip.source.points).all()


def test_a_driven_clip_keeps_its_own_head(renderer, clip, portrait):
    driver, drawer = renderer.follower(DrivingOptions(stitching=False))
    motion = Motion.concatenate(list(driver.follow(clip, nodding(portrait, 8))))
    assert np.allclose(motion.translation, 0)
    assert np.allclose(motion.scale, 1)
    assert np.allclose(motion.keypoints[0], clip.source.points[0], atol=1e-5)
    frames = drawer.draw_many([shown(clip, i) for i in range(8)], motion)
    assert len(list(frames)) == 8


def test_driven_keypoints_are_drawn_as_they_are(looks, portrait):
    engine = Spy()
    driver, drawer = LivePortraitRenderer(engine).follower()
    motion = next(driver.follow(looks, nodding(portrait, 2)))
    drawer.draw(looks, motion[:1])
    assert np.array_equal(engine.drawn[0][1], motion.keypoints[:1])


def test_golden_smoothing():
    data = load("source_video_smooth")
    names = ("kp", "exp", "pitch", "yaw", "roll", "t", "scale")
    found = smoothed(Implicit(**{name: data[f"in_{name}"] for name in names}))
    for name in names:
        assert relative_error(getattr(found, name), data[f"out_{name}"]) < 1e-6


@pytest.mark.shared
def test_golden_frame_from_picture_to_picture():
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from visavis.render.liveportrait.eager import TorchEngine

    assert FULL.is_dir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = TorchEngine({n: true_network(n) for n in ("appearance", "warping", "decoder")})
    data = load("e2e_frame")
    volume = engine.volume(picture()[0].transpose(1, 2, 0) / np.float32(255))
    crop = next(engine.draw(volume, data["x_s_0"][0], data["x_d_0"]))
    torch.set_num_threads(threads)
    pasted = paste_at(golden_crop.square(), (320, 240), (320, 240), edge=0).apply(
        golden_crop.picture(), crop
    )
    off = np.abs(pasted.astype(int) - data["pasted_0"])
    assert off.max() <= 1
