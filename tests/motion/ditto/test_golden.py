"""Windows, conditions and moves give what upstream's code gave (../shared/data/golden)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from golden import TOLERANCE, load, relative_error, thinned
from sitting import WIDTH
from visavis.faces.implicit import POINTS, Implicit, Sitter, place
from visavis.motion.controls import Timeline
from visavis.motion.ditto.conditions import LABELS, SIZE, emotion, packed, told, unpacked
from visavis.motion.ditto.config import LmdmConfig
from visavis.motion.ditto.moves import DRIVEN, EYES, Moves, Wishes, angles, masked, mixed, moved
from visavis.motion.ditto.published import PublishedMotion
from visavis.motion.ditto.sampler import Sampling
from visavis.motion.ditto.windows import Stretch, WindowPlan, averaged, extended
from visavis.nn.rule import rule_weights
from visavis.types import Features


def whole(values: np.ndarray) -> np.ndarray:
    """Return golden motion (..., 265), zero where the subset leaves values out."""
    stride = -(-SIZE // values.shape[-1])
    out = np.zeros((*values.shape[:-1], SIZE), np.float32)
    out[..., ::stride] = values
    return out


def assert_golden(found: np.ndarray, expected: np.ndarray) -> None:
    assert relative_error(thinned(found, expected), expected) <= TOLERANCE


class TestWindows:
    @pytest.mark.parametrize(
        ("name", "plan"),
        [
            ("offline", WindowPlan(10, is_online=False, reset_every=0)),
            ("offline_nosmo", WindowPlan(10, is_online=False, smoothing=1, reset_every=0)),
            ("offline_fix", WindowPlan(10, is_online=False, reset_every=2)),
            ("online", WindowPlan(reset_every=0)),
            ("online_nosmo", WindowPlan(smoothing=1, reset_every=0)),
        ],
    )
    def test_stretches_are_upstreams(self, name: str, plan: WindowPlan) -> None:
        golden = load("audio2motion")
        portrait = whole(golden["s_kp_cond"])[0]
        stretch, before = Stretch.begun(portrait), []
        for window in whole(golden["preds_f16"])[: len(golden[f"{name}_conds"]), 0]:
            before.append(stretch.before)
            stretch = extended(stretch, window, portrait, plan)
        assert_golden(np.stack(before), golden[f"{name}_conds"])
        assert_golden(stretch.motion[None], golden[f"{name}_final_s"])
        if name == "offline":
            again = averaged(stretch.motion, 0, len(stretch.motion), plan.smoothing)
            assert_golden(again[None], golden["offline_after_final_smo_s"])


class Replaying:
    """A denoiser that answers with golden windows in turn; ``before`` are the frames it is told."""

    config = LmdmConfig(condition=WIDTH + 79)

    def __init__(self, windows: np.ndarray) -> None:
        self.before: list[np.ndarray] = []
        self._windows = iter(windows)

    def prepare(self, before: np.ndarray, told: np.ndarray) -> np.ndarray:
        self.before.append(before)
        return next(self._windows)

    def guess(self, prepared: np.ndarray, motion: np.ndarray, time: int) -> np.ndarray:
        return np.stack([prepared, prepared])


def test_a_published_session_makes_upstreams_motion() -> None:
    golden = load("audio2motion")
    denoiser = Replaying(whole(golden["preds_f16"])[:, 0])
    model = PublishedMotion(denoiser, Sampling(1), WindowPlan(reset_every=0))
    face = unpacked(whole(golden["s_kp_cond"]), np.zeros((1, POINTS, 3), np.float32))
    eyes = np.zeros((1, 2), np.float32), np.zeros((1, 6), np.float32)
    state = model.start(0, SimpleNamespace(sitter=Sitter(face, *eyes)))
    shown = 0
    for i in range(20):
        rows = Features(np.zeros((4, WIDTH), np.float32), 25, 4 * i)
        state, motion = model.step(state, rows, Timeline())
        shown += len(motion)
    assert_golden(np.stack(denoiser.before), golden["online_conds"])
    expected = golden["online_final_s"]
    assert_golden(state.stretch.motion[None], expected[:, -80:])
    origin = state.figure.origin[:: -(-SIZE // expected.shape[-1])]
    assert relative_error(origin, expected[0, 0]) <= TOLERANCE
    assert shown == 70


class TestConditions:
    def test_emotions_are_upstreams(self) -> None:
        golden = load("condition")
        for label in range(len(LABELS)):
            assert_golden(emotion(label), golden[f"emo_{label}"])
        assert_golden(emotion([3, 4]), golden["emo_3_4"])

    def test_frames_of_a_photograph_are_told_as_upstream(self) -> None:
        golden = load("condition")
        sitter = sitter_of(golden, "")
        sound = np.zeros((80, 1024), np.float32)
        sound[:, 1020:] = golden["aud_feat_tail"]
        found = told(sound, np.tile(emotion(4), (80, 1)), sitter, 0)
        assert found.shape == (80, 1103)
        assert_golden(found[:, 1020:], golden["cond_tail"])

    @pytest.mark.parametrize("first", [-70, 7])
    def test_frames_of_a_clip_are_told_as_upstream(self, first: int) -> None:
        golden = load("condition")
        cycle = [emotion(4), emotion([3, 4]), emotion(3)]
        emotions = np.stack([cycle[max(i, 0) % 3] for i in range(first, first + 80)])
        sitter = sitter_of(golden, "video_")
        found = told(np.zeros((80, 1024), np.float32), emotions, sitter, first)
        assert_golden(found[:, 1024:1040], golden[f"video_cond_tail_idx{first}"])

    def test_motion_packs_and_unpacks(self) -> None:
        golden = load("motion_primitives")
        face = face_of(golden, "xs", golden["xs_kp"])
        assert_golden(packed(face)[0], golden["xs_vec265"])
        back = unpacked(packed(face), face.kp)
        for part in ("kp", "exp", "pitch", "yaw", "roll", "t", "scale"):
            np.testing.assert_allclose(getattr(back, part), getattr(face, part), atol=1e-6)


def sitter_of(golden: dict[str, Any], prefix: str) -> Sitter:
    """The sitter of condition.npz."""
    eyes = golden[f"{prefix}eye_open"], golden[f"{prefix}eye_ball"]
    points = np.tile(golden["sc"].reshape(1, POINTS, 3), (len(eyes[0]), 1, 1))
    names = ("exp", "pitch", "yaw", "roll", "t", "scale")
    rest = {name: np.zeros((len(eyes[0]), 1), np.float32) for name in names}
    return Sitter(Implicit(points, **rest), *eyes)


def face_of(arrays: dict[str, Any], prefix: str, kp: np.ndarray) -> Implicit:
    """The faces that ``arrays`` hold as ``prefix``_exp and so on."""
    exp = arrays[f"{prefix}_exp"].reshape(-1, POINTS, 3)
    points = np.broadcast_to(kp.reshape(-1, POINTS, 3), exp.shape)
    rest = [arrays[f"{prefix}_{part}"] for part in ("pitch", "yaw", "roll", "t", "scale")]
    return Implicit(points, exp, *rest)


def stitched(source: np.ndarray, driven: np.ndarray) -> np.ndarray:
    """Return ``driven`` (t, 21, 3) as the stitching network with weights by the rule moves it."""
    widths = ((126, 128), (128, 128), (128, 64), (64, 65))
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (narrow, wide) in enumerate(widths):
        shapes |= {f"mlp.{2 * i}.weight": (wide, narrow), f"mlp.{2 * i}.bias": (wide,)}
    weights = rule_weights(shapes, prefix="retarget_shoulder.")
    rows = [np.broadcast_to(source, driven.shape), driven]
    x = np.concatenate([r.reshape(len(driven), -1) for r in rows], axis=1)
    for i in range(len(widths)):
        x = x @ weights[f"mlp.{2 * i}.weight"].T + weights[f"mlp.{2 * i}.bias"]
        x = np.maximum(x, 0) if i + 1 < len(widths) else x
    moved_points = driven + x[:, :63].reshape(-1, POINTS, 3)
    moved_points[..., :2] += x[:, None, 63:]
    return moved_points


HALF = dict.fromkeys(("pitch", "yaw", "roll"), 0.8) | {"exp": 1.2, "t": 0.5}
"""use_d_keys of two configurations."""
STILL = Moves({"exp": 1.0}, eyes=0.0, keeps_gaze=False)
"""How upstream drives clips."""
FADE = (1 - np.arange(6) / 5)[:, None]


class TestMoves:
    """All 18 configurations of upstream's MotionStitch."""

    @pytest.fixture(scope="class")
    @staticmethod
    def given() -> dict[str, Any]:
        return load("motion_stitch_in")

    def face(self, given: dict[str, Any], prefix: str) -> Implicit:
        return face_of(given, prefix, given.get(f"{prefix}_kp", given["xs_kp"]))

    def check(self, given: dict[str, Any], name: str, **how: Any) -> None:
        """Compare configuration ``name``; ``how`` is what moved is given but for the defaults."""
        golden = load("motion_stitch_out")
        sitter = how.get("sitter", self.face(given, "xs"))
        driven = how.get("driven", self.face(given, "xd"))
        origin = how.get("origin", driven[:1])
        posed = moved(
            sitter, driven, origin, how.get("moves", Moves()), how.get("wishes", Wishes())
        )
        source, points = place(sitter), posed.points
        if how.get("is_stitched", True):
            points = stitched(source, points)
        assert_golden(points, golden[f"{name}_x_d"])

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("image_default", {}),
            ("image_delta_pitch", {"wishes": Wishes(turn=np.array([[2.0, 0, 0]]))}),
            ("image_no_stitch", {"is_stitched": False}),
            ("image_absolute", {"origin": None}),
            ("image_absolute_dictkeys", {"origin": None, "moves": Moves(HALF)}),
            ("image_rel_dictkeys", {"moves": Moves(HALF)}),
            ("image_exp_only", {"moves": Moves({"exp": 1.0})}),
            ("image_no_drive_eye", {"moves": Moves(eyes=0.0, keeps_gaze=False)}),
            ("image_vad", {"wishes": Wishes(heard=FADE)}),
        ],
    )
    def test_options(self, given: dict[str, Any], name: str, how: dict[str, Any]) -> None:
        self.check(given, name, **how)

    def test_a_given_origin(self, given: dict[str, Any]) -> None:
        self.check(given, "image_d0_given", origin=self.face(given, "d0"))

    def test_clips(self, given: dict[str, Any]) -> None:
        clip = self.face(given, "xsv")
        self.check(given, "video_default", sitter=clip, moves=STILL)
        first = Moves({"exp": 1.0}, gaze_from=angles(clip[:1], Wishes()))
        self.check(given, "video_drive_eye", sitter=clip, moves=first)

    @pytest.mark.parametrize("name", ["image_blink_fixed", "image_blink_list"])
    def test_blinks(self, given: dict[str, Any], name: str) -> None:
        golden = load("motion_stitch_out")
        lids = given["delta_eye_arr"].reshape(-1, POINTS, 3)[golden[f"{name}_eye_idx"]]
        is_eye = np.isin(np.arange(POINTS), EYES)[:, None]
        driven = self.face(given, "xd")[np.arange(60) % 6]
        how = {"moves": Moves(eyes=0.0), "wishes": Wishes(added=lids * is_eye)}
        self.check(given, name, driven=driven, **how)

    def test_fading(self, given: dict[str, Any]) -> None:
        sitter, driven = self.face(given, "xs"), self.face(given, "xd")
        first = mixed(sitter, driven[:1], driven[:1], DRIVEN)
        toward = replace(first, exp=masked(sitter.exp, first.exp, 1.0, 0.0))
        self.check(given, "image_fade_d0", wishes=Wishes(stay=FADE, toward=toward))
        all_parts = ("exp", "pitch", "yaw", "roll", "t")
        wishes = Wishes(stay=FADE, toward=sitter, fading=all_parts)
        self.check(given, "image_fade_s", wishes=wishes)

    def test_degrees_and_logits(self, given: dict[str, Any]) -> None:
        turn = np.array([[0, 3 * i, -2] for i in range(6)], np.float32)
        wishes = Wishes(
            turn=turn,
            sharpen=np.array([[0.7, 1, 1]]),
            gain=np.array([[1, 0.5, 1]]),
            added=given["delta_exp"].reshape(1, POINTS, 3),
        )
        self.check(given, "image_ctrl", wishes=wishes)

    def test_a_stand_in_character(self, given: dict[str, Any]) -> None:
        ratio = float(1.3 / given["xs_scale"][0, 0])
        shares = dict.fromkeys(("exp", "pitch", "yaw", "roll"), ratio) | {"t": 1.0}
        self.check(given, "image_ch_scale", moves=Moves(shares))
