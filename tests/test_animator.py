"""The tests that every animator must pass: toy parts and the packaged ones, one table."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denoiser import Denoiser
from visavis.animator import Animator, MotionAnimator, Prepared, frame_count
from visavis.api import load
from visavis.audio.phones import PhoneRecognizer
from visavis.errors import InputError
from visavis.motion.chunks import LIVE
from visavis.motion.controls import Controls, Timeline
from visavis.motion.diffused import DiffusedMotion
from visavis.motion.layout import pack
from visavis.motion.rules import RuleMotion
from visavis.types import SAMPLE_RATE, Audio, Features, Frame, ImageArray, Motion, Phase, Portrait

ROW = SAMPLE_RATE // 25


@dataclass(frozen=True)
class Heard:
    """Samples not yet turned into a row."""

    tail: np.ndarray


class Loudness:
    """One row a motion frame: the mean level of its 40 ms, known when they have been heard."""

    rate = 25
    size = 1
    look_ahead_samples = ROW

    def start(self) -> Heard:
        return Heard(np.zeros(0, np.float32))

    def step(self, state: Heard, audio: Audio, final: bool = False) -> tuple[Heard, Features]:
        buffer = np.concatenate([state.tail, audio.samples])
        missing = -len(buffer) % ROW if final else 0
        buffer = np.concatenate([buffer, np.zeros(missing, np.float32)])
        whole = len(buffer) // ROW
        rows = np.abs(buffer[: whole * ROW]).reshape(whole, ROW)
        values = np.array([[row.mean()] for row in rows], np.float32).reshape(whole, 1)
        return Heard(buffer[whole * ROW :]), Features(values, self.rate)


class Jaw:
    """The jaw follows the loudness, trembling by the seed; the state is the generator's counter."""

    fps = 25
    look_ahead_samples = 0

    def start(self, seed: int, appearance: object = None) -> tuple[int, int]:
        return seed, 0

    def step(
        self,
        state: tuple[int, int],
        features: Features,
        timeline: Timeline,
        final: bool = False,
        other: Any = None,
    ) -> tuple[tuple[int, int], Motion]:
        seed, count = state
        motion = Motion.rest(len(features))
        for i in range(len(features)):
            tremble = np.random.default_rng([seed, count + i]).random() * 0.1
            motion.coefficients[i, 24] = features.values[i, 0] + tremble
        return (seed, count + len(features)), motion


class Plain:
    """A picture that shows every number of the motion."""

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> tuple[int, int]:
        return size

    def draw(self, appearance: tuple[int, int], motion: Motion) -> ImageArray:
        width, height = appearance
        return np.resize(pack(motion).view(np.uint8), (height, width, 3))

    def rough(self, appearance: tuple[int, int]) -> tuple[int, int]:
        return appearance


def portrait_of_nobody() -> Portrait:
    image = np.zeros((24, 16, 3), np.uint8)
    matte = np.zeros((24, 16), np.float32)
    return Portrait(image, np.zeros((478, 3), np.float32), matte, matte, np.zeros(3, np.float32))


def toy(fps: int) -> tuple[MotionAnimator, Prepared]:
    animator = MotionAnimator(Loudness(), Jaw(), Plain(), fps)
    return animator, animator.prepare(portrait_of_nobody())


Case = tuple[Animator, Prepared]
CASES = [
    *("toy-25", "toy-30", "toy-60", "toy-24", "toy-12", "toy-10"),
    *("packaged-25", "packaged-30", "rules-25", "chunks-25", "live-30"),
]
MOTIONS = {
    "rules": RuleMotion(),
    "chunks": DiffusedMotion(Denoiser()),
    "live": DiffusedMotion(Denoiser(), plan=LIVE),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, portrait: Portrait) -> Case:
    kind, fps = request.param.split("-")
    if kind == "toy":
        return toy(int(fps))
    if kind in MOTIONS:
        animator = MotionAnimator(PhoneRecognizer(), MOTIONS[kind], Plain(), int(fps))
        return animator, animator.prepare(portrait_of_nobody())
    animator = load(fps=int(fps))
    return animator, animator.prepare(portrait, (64, 64))


