from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from visavis.faces.topology import OVAL
from visavis.render import topology
from visavis.render.rig import (
    PortraitRig,
    express,
    fit_portrait,
    load_rig,
    solve,
)
from visavis.render.solve import Pose, align, angles, bounded_least_squares, turn
from visavis.types import ARKIT_NAMES, FloatArray

K = {name: i for i, name in enumerate(ARKIT_NAMES)}
CHIN = 152


def coefficients(**named: float) -> FloatArray:
    c = np.zeros(52, np.float32)
    for name, value in named.items():
        c[K[name]] = value
    return c


def drawn(face: PortraitRig, c: FloatArray, rotation: tuple[float, ...] = (0, 0, 0)) -> FloatArray:
    """Landmarks in pixels of the face under an expression, the head turned from its own pose."""
    pose = Pose(turn(*rotation) @ face.pose.rotation, face.pose.scale, face.pose.shift)
    return pose.project(express(face, c))


def photograph(c: FloatArray, rotation: tuple[float, ...] = (0, 0, 0)) -> FloatArray:
    """Landmarks of the generic face with a known expression and pose."""
    rig = load_rig()
    points = rig.neutral + np.tensordot(c, rig.basis, 1)
    return Pose(turn(*rotation), 22.0, np.float32([256, 250, 0])).project(points)


@pytest.fixture(scope="module")
def face() -> PortraitRig:
    return fit_portrait(load_rig(), photograph(coefficients()))


def gaps(face: PortraitRig, points: FloatArray) -> list[FloatArray]:
    return [contact.gap(points) for contact in face.rig.contacts]


def test_basis_is_mirror_symmetric() -> None:
    rig = load_rig()
    assert (rig.mirror[rig.mirror] == np.arange(478)).all()
    for name, k in K.items():
        twin = name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")
        mirrored = rig.basis[K[twin]][rig.mirror] * [-1, 1, 1]
        assert_allclose(rig.basis[k], mirrored, atol=2e-3, err_msg=name)


def test_contours_are_those_of_the_topology() -> None:
    contours = load_rig().contours
    for side in ("right", "left"):
        for edge in ("upper", "lower"):
            name = f"{side}_eye_{edge}".upper()
            assert tuple(contours[f"eye_{side}_{edge}"]) == getattr(topology, name)
    assert tuple(contours["lips_upper_inner"]) == topology.INNER_UPPER_LIP
    assert tuple(contours["lips_lower_inner"]) == topology.INNER_LOWER_LIP
    assert tuple(contours["face_oval"]) == OVAL


def test_every_shape_but_the_tongue_moves_something_within_reason() -> None:
    reach = np.linalg.norm(load_rig().basis, axis=2).max(1)
    assert reach[K["tongueOut"]] == 0
    others = np.delete(reach, K["tongueOut"])
    assert others.min() > 0.1
    assert others.max() < 6


def test_triangles_cover_the_face_once() -> None:
    rig = load_rig()
    parts = (rig.triangles, rig.mouth_triangles, rig.eye_triangles)
    assert [len(p) for p in parts] == [852, 18, 28]
    edges = np.concatenate(parts)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, counts = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    assert counts.max() == 2
    assert (counts == 1).sum() == 36  # the face oval


@pytest.mark.parametrize("opening", [0.1, 0.35, 1.0])
def test_mouth_close_undoes_jaw_open(face: PortraitRig, opening: float) -> None:
    apart = express(face, coefficients(jawOpen=opening))
    assert gaps(face, apart)[0][5, 1] > 2.5 * opening
    closed = express(face, coefficients(jawOpen=opening, mouthClose=opening))
    assert np.abs(gaps(face, closed)[0]).max() < 1e-3
    assert closed[CHIN, 1] > face.neutral[CHIN, 1]


def test_blink_closes_the_lids_exactly(face: PortraitRig) -> None:
    open_lids = gaps(face, face.neutral)
    closed = gaps(face, express(face, coefficients(eyeBlinkLeft=1, eyeBlinkRight=1)))
    for was, now in zip(open_lids[1:], closed[1:], strict=True):
        assert was[4, 1] > 0.4
        assert np.abs(now).max() < 1e-3


def test_lips_and_lids_never_cross(face: PortraitRig) -> None:
    rng = np.random.default_rng(5)
    for _ in range(400):
        c = rng.uniform(0, 1, 52) * (rng.uniform(size=52) < 0.3)
        for gap in gaps(face, express(face, c.astype(np.float32))):
            assert gap[:, 1].min() > -1e-3


