"""Our plan of Ditto's motion: cutting, seeds, controls, going back, and what it hands out."""

from __future__ import annotations

import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitting import WIDTH, Answering, prepared
from visavis.errors import InputError, WeightsMismatch
from visavis.faces.implicit import place
from visavis.motion.base import LiveMotion, MotionModel
from visavis.motion.chunks import ChunkPlan
from visavis.motion.controls import Controls, Timeline
from visavis.motion.ditto.conditions import EXPRESSION, LABELS
from visavis.motion.ditto.config import LmdmConfig
from visavis.motion.ditto.figure import Style
from visavis.motion.ditto.model import GROWING, STEADY, DittoMotion
from visavis.motion.ditto.moves import LIPS
from visavis.motion.ditto.opening import ditto_motion
from visavis.motion.ditto.published import PublishedMotion
from visavis.motion.ditto.sampler import Sampling
from visavis.motion.ditto.windows import Stretch, WindowPlan, joined
from visavis.types import Features, Motion, Phase

FEW = Sampling(2)
ALWAYS = Timeline()
"""Nothing is asked."""
QUIET = np.full((5, WIDTH), -1.0, np.float32) + np.arange(5, dtype=np.float32)[:, None] / 10


@pytest.fixture
def sound() -> np.ndarray:
    """Rows (57, 4) of sound."""
    return np.random.default_rng(3).standard_normal((57, WIDTH)).astype(np.float32)


def ours(**other: object) -> DittoMotion:
    return DittoMotion(Answering(), FEW, silence=QUIET, **other)


def played(
    model: MotionModel,
    rows: np.ndarray,
    cuts: list[int],
    timeline: Timeline = ALWAYS,
    seed: int = 5,
    pictures: int = 1,
) -> Motion:
    """The motion of ``rows`` handed over in pieces."""
    state, parts, at = model.start(seed, prepared(pictures)), [], 0
    for piece in np.split(rows, cuts):
        state, motion = model.step(state, Features(piece, 25, at), timeline)
        parts.append(motion)
        at += len(piece)
    _, motion = model.step(state, Features(rows[:0], 25, at), timeline, final=True)
    return Motion.concatenate([*parts, motion])


