"""What LivePortrait's own pipeline makes of a driving video, and how ours is fed."""

from itertools import count

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmed import nodding
from golden import load, relative_error
from stub_engine import StubEngine
from visavis.errors import InputError, NoFaceFound
from visavis.faces.implicit import Posed, rotations
from visavis.faces.landmarks import track
from visavis.nn.rule import normal
from visavis.render.liveportrait.crop import DRIVING, face_square
from visavis.render.liveportrait.driving import Driver, _averaged
from visavis.render.liveportrait.renderer import LivePortraitRenderer
from visavis.render.liveportrait.retarget import Openness, gap_ratio
from visavis.render.liveportrait.transfer import DrivingOptions, Pictured, drive
from visavis.types import Motion

CASES = {
    "rel_pose_friendly": {},
    "rel_expression_friendly": {},  # upstream's factor is 1: nothing to do
    "rel_expr_mult": {"multiplier": 1.5},
    "abs": {"relative": False},
    **{f"rel_region_{r}": {"region": r} for r in ("exp", "pose", "lip", "eyes")},
    **{f"abs_region_{r}": {"region": r, "relative": False} for r in ("exp", "pose", "lip", "eyes")},
    "rel_nostitch": {"stitching": False},
    "rel_normalize_lip": {"close_lips": True},
    "rel_eye_retarget": {"eyes": True},
    "rel_lip_retarget": {"lips": True},
    "rel_both_retarget": {"eyes": True, "lips": True},
    "abs_both_retarget": {"eyes": True, "lips": True, "relative": False},
}


def source(data):
    turned = rotations(*(data[f"in_src_{a}"][:, 0] for a in ("pitch", "yaw", "roll")))
    pose = Posed(
        data["in_src_kp"], turned, data["in_src_exp"], data["in_src_t"], data["in_src_scale"]
    )
    return Pictured(pose, Openness(data["in_src_eye_ratio"], data["in_src_lip_ratio"]))


def driven(data):
    pose = Posed(*(data[f"in_drv_{name}"] for name in ("kp", "R", "exp", "t", "scale")))
    return Pictured(pose, Openness(data["in_c_eyes"], data["in_c_lip"]))


@pytest.mark.parametrize("case", CASES)
def test_golden_pipeline(case):
    data = load("lp_pipeline")
    frames = driven(data)
    points, _ = drive(StubEngine(), source(data), frames, frames[:1], DrivingOptions(**CASES[case]))
    assert relative_error(points, data[f"out_{case}"]) < 1e-5


def test_golden_openness():
    data = load("lp_pipeline")
    points = data["in_lmk203"][None]
    gaps = ((6, 18, 0, 12), (30, 42, 24, 36), (90, 102, 48, 66))
    ratios = [gap_ratio(points, gap)[0] for gap in gaps]
    assert relative_error(ratios[:2], data["in_src_eye_ratio"][0]) < 1e-5
    assert relative_error(ratios[2:], data["in_src_lip_ratio"][0]) < 1e-5


def test_shut_lips_are_not_shut_again():
    data, engine = load("lp_pipeline"), StubEngine()
    frames, shut = driven(data), source(data)
    shut = Pictured(shut.pose, Openness(shut.openness.eyes, np.full((1, 1), 0.02, np.float32)))
    plain, _ = drive(engine, shut, frames, frames[:1], DrivingOptions())
    closed, _ = drive(engine, shut, frames, frames[:1], DrivingOptions(close_lips=True))
    assert np.array_equal(plain, closed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "nose"}, "all, exp, pose, lip, eyes"),
        ({"smoothing": 4}, "odd number"),
        ({"smoothing": 0}, "odd number"),
        ({"multiplier": -1}, "0 to 3"),
    ],
)
def test_unknown_options(options, words):
    with pytest.raises(InputError, match=words):
        DrivingOptions(**options)


@pytest.fixture(scope="module")
def looks(portrait):
    return LivePortraitRenderer(StubEngine()).prepare(portrait, (256, 256))


@pytest.fixture(scope="module")
def pictures(portrait):
    return nodding(portrait, 10)