def sound(samples: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    knots = np.arange(0, samples + 4000, 4000)
    loudness = np.interp(np.arange(samples), knots, rng.random(len(knots)) ** 2)
    return (rng.standard_normal(samples) * loudness * 0.3).astype(np.float32)


def play(
    animator: Animator, prepared: Prepared, pieces: list[np.ndarray], seed: int = 0
) -> list[Frame]:
    state = animator.start(prepared, seed)
    frames: list[Frame] = []
    for i, piece in enumerate(pieces):
        state, new = animator.step(state, Audio(piece), final=i == len(pieces) - 1)
        frames += new
    return frames


def assert_same(a: list[Frame], b: list[Frame]) -> None:
    assert [f.index for f in a] == [f.index for f in b]
    for x, y in zip(a, b, strict=True):
        assert np.array_equal(x.image, y.image), f"frame {x.index} differs"


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_any_cutting_of_the_sound_gives_the_same_frames(case: Case, cuts: list[int]) -> None:
    animator, prepared = case
    samples = sound(20_000)
    pieces = np.split(samples, sorted(cuts))
    assert_same(play(animator, prepared, [samples]), play(animator, prepared, pieces))


def test_two_interleaved_sessions_equal_two_alone(case: Case) -> None:
    animator, prepared = case
    sounds = [sound(16_000, 1), sound(16_000, 2)]
    alone = [play(animator, prepared, [s], seed) for seed, s in enumerate(sounds)]
    states: list[Any] = [animator.start(prepared, 0), animator.start(prepared, 1)]
    together: list[list[Frame]] = [[], []]
    for start in range(0, 16_000, 1600):
        for k in (0, 1):
            piece = Audio(sounds[k][start : start + 1600])
            states[k], new = animator.step(states[k], piece, final=start == 14_400)
            together[k] += new
    for a, b in zip(alone, together, strict=True):
        assert_same(a, b)


def test_idling_grows_nothing(case: Case) -> None:
    animator, prepared = case
    state = animator.start(prepared)
    silence = Audio(np.zeros(SAMPLE_RATE, np.float32))
    sizes = []
    for _ in range(20):
        state, _frames = animator.step(state, silence, Timeline.steady(Controls(Phase.IDLE)))
        sizes.append(len(pickle.dumps(replace(state, prepared=None))))
    assert max(sizes[10:]) <= max(sizes[2:10]) + 100, sizes


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641, 8000, 15_999, 16_000, 16_001])
def test_the_frame_count_is_exact(case: Case, samples: int) -> None:
    animator, prepared = case
    frames = play(animator, prepared, [sound(samples)])
    assert len(frames) == frame_count(samples, animator.fps) == -(-samples * animator.fps // 16_000)
    assert [f.index for f in frames] == list(range(len(frames)))


def test_the_seed_decides(case: Case) -> None:
    animator, prepared = case
    one, again, other = (play(animator, prepared, [sound(9000)], seed) for seed in (4, 4, 5))
    assert_same(one, again)
    assert any(not np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


def test_other_rates_meet_the_motion_at_shared_instants() -> None:
    slow, prepared = toy(25)
    fast, _ = toy(50)
    samples = sound(16_000)
    a, b = play(slow, prepared, [samples]), play(fast, prepared, [samples])
    for x, y in zip(a, b[::2], strict=True):
        assert np.array_equal(x.image, y.image)


def test_a_frame_comes_no_later_than_the_window_says(case: Case) -> None:
    animator, prepared = case
    state, frames = animator.start(prepared), []
    samples = sound(32_000)
    for start in range(0, 32_000, 80):
        state, new = animator.step(state, Audio(samples[start : start + 80]))
        frames += new
        heard = start + 80 - animator.window
        due = max(0, heard * animator.fps // SAMPLE_RATE + 1) if heard >= 0 else 0
        assert len(frames) >= due


WISHES = Timeline(
    (
        (0.2, Controls(gaze=(0.0, 0.0), gain={"jawOpen": 0.5})),
        (0.7, Controls(head=(0.0, 9.0, 0.0), gain={"jawOpen": 1.5})),
        (0.9, Controls(Phase.LISTENING, freeze=frozenset({"brows"}))),
    )
)


@settings(max_examples=4, deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=8))
def test_wishes_are_kept_by_time_and_not_by_cut(case: Case, cuts: list[int]) -> None:
    animator, prepared = case
    mine, theirs = sound(20_000), sound(20_000, 8)

    def played(pieces: list[np.ndarray], others: list[np.ndarray]) -> list[Frame]:
        state, frames = animator.start(prepared, 1), []
        for i, (a, b) in enumerate(zip(pieces, others, strict=True)):
            last = i == len(pieces) - 1
            state, new = animator.step(state, Audio(a), WISHES, last, Audio(b))
            state = replace(pickle.loads(pickle.dumps(replace(state, prepared=None))),
                            prepared=state.prepared)  # fmt: skip
            frames += new
        return frames

    at = sorted(cuts)
    assert_same(played([mine], [theirs]), played(np.split(mine, at), np.split(theirs, at)))


def listening() -> tuple[MotionAnimator, Prepared]:
    animator = MotionAnimator(PhoneRecognizer(), MOTIONS["live"], Plain())
    return animator, animator.prepare(portrait_of_nobody())


def test_the_other_person_is_heard() -> None:
    animator, prepared = listening()
    quiet = np.zeros(16_000, np.float32)

    def heard(other: Audio | None) -> np.ndarray:
        _, frames = animator.step(animator.start(prepared), Audio(quiet), final=True, other=other)
        return np.concatenate([f.motion.coefficients for f in frames])

    assert np.array_equal(heard(None), heard(Audio(quiet)))
    assert not np.array_equal(heard(None), heard(Audio(sound(16_000, 5))))


def test_the_other_person_may_fall_silent_but_not_come_in_late_or_short() -> None:
    animator, prepared = listening()
    piece, more = Audio(sound(4000)), Audio(sound(4000, 6))
    state, _ = animator.step(animator.start(prepared), piece, other=more)
    state, _ = animator.step(state, piece)
    animator.step(state, Audio(sound(0)), final=True)
    with pytest.raises(InputError, match="as many"):
        animator.step(state, piece, other=Audio(sound(10)))
    state, _ = animator.step(animator.start(prepared), piece)
    with pytest.raises(InputError, match="first step"):
        animator.step(state, piece, other=more)