def test_irises_turn_about_their_eyeballs(face: PortraitRig) -> None:
    looking = express(face, coefficients(eyeLookOutLeft=1, eyeLookInRight=1, eyeLookUpLeft=1))
    for k, side in enumerate(("right", "left")):
        iris = face.rig.contours[f"iris_{side}"]
        before = np.linalg.norm(face.neutral[iris] - face.eyeballs[k], axis=1)
        after = np.linalg.norm(looking[iris] - face.eyeballs[k], axis=1)
        assert_allclose(before, after, atol=1e-4)
        assert looking[iris[0], 0] > face.neutral[iris[0], 0] + 0.4
    assert looking[473, 1] < face.neutral[473, 1] - 0.4


def test_rest_of_a_neutral_photograph_is_the_photograph() -> None:
    points = photograph(coefficients())
    face = fit_portrait(load_rig(), points)
    assert_allclose(drawn(face, coefficients()), points, atol=0.3)


def test_open_smiling_mouth_is_found_and_closed() -> None:
    shown = coefficients(jawOpen=0.4, mouthSmileLeft=0.6, mouthSmileRight=0.6)
    face = fit_portrait(load_rig(), photograph(shown, (4, 15, -6)))
    found = face.source_coefficients
    assert abs(found[K["jawOpen"]] - 0.4) < 0.15
    assert found[K["mouthSmileLeft"]] > 0.35
    assert np.abs(gaps(face, face.neutral)[0]).max() < 1e-3
    assert_allclose(angles(face.pose.rotation), [4, 15, -6], atol=3)


def test_solve_returns_the_motion_that_was_posed(face: PortraitRig) -> None:
    shown = coefficients(jawOpen=0.3, mouthPucker=0.5, eyeBlinkLeft=0.8, browInnerUp=0.6)
    found, rotation, _ = solve(face, drawn(face, shown, (6, -10, 4)))
    assert_allclose(rotation, [6, -10, 4], atol=1)
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft", "browInnerUp"):
        assert abs(found[K[name]] - shown[K[name]]) < 0.12, name


def test_averted_eyes_come_back_to_the_camera() -> None:
    points = photograph(coefficients(eyeLookInLeft=0.8, eyeLookOutRight=0.8))
    face = fit_portrait(load_rig(), points)
    assert face.source_coefficients[K["eyeLookInLeft"]] > 0.3
    rest = drawn(face, coefficients())
    assert rest[473, 0] > points[473, 0] + 3


def test_closed_eyes_open_at_rest() -> None:
    face = fit_portrait(load_rig(), photograph(coefficients(eyeBlinkLeft=1, eyeBlinkRight=1)))
    assert face.source_coefficients[K["eyeBlinkLeft"]] > 0.9
    assert gaps(face, face.neutral)[2][4, 1] > 0.3


def test_fit_ignores_size_and_place_of_the_face() -> None:
    points = photograph(coefficients(mouthSmileLeft=0.5), (0, 10, 0))
    one = fit_portrait(load_rig(), points)
    two = fit_portrait(load_rig(), points * 3 + np.float32([100, -40, 7]))
    assert_allclose(one.neutral, two.neutral, atol=5e-3)


def test_angles_undo_turn() -> None:
    for triple in ((0, 0, 0), (12, -25, 8), (-30, 40, -15)):
        assert_allclose(angles(turn(*triple)), triple, atol=1e-3)


def test_align_withstands_outliers() -> None:
    rng = np.random.default_rng(0)
    model = rng.normal(size=(100, 3)).astype(np.float32)
    pixels = Pose(turn(5, 20, -7), 40.0, np.float32([9, 8, 7])).project(model)
    pixels[:8] += 60
    assert_allclose(angles(align(model, pixels, np.ones(100)).rotation), [5, 20, -7], atol=2)


def test_bounded_least_squares_meets_its_optimality_conditions() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(60, 20)) * np.logspace(-1, 1.5, 20)
    gram = (a.T @ a + 0.1 * np.eye(20)).astype(np.float32)
    target = (gram @ rng.uniform(-1, 2, 20)).astype(np.float32)
    x = bounded_least_squares(gram, target, np.zeros(20, np.float32), rounds=400)
    slope = (gram @ x - target) / np.diag(gram)
    assert (slope[x <= 0] > -1e-2).all()
    assert (slope[x >= 1] < 1e-2).all()
    assert np.abs(slope[(x > 0) & (x < 1)]).max() < 1e-2


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["neutral", "open"])
def test_portraits_close_their_mouths_and_eyes(shared: Path, kind: str) -> None:
    path = shared / f"data/portraits/{kind}_landmarks478.npz"
    blink = coefficients(eyeBlinkLeft=1, eyeBlinkRight=1)
    for points in np.load(path)["xyz_x32"][::40].astype(np.float32) / 32:
        face = fit_portrait(load_rig(), points)
        eyes = np.linalg.norm(face.eyeballs[1] - face.eyeballs[0])
        assert np.abs(gaps(face, express(face, coefficients()))[0]).max() < 0.005 * eyes
        assert max(np.abs(g).max() for g in gaps(face, express(face, blink))[1:]) < 0.005 * eyes