def followed(looks, pictures, batch=8, engine=None, fps=25, **options):
    driver = Driver(engine or StubEngine(), DrivingOptions(**options), batch)
    return Motion.concatenate(list(driver.follow(looks, pictures, fps)))


def test_relative_motion_begins_at_the_portrait(looks, pictures):
    motion = followed(looks, pictures, stitching=False)
    assert len(motion) == 10
    assert np.allclose(motion.keypoints[0], looks.source.points[0], atol=1e-5)
    assert np.allclose(motion.rotation[0], 0, atol=1e-3)
    assert np.allclose(motion.translation[0], 0, atol=1e-5)
    assert np.abs(motion.keypoints[5] - motion.keypoints[0]).max() > 1e-3


def test_absolute_motion_takes_over_the_pose(looks, pictures):
    motion = followed(looks, pictures, relative=False, region="pose", stitching=False)
    assert np.abs(motion.keypoints[0] - looks.source.points[0]).max() > 1e-3


@pytest.mark.parametrize("options", [{}, {"smoothing": 5}])
def test_batches_do_not_matter(looks, pictures, options):
    one, many = (followed(looks, pictures, batch, **options) for batch in (1, 7))
    assert np.allclose(one.keypoints, many.keypoints, atol=1e-6)


@given(st.integers(0, 20), st.sampled_from([1, 3, 5, 13]))
def test_averages_are_those_of_a_clip(rows, window):
    values = normal("rows", (rows, 3))
    means = [values[max(0, i - window // 2) : i + window // 2 + 1].mean(0) for i in range(rows)]
    assert np.allclose(list(_averaged(iter(values), window)), means)


def test_memory_is_bounded(looks, pictures):
    engine, taken = StubEngine(), []

    def endless():
        for i in count():
            taken.append(i)
            yield pictures[i % 10]

    motions = Driver(engine, DrivingOptions(smoothing=3), 4).follow(looks, endless())
    for _ in range(5):
        next(motions)
    assert len(taken) <= 5 * 4 + 4
    assert max(engine.read_sizes) == 4


def test_a_lost_face_holds_still(looks, pictures):
    blank = np.zeros_like(pictures[0])
    motion = followed(looks, [blank, blank, *pictures[:3], blank, blank, *pictures[3:6]])
    assert len(motion) == 10
    for a, b in ((0, 2), (1, 2), (5, 4), (6, 4)):
        assert np.array_equal(motion.keypoints[a], motion.keypoints[b])
    assert not np.array_equal(motion.keypoints[4], motion.keypoints[7])


def test_no_face_at_all(looks):
    blank = np.zeros((100, 100, 3), np.uint8)
    for pictures in ([], [blank] * 3):
        with pytest.raises(NoFaceFound, match="driving video"):
            followed(looks, pictures)


class Centroid(StubEngine):
    """Reads where the person stands on black ground, and how large he is."""

    def read(self, images):
        read = super().read(images)
        bright = images.mean(-1)
        y, x = np.mgrid[:256, :256] / 128 - 1
        mass = bright.sum((1, 2))
        read.t[:, 0] = (bright * x).sum((1, 2)) / mass
        read.t[:, 1] = (bright * y).sum((1, 2)) / mass
        read.scale[:, 0] = np.sqrt(mass)
        return read


def test_a_head_that_leaves_its_square_is_followed(portrait, looks):
    person = cv2.resize(portrait.image[:700, 162:862], (120, 120), interpolation=cv2.INTER_AREA)
    places = [(20 + 15 * i, 60 + 2 * i) for i in range(16)]
    pictures = []
    for x, y in places:
        picture = np.zeros((300, 420, 3), np.uint8)
        picture[y : y + 120, x : x + 120] = person
        pictures.append(picture)
    motion = followed(
        looks, pictures, engine=Centroid(), region="pose", stitching=False, smoothing=1
    )
    side = face_square(track(pictures[0], None).points, DRIVING).side
    moved = motion.translation * looks.unit[0]
    expected = (np.array(places) - places[0]) * 2 / side
    assert np.abs(moved - expected).max() < 0.1
    assert expected[-1, 0] > 2  # far beyond the first square
    assert np.abs(np.diff(moved[:, 0]) - np.diff(expected[:, 0])).max() < 0.05
    assert np.allclose(motion.scale, 1)
