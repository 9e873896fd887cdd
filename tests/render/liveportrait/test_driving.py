"""What LivePortrait's own pipeline makes of a driving video, and how ours is fed."""

import pytest

from golden import load, relative_error
from stub_engine import StubEngine
from visavis.faces.implicit import Posed, rotations
from visavis.render.liveportrait.retarget import Openness
from visavis.render.liveportrait.transfer import Driven, DrivingOptions, drive

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
    return Driven(pose, Openness(data["in_src_eye_ratio"], data["in_src_lip_ratio"]))


def driven(data):
    pose = Posed(*(data[f"in_drv_{name}"] for name in ("kp", "R", "exp", "t", "scale")))
    return Driven(pose, Openness(data["in_c_eyes"], data["in_c_lip"]))


@pytest.mark.parametrize("case", CASES)
def test_golden_pipeline(case):
    data = load("lp_pipeline")
    frames = driven(data)
    points, _ = drive(StubEngine(), source(data), frames, frames[:1], DrivingOptions(**CASES[case]))
    assert relative_error(points, data[f"out_{case}"]) < 1e-5
