"""A face moved by known coefficients, seen as landmarks with noise: the fit finds them again."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.render.rig import PortraitRig, express, fit_portrait, load_rig
from visavis.render.solve import Pose, turn
from visavis.tracking.fit import UNSEEN, Fit, fit
from visavis.types import ARKIT_NAMES, FloatArray

K = {name: i for i, name in enumerate(ARKIT_NAMES)}
FRAMES = 75
NOISE_PX = 0.25


def bump(middle: int, width: float) -> FloatArray:
    return np.exp(-0.5 * ((np.arange(FRAMES) - middle) / width) ** 2).astype(np.float32)


def moving() -> tuple[FloatArray, FloatArray]:
    """Coefficients (t, 52) of a talker who blinks, smiles and looks aside; head turns (t, 3)."""
    t = np.arange(FRAMES)
    c = np.zeros((FRAMES, 52), np.float32)
    c[:, K["jawOpen"]] = 0.35 * np.clip(np.sin(t / 3.0), 0, 1)
    c[:, K["mouthPucker"]] = 0.6 * bump(60, 5)
    for side in ("Left", "Right"):
        c[:, K[f"eyeBlink{side}"]] = np.clip(bump(20, 1.2) + bump(52, 1.2), 0, 1)
        c[:, K[f"mouthSmile{side}"]] = 0.6 * bump(35, 6)
        c[:, K[f"browOuterUp{side}"]] = 0.7 * bump(10, 4)
    c[:, K["eyeLookInLeft"]] = c[:, K["eyeLookOutRight"]] = 0.5 * bump(42, 4)
    head = np.stack([4 * np.sin(t / 11), 8 * np.sin(t / 14), 3 * np.sin(t / 9)], axis=1)
    return c, head


def seen(face: PortraitRig, c: FloatArray, head: FloatArray, scale: FloatArray) -> FloatArray:
    rng = np.random.default_rng(3)
    frames = [
        Pose(turn(*h) @ face.pose.rotation, s * face.pose.scale, face.pose.shift).project(
            express(face, row)
        )
        for row, h, s in zip(c, head, scale, strict=True)
    ]
    return (np.stack(frames) + rng.normal(0, NOISE_PX, (FRAMES, 478, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def face() -> PortraitRig:
    rig = load_rig()
    pose = Pose(turn(0, 0, 0), 22.0, np.array([256, 250, 0], np.float32))
    return fit_portrait(rig, pose.project(rig.neutral))


@pytest.fixture(scope="module")
def found(face: PortraitRig) -> Fit:
    return fit(face.rig, seen(face, *moving(), np.ones(FRAMES)), 25.0)


@pytest.mark.parametrize("name", ["jawOpen", "eyeBlinkLeft", "mouthSmileRight", "eyeLookInLeft"])
def test_coefficients_are_found_again(found: Fit, name: str) -> None:
    true, got = moving()[0][:, K[name]], found.motion.coefficients[:, K[name]]
    assert np.corrcoef(true, got)[0, 1] > 0.97
    assert np.abs(true - got).mean() < 0.06


def test_blinks_close_and_the_mouth_opens_and_shuts_as_seen(found: Fit) -> None:
    lids = found.motion.coefficients[:, K["eyeBlinkRight"]]
    assert min(lids[20], lids[52]) > 0.8
    seen_gap, rig_gap = found.gaps.T
    assert np.corrcoef(seen_gap, rig_gap)[0, 1] > 0.99
    shut = moving()[0][:, K["jawOpen"]] == 0
    assert rig_gap[shut].max() < 0.012
    assert found.residual.mean() < 0.01


def test_the_head_is_relative_to_its_usual_pose(found: Fit) -> None:
    head = moving()[1]
    off = found.motion.rotation - (head - np.median(head, axis=0))
    assert np.abs(off).max(0) == pytest.approx([0, 0, 0], abs=1.2)
    assert np.median(found.motion.rotation, axis=0) == pytest.approx([0, 0, 0], abs=0.5)


def test_turning_is_no_shift_and_nearing_is_a_scale(face: PortraitRig) -> None:
    scale = np.linspace(0.9, 1.1, FRAMES)
    found = fit(face.rig, seen(face, *moving(), scale), 25.0)
    assert found.motion.scale == pytest.approx(scale, abs=0.02)


def test_what_landmarks_do_not_show_stays_zero(found: Fit) -> None:
    assert not found.motion.coefficients[:, [K[name] for name in UNSEEN]].any()
    assert found.motion.coefficients.min() >= 0
    assert found.motion.coefficients.max() <= 1


def test_single_frames_of_noise_are_not_followed(found: Fit) -> None:
    bend = np.abs(np.diff(found.motion.coefficients, 2, axis=0)).mean(0)
    still = [K["noseSneerLeft"], K["browDownLeft"], K["cheekSquintRight"]]
    assert bend[still].max() < 0.005
    assert np.abs(np.diff(found.motion.rotation, 2, axis=0)).mean() < 0.2


def test_a_neutral_recording_keeps_an_expression_that_never_ends(face: PortraitRig) -> None:
    c, head = moving()
    rest = fit(face.rig, seen(face, c, head, np.ones(FRAMES)), 25.0).face
    for side in ("Left", "Right"):
        c[:, K[f"browDown{side}"]] = 0.8
        c[:, K[f"browOuterUp{side}"]] = 0
    angry = seen(face, c, head, np.ones(FRAMES))
    kept = fit(face.rig, angry, 25.0, rest).motion.coefficients[:, K["browDownLeft"]]
    alone = fit(face.rig, angry, 25.0).motion.coefficients[:, K["browDownLeft"]]
    assert np.median(kept) > 0.5
    assert np.median(kept) > np.median(alone)