def assert_same(one: Motion, other: Motion) -> None:
    for part in ("keypoints", "rotation", "translation", "scale", "coefficients"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


PLANS = {
    "ours": ours,
    "steady": lambda: ours(plan=STEADY),
    "ahead": lambda: ours(plan=replace(GROWING, ahead=3)),
    "published": lambda: PublishedMotion(Answering(), FEW, silence=QUIET),
}


class TestEveryPlan:
    @pytest.mark.parametrize("plan", PLANS)
    @pytest.mark.parametrize("pictures", [1, 4])
    def test_any_cutting_gives_the_same_frames(
        self, plan: str, pictures: int, sound: np.ndarray
    ) -> None:
        whole = played(PLANS[plan](), sound, [], pictures=pictures)
        assert whole.keypoints is not None
        assert whole.keypoints.shape == (len(sound), 21, 3)
        assert np.isfinite(whole.keypoints).all()
        for cuts in ([1], [20, 21, 33], list(range(57))):
            assert_same(played(PLANS[plan](), sound, cuts, pictures=pictures), whole)

    @pytest.mark.parametrize("plan", PLANS)
    @settings(max_examples=10, deadline=None)
    @given(rows=st.integers(0, 45), cut=st.integers(0, 45))
    def test_as_many_frames_as_rows(self, plan: str, rows: int, cut: int) -> None:
        sound = np.ones((rows, WIDTH), np.float32)
        assert len(played(PLANS[plan](), sound, [min(cut, rows)])) == rows

    @pytest.mark.parametrize("plan", PLANS)
    def test_a_frame_waits_no_longer_than_is_said(self, plan: str, sound: np.ndarray) -> None:
        model = PLANS[plan]()
        state, due, made = model.start(0, prepared()), 0, 0
        for i in range(len(sound)):
            state, motion = model.step(state, Features(sound[i : i + 1], 25, i), ALWAYS)
            made += len(motion)
            due = i - model.look_ahead_samples // 640 + 1
            assert made >= due
        assert made > 30

    @pytest.mark.parametrize("plan", PLANS)
    def test_seeds_differ_and_states_can_be_moved(self, plan: str, sound: np.ndarray) -> None:
        model = PLANS[plan]()
        one, other = (played(model, sound, [], seed=seed).keypoints for seed in (1, 2))
        assert np.abs(one - other).max() > 0
        state = model.start(1, prepared())
        state, _ = model.step(state, Features(sound, 25), ALWAYS)
        moved = pickle.loads(pickle.dumps(state))
        ends = [model.step(s, Features(sound, 25, 57), ALWAYS)[1] for s in (state, moved)]
        assert_same(*ends)

    @pytest.mark.parametrize("plan", PLANS)
    def test_a_state_does_not_grow(self, plan: str, sound: np.ndarray) -> None:
        model, sizes = PLANS[plan](), []
        state = model.start(1, prepared())
        for i in range(6):
            state, _ = model.step(state, Features(sound, 25, 57 * i), ALWAYS)
            sizes.append(len(pickle.dumps(state)))
        assert sizes[-1] < 1.1 * sizes[1]

    @pytest.mark.parametrize("plan", PLANS)
    def test_what_does_not_fit_is_refused(self, plan: str) -> None:
        model = PLANS[plan]()
        with pytest.raises(InputError, match="implicit keypoints"):
            model.start(0, SimpleNamespace())
        state, rows = model.start(0, prepared()), Features(np.zeros((3, 45), np.float32), 100)
        with pytest.raises(InputError, match="4 at 25"):
            model.step(state, rows, ALWAYS)

    def test_wrong_silence_plans_and_steps_are_refused(self) -> None:
        with pytest.raises(InputError, match="rows of 4 values"):
            ditto_motion(Answering(), silence=np.zeros((1, 3)))
        with pytest.raises(InputError, match="ours, published"):
            ditto_motion(Answering(), plan="theirs")
        with pytest.raises(InputError, match="1 to 50"):
            ditto_motion(Answering(), steps=51)
        with pytest.raises(InputError, match="40 to 79"):
            WindowPlan(overlap=20)
        short = SimpleNamespace(config=LmdmConfig(frames=40))
        with pytest.raises(WeightsMismatch, match="windows of 40 frames"):
            ditto_motion(short)
        offline = WindowPlan(10, is_online=False)
        with pytest.raises(InputError, match="cannot wait"):
            PublishedMotion(Answering(), plan=offline)
        with pytest.raises(InputError, match="limits"):
            Style(limits=np.zeros((2, 3)))
        assert isinstance(ditto_motion(Answering(), plan="published"), PublishedMotion)


class TestOurs:
    def test_it_is_fit_for_live_sessions(self) -> None:
        model: LiveMotion = ditto_motion(Answering(), is_live=True)
        assert ours().look_ahead_samples == 19 * 640
        assert ours(plan=STEADY).look_ahead_samples == 4 * 640
        assert model.start(0, prepared()).frame == 0

    def test_windows_go_on_from_what_was_shown(self, sound: np.ndarray) -> None:
        denoiser = Answering()
        model = DittoMotion(denoiser, FEW, ChunkPlan(5, 1.0, ahead=0, context=60), silence=QUIET)
        state = model.start(0, prepared())
        portrait, told = denoiser.asked[0]
        np.testing.assert_array_equal(portrait, state.figure.portrait)
        np.testing.assert_array_equal(told[:, :WIDTH], np.tile(QUIET, (16, 1)))
        frames = np.concatenate([state.past, np.zeros((0, 265), np.float32)])
        for chunk in range(20):
            rows = Features(sound[chunk : chunk + 5], 25, 5 * chunk)
            state, _ = model.step(state, rows, ALWAYS)
            frames = np.concatenate([frames, state.past[-5:]])
            before, told = denoiser.asked[-1]
            np.testing.assert_array_equal(before[:EXPRESSION], frames[5 * chunk + 4, :EXPRESSION])
            np.testing.assert_array_equal(before[EXPRESSION:], portrait[EXPRESSION:])
            np.testing.assert_array_equal(told[-5:, :WIDTH], sound[chunk : chunk + 5])
            np.testing.assert_array_equal(state.past[-80:], frames[-80:])

    def test_seams_are_no_steps(self) -> None:
        rng = np.random.default_rng(0)
        window = np.cumsum(0.01 * rng.standard_normal((80, 265)), axis=0).astype(np.float32)
        past = window[:-5] + 1.0
        for length in (1, 5):
            made = joined(window, past, slice(75, 75 + length))
            steps = np.diff(np.concatenate([past[-1:], made]), axis=0)
            assert np.abs(steps[:, :EXPRESSION]).max() < 0.15
            assert np.abs(steps).max() < 0.45
        np.testing.assert_allclose(
            joined(window, window[:75], slice(75, 80))[-1], window[-1], atol=0.1
        )

    def test_chunks_on_demand_and_back(self, sound: np.ndarray) -> None:
        model = ours()
        state, _ = model.extend(model.start(3, prepared()), Features(sound, 25), ALWAYS, 12)
        longer, motion = model.extend(state, Features(sound[12:], 25), ALWAYS, 20)
        assert (len(motion), longer.frame) == (20, 32)
        back = model.cut(longer, 19)
        assert back.frame == 19
        np.testing.assert_array_equal(back.past[-7:], longer.past[-20:-13])
        np.testing.assert_array_equal(back.told[-7:], longer.told[-20:-13])
        _, again = model.extend(back, Features(sound[19:], 25), ALWAYS, 13)
        step = np.abs(np.diff(np.concatenate([motion.keypoints[:7], again.keypoints]), axis=0))
        assert step.max() < 3 * np.abs(np.diff(motion.keypoints, axis=0)).max()
        assert model.cut(longer, 32).last is longer.last
        for frame in (5, 12, 33):
            with pytest.raises(InputError, match="cannot go back"):
                model.cut(longer, frame)
        with pytest.raises(InputError, match="at most 79"):
            model.extend(state, None, ALWAYS, 80)

    def test_on_demand_is_as_in_one_go(self, sound: np.ndarray) -> None:
        model = ours()
        _, whole = model.step(model.start(3, prepared()), Features(sound[:15], 25), ALWAYS)
        state, parts = model.start(3, prepared()), []
        for first, length in ((0, 5), (5, 10)):
            rows = Features(sound[first : first + length], 25, first)
            state, motion = model.extend(state, rows, ALWAYS, length)
            parts.append(motion)
        assert_same(Motion.concatenate(parts), whole)

    def test_silence_is_what_lacks_and_what_listeners_hear(self, sound: np.ndarray) -> None:
        denoiser = Answering()
        model = DittoMotion(denoiser, FEW, silence=QUIET)
        state, _ = model.extend(model.start(0, prepared()), None, ALWAYS, 7)
        np.testing.assert_array_equal(
            denoiser.asked[-1][1][-7:, :WIDTH], QUIET[[0, 1, 2, 3, 4, 0, 1]]
        )
        listening = Timeline.steady(Controls(phase=Phase.LISTENING))
        model.extend(state, Features(sound, 25), listening, 3)
        np.testing.assert_array_equal(denoiser.asked[-1][1][-3:, :WIDTH], QUIET[[2, 3, 4]])

    def test_students_are_asked_once(self, sound: np.ndarray) -> None:
        denoiser = Answering(is_student=True)
        model = ditto_motion(denoiser, silence=QUIET)
        assert len(played(model, sound[:15], [])) == 15
        assert len(denoiser.asked) == 3


class TestPublished:
    def test_the_motion_is_that_of_upstreams_windows(self, sound: np.ndarray) -> None:
        denoiser = Answering()
        model = PublishedMotion(denoiser, FEW, silence=QUIET)
        state = model.start(0, prepared())
        stretch, shown = Stretch.begun(state.figure.portrait), []
        for i in range(50):
            windows = len(denoiser.asked)
            state, motion = model.step(state, Features(sound[i : i + 1], 25, i), ALWAYS)
            shown.append(motion)
            if len(denoiser.asked) == windows:
                continue
            assert (i + 1) % 10 == 0
            before, told = denoiser.asked[-1]
            np.testing.assert_array_equal(before, stretch.before)
            np.testing.assert_array_equal(told[-10:, :WIDTH], sound[i - 9 : i + 1])
            stretch = replace(stretch, before=state.stretch.before, windows=state.stretch.windows)
        assert len(denoiser.asked) == 5
        assert len(Motion.concatenate(shown)) == 40

    def test_the_first_frame_of_all_is_the_origin(self, sound: np.ndarray) -> None:
        model = PublishedMotion(Answering(), FEW, silence=QUIET)
        state, _ = model.step(model.start(0, prepared()), Features(sound[:10], 25), ALWAYS)
        np.testing.assert_array_equal(state.figure.origin, state.stretch.motion[0])


STILL = Style(turn=(0.0, 0.0, 0.0))


class TestControls:
    """What comes out differs where it was asked to, and there only."""

    def both(self, controls: Controls, rows: np.ndarray, **other: object) -> tuple[Motion, Motion]:
        model = ours(style=STILL)
        asked = Timeline.steady(controls)
        return tuple(played(model, rows, [], t, **other) for t in (ALWAYS, asked))

    def test_the_motion_says_how_the_head_is_held(self, sound: np.ndarray) -> None:
        frozen = Controls(freeze=frozenset({"head"}))
        _, still = self.both(frozen, sound)
        np.testing.assert_allclose(still.rotation, 0, atol=1e-3)
        np.testing.assert_allclose(still.translation, 0, atol=1e-5)
        np.testing.assert_array_equal(still.scale, 1)
        held = Controls(head=(5.0, 10.0, -3.0), freeze=frozenset())
        plain, turned = self.both(held, sound)
        change = (turned.rotation - plain.rotation).mean(0)
        np.testing.assert_allclose(change, (5, 10, -3), atol=1.5)
        nod = Controls(offset={"headPitch": 5.0, "headYaw": 10.0, "headRoll": -3.0})
        _, nodded = self.both(nod, sound)
        np.testing.assert_array_equal(nodded.keypoints, turned.keypoints)

    def test_the_published_turn_lowers_the_chin(self, sound: np.ndarray) -> None:
        still = played(ours(style=STILL), sound, [])
        usual = played(ours(), sound, [])
        change = usual.rotation - still.rotation
        np.testing.assert_allclose(change[:, 0], -2, atol=0.3)

    def test_a_still_face_is_the_sitter(self, sound: np.ndarray) -> None:
        frozen = Controls(freeze=frozenset({"head", "mouth", "lids", "brows"}), blink_rate=0.0)
        _, still = self.both(frozen, sound)
        expected = place(prepared().sitter.faces)
        np.testing.assert_allclose(still.keypoints, np.repeat(expected, 57, 0), atol=1e-5)

    def test_blinks_come_as_often_as_asked(self) -> None:
        rows = np.zeros((500, WIDTH), np.float32)
        _, never = self.both(Controls(blink_rate=0.0), rows)
        plain, often = self.both(Controls(blink_rate=50.0), rows)
        lids = [(m.keypoints - never.keypoints)[:, 11, 1] for m in (plain, often)]
        shut = [np.flatnonzero(np.diff((x > 0.02).astype(int)) == 1).size for x in lids]
        assert 2 <= shut[0] < shut[1]
        assert 10 <= shut[1] <= 22

    def test_eyes_turn_and_lips_stay(self, sound: np.ndarray) -> None:
        plain, glancing = self.both(Controls(gaze=(20.0, 10.0), blink_rate=0.0), sound)
        plain = played(ours(style=STILL), sound, [], Timeline.steady(Controls(blink_rate=0.0)))
        change = glancing.keypoints - plain.keypoints
        assert (change[:, [11, 15], 0] > 0.004).all()
        assert (change[:, [11, 15], 1] < -0.004).all()
        np.testing.assert_array_equal(change[:, LIPS], 0)

    def test_energy_moves_lips_more(self, sound: np.ndarray) -> None:
        plain, lively = self.both(Controls(energy=1.5), sound)
        near, far = (np.ptp(m.keypoints[:, LIPS], axis=0).mean() for m in (plain, lively))
        assert far > 1.1 * near

    def test_emotions_are_told_and_free_the_brows(self, sound: np.ndarray) -> None:
        denoiser = Answering()
        model = DittoMotion(denoiser, FEW, silence=QUIET)
        happy = Timeline.steady(Controls(emotion="happy", intensity=0.5))
        played(model, sound[:5], [], happy)
        told = denoiser.asked[-1][1][-1, WIDTH : WIDTH + 8]
        assert told[LABELS.index("happy")] == pytest.approx(0.499, abs=1e-3)
        assert told.sum() == pytest.approx(1, abs=1e-5)
        plain, felt = self.both(Controls(emotion="happy", intensity=1.0), sound)
        brows = [np.ptp(m.keypoints[:, 1] - m.keypoints[:, 0], axis=0).max() for m in (plain, felt)]
        assert brows[1] > brows[0]

    def test_clips_keep_their_heads_and_eyes(self, sound: np.ndarray) -> None:
        model = ours(style=STILL)
        motion = played(model, sound, [], pictures=4)
        np.testing.assert_allclose(motion.rotation, 0, atol=1e-3)
        sitter = prepared(4).sitter
        expected = place(sitter.faces)[[sitter.row(i) for i in range(57)]]
        still = np.setdiff1d(np.arange(21), LIPS)
        np.testing.assert_allclose(motion.keypoints[:, still], expected[:, still], atol=1e-5)
        assert np.abs(motion.keypoints - expected).max() > 0.01

    def test_limits_hold(self, sound: np.ndarray) -> None:
        portrait = played(ours(), sound, [])
        tight = Style(limits=np.zeros((2, 265), np.float32))
        clipped = played(ours(style=tight), sound, [])
        assert np.ptp(clipped.rotation, axis=0).max() < np.ptp(portrait.rotation, axis=0).max()
        assert np.ptp(clipped.keypoints[:, 20], axis=0).max() < 1e-5
