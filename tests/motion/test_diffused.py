"""The learnt motion model on a small NumPy denoiser, and on the packaged one where there is one."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denoiser import MEAN, STD, Denoiser
from visavis.audio.phones import CLOSED, PHONES
from visavis.diffusion.schedule import CosineSchedule
from visavis.errors import InputError
from visavis.hub import manifest
from visavis.motion import conditions
from visavis.motion.chunks import LIVE, ChunkPlan
from visavis.motion.coarticulation import silence
from visavis.motion.conditions import gaze_of, group
from visavis.motion.contact import lip_gap
from visavis.motion.controls import Controls, Timeline
from visavis.motion.diffused import GUIDED, NETWORK, DiffusedMotion, Sampling
from visavis.motion.layout import INDEX, ROTATION, SIZE, pack
from visavis.motion.noise import white
from visavis.types import Features, Motion, Phase

RNG = np.random.default_rng(7)
ROWS = np.abs(RNG.normal(0, 0.4, (287, 45))).astype(np.float32)
OTHER = np.abs(RNG.normal(0, 0.4, (287, 45))).astype(np.float32)
PLAIN = Timeline()


def whole(
    model: DiffusedMotion, rows: np.ndarray = ROWS, timeline: Timeline = PLAIN, **options: Any
) -> np.ndarray:
    """Return the motion of all ``rows`` at once."""
    seed, other = options.get("seed", 1), options.get("other")
    heard = None if other is None else Features(other, 100)
    features = Features(rows, 100)
    return pack(model.step(model.start(seed), features, timeline, True, heard)[1])


def piecewise(
    model: DiffusedMotion,
    cuts: Iterable[int],
    rows: np.ndarray = ROWS,
    timeline: Timeline = PLAIN,
    other: np.ndarray | None = None,
) -> np.ndarray:
    """Return the motion of ``rows`` cut at ``cuts``, the state pickled in between."""
    state, parts, at = model.start(1), [], 0
    for cut in [*sorted(cuts), len(rows)]:
        state = pickle.loads(pickle.dumps(state))
        heard = None if other is None else Features(other[at:cut], 100, at)
        state, part = model.step(
            state, Features(rows[at:cut], 100, at), timeline, cut == len(rows), heard
        )
        parts.append(part)
        at = cut
        if cut == len(rows):
            break
    return pack(Motion.concatenate(parts))


MODELS = {
    "one step": {},
    "live": {"plan": LIVE},
    "four steps": {"sampling": Sampling(4), "plan": ChunkPlan(first=2, context=5, ahead=0)},
    "teacher": {"sampling": Sampling(10, {"speech": 2.0, "emotion": 1.5}, 0.05)},
}


@pytest.fixture(scope="module", params=[*MODELS, "packaged"])
def model(request: pytest.FixtureRequest) -> DiffusedMotion:
    if request.param != "packaged":
        return DiffusedMotion(Denoiser(), **MODELS[request.param])
    if NETWORK not in manifest():
        pytest.skip(f"no {NETWORK} in this package")
    return DiffusedMotion()


WISHES = Timeline(
    (
        (0.3, Controls(emotion="happy", intensity=0.2, gaze=(0.0, 0.0))),
        (1.1, Controls(emotion="happy", intensity=0.9, gaze=(9.0, 3.0), hold={"jawOpen": 0.1})),
        (1.8, Controls(Phase.IDLE, energy=1.4, freeze=frozenset({"brows"}))),
    )
)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, len(ROWS)), max_size=14))
def test_any_cutting_gives_the_same_frames(model: DiffusedMotion, cuts: list[int]) -> None:
    expected = whole(model, timeline=WISHES, other=OTHER)
    assert np.array_equal(piecewise(model, cuts, timeline=WISHES, other=OTHER), expected)


def test_row_by_row_gives_the_same_frames(model: DiffusedMotion) -> None:
    assert np.array_equal(piecewise(model, range(1, len(ROWS))), whole(model))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 15, 16, 17, 23, 24, 25, 120, 287])
def test_the_frame_count_is_exact(model: DiffusedMotion, rows: int) -> None:
    made = whole(model, ROWS[:rows])
    assert len(made) == -(-rows // 4)
    assert np.isfinite(made).all()
    assert np.array_equal(piecewise(model, [rows // 3, rows // 2], ROWS[:rows]), made)


def test_seeds_differ_and_repeat(model: DiffusedMotion) -> None:
    assert np.array_equal(whole(model, seed=5), whole(model, seed=5))
    assert np.abs(whole(model, seed=5) - whole(model, seed=6)).max() > 1e-3


def test_a_frame_comes_no_later_than_stated(model: DiffusedMotion) -> None:
    state, made, worst = model.start(0), 0, 0
    for row in range(len(ROWS)):
        state, part = model.step(state, Features(ROWS[row : row + 1], 100, row), PLAIN)
        if len(part):
            worst = max(worst, row * 160 - made * 640)
        made += len(part)
    assert worst == model.look_ahead_samples


def test_a_long_session_grows_nothing_and_stays_a_face() -> None:
    model = DiffusedMotion(Denoiser())
    state, sizes, last = model.start(0), [], None
    for _ in range(120):
        state, last = model.step(state, Features(ROWS[:100], 100), PLAIN)
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes[60:]) <= max(sizes[4:20]) + 64
    assert last is not None
    assert 0.0 <= last.coefficients.min() <= last.coefficients.max() <= 1.0
    assert np.abs(last.rotation).max() < 24.0


def calls(timeline: Timeline = PLAIN, rows: int = 160, **options: Any) -> list[dict[str, Any]]:
    """Return what the network was given, one entry a call."""
    network = Denoiser()
    model = DiffusedMotion(network, **options)
    model.step(model.start(1), Features(ROWS[:rows], 100), timeline)
    return network.calls


def test_windows_are_context_chunk_and_what_comes_after() -> None:
    frames = [c["motion"].shape[1] for c in calls(rows=287)]
    assert frames == [4 + 2, 4 + 8 + 2, 12 + 16 + 2, 12 + 25 + 2]


def test_the_first_chunk_starts_from_nothing_and_later_ones_from_what_came_out() -> None:
    first, second, third = calls()[:3]
    assert (first["level"] == 1.0).all()
    level = np.float32(Sampling().context_level)
    assert (second["level"][0, :4] == level).all()
    assert (second["level"][0, 4:] == 1.0).all()
    made = (whole(DiffusedMotion(Denoiser())) - MEAN) / STD
    schedule = CosineSchedule()
    share, spread = schedule.alpha(float(level)), schedule.sigma(float(level))
    noise = (third["motion"][0, :12] - share * made[:12]) / spread
    face = [i for i in range(SIZE) if i not in {*group("head"), *group("gaze"), *group("lids")}]
    assert abs(noise[:, face].std() - 1.0) < 0.1  # the rest is steadied on its way out
    assert (third["level"][0, :12] == level).all()


def test_new_frames_are_noise_of_their_own_number() -> None:
    first, second, third = calls()[:3]
    assert np.array_equal(first["motion"][0, 4:], second["motion"][0, 4:6])
    assert np.array_equal(second["motion"][0, 12:], third["motion"][0, 12:14])
    noise = np.concatenate([second["motion"][0, 4:], third["motion"][0, 14:]])
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1.0) < 0.05


def test_every_frame_hears_its_own_rows_and_the_rest_is_silence() -> None:
    second = calls()[1]
    heard = conditions.speech_rows(ROWS[: 4 * 14])
    assert np.array_equal(second["speech"][0], heard)
    network = Denoiser()
    whole(DiffusedMotion(network), ROWS[:18], other=OTHER[:18])
    filled = conditions.speech_rows(np.concatenate([ROWS[:18], silence(6)]))
    assert np.array_equal(network.calls[0]["speech"][0], filled)
    listened = conditions.other_rows(np.concatenate([OTHER[:18], silence(6)]))
    assert np.array_equal(network.calls[0]["other"][0], listened)
    assert not calls()[0]["other"].any()


def test_what_is_held_enters_clean_and_the_rest_goes_with_it() -> None:
    wish = Controls(hold={"jawOpen": 0.25}, freeze=frozenset({"head"}))
    held, free = calls(Timeline.steady(wish)), calls()
    jaw, head = INDEX["jawOpen"], list(range(52, 58))
    for call in held:
        assert (call["level"][0][:, [jaw, *head]] == 0.0).all()
        assert np.allclose(call["motion"][0, :, jaw], (0.25 - MEAN[jaw]) / STD[jaw], atol=1e-6)
    assert (free[0]["level"] == 1.0).all()
    made = whole(DiffusedMotion(Denoiser()), timeline=Timeline.steady(wish))
    assert (made[:, jaw] == np.float32(0.25)).all()
    assert (made[:, head] == [0, 0, 0, 0, 0, 1]).all()
    others = [i for i in range(58) if i not in (jaw, *head)]
    assert np.abs(made - whole(DiffusedMotion(Denoiser())))[:, others].max() > 1e-3


def test_context_is_the_motion_before_gains_so_that_they_do_not_add_up() -> None:
    louder = Timeline.steady(Controls(gain={"jawOpen": 1.5}, offset={"browInnerUp": 0.2}))
    for a, b in zip(calls(louder), calls(), strict=True):
        assert all(np.array_equal(a[k], b[k]) for k in a)
    jaw, brow = INDEX["jawOpen"], INDEX["browInnerUp"]
    made, plain = (
        whole(DiffusedMotion(Denoiser()), timeline=louder),
        whole(DiffusedMotion(Denoiser())),
    )
    assert np.allclose(made[:, jaw], np.clip(1.5 * plain[:, jaw], 0, 1), atol=1e-6)
    assert np.allclose(made[:, brow], np.clip(0.2 + plain[:, brow], 0, 1), atol=1e-6)


def test_wishes_reach_the_network_at_their_frames() -> None:
    rows = np.concatenate(
        [
            c["controls"][0, -c["motion"].shape[1] + past :][:length]
            for c, past, length in zip(
                calls(WISHES, 287), (0, 4, 12, 12), (4, 8, 16, 25), strict=True
            )
        ]
    )
    expected = [WISHES.at(i / 25) for i in range(len(rows))]
    blinks = rows[:, conditions.BLINK] > 0
    assert np.array_equal(rows, conditions.control_rows(expected, blinks))
    assert (rows[:, conditions.HAS_BLINK] == 1.0).all()


def test_blinks_are_asked_at_their_rate() -> None:
    flags = []
    network = Denoiser()
    model = DiffusedMotion(network, plan=LIVE)
    state = model.start(2)
    for _ in range(60):
        state, _ = model.step(
            state, Features(ROWS[:100], 100), Timeline.steady(Controls(blink_rate=30.0))
        )
    for call in network.calls:
        flags += list(call["controls"][0, -6:-2, conditions.BLINK])
    assert 24 <= sum(flags) <= 36


def test_eyes_look_at_the_viewer() -> None:
    made = whole(DiffusedMotion(Denoiser()), timeline=Timeline.steady(Controls(gaze=(0.0, 0.0))))
    assert made[:, ROTATION].std(0).min() > 0.3
    assert np.abs(gaze_of(made)).max() < 1.01


def test_steps_guidance_and_their_refusals() -> None:
    assert len(calls(rows=24)) == 1
    assert len(calls(rows=24, sampling=Sampling(4))) == 4
    teacher = calls(rows=24, sampling=Sampling(10, {"speech": 1.5, "other": 2.0}))
    assert len(teacher) == 10
    assert teacher[0]["motion"].shape[0] == 3
    speech = np.abs(teacher[0]["speech"]).max((1, 2))
    assert list(speech > 0) == [False, True, True]
    assert list(teacher[0]["controls"][:, 0, conditions.HAS_SPEECH]) == [0.0, 1.0, 1.0]
    levels = [c["level"][0, 0, 0] for c in teacher]
    assert np.allclose(levels, np.linspace(1.0, 0.1, 10))
    with pytest.raises(InputError, match="3 steps"):
        Sampling(3)
    with pytest.raises(InputError, match="speech"):
        Sampling(10, {"weather": 2.0})


@pytest.mark.parametrize("name", GUIDED)
def test_guidance_of_one_changes_nothing_and_more_does(name: str) -> None:
    wish = Timeline.steady(Controls(emotion="sad", intensity=1.0, gaze=(9, 0), head=(0, 9, 0)))

    def made(guidance: dict[str, float]) -> np.ndarray:
        model = DiffusedMotion(Denoiser(), Sampling(10, guidance))
        return whole(model, ROWS[:100], wish, other=OTHER[:100], seed=2)

    assert np.allclose(made({name: 1.0}), made({}), atol=2e-3)
    changed = np.abs(made({name: 3.0}) - made({})).max()
    assert changed > 1e-3


@pytest.mark.parametrize("phase", [Phase.LISTENING, Phase.IDLE])
def test_a_face_that_does_not_speak_is_told_of_silence(phase: Phase) -> None:
    network = Denoiser()
    whole(DiffusedMotion(network), timeline=Timeline.steady(Controls(phase=phase)))
    quiet = conditions.speech_rows(silence(4 * 6))
    assert np.array_equal(network.calls[0]["speech"][0], quiet)


def test_contacts_heard_stand_between_sampling_and_context() -> None:
    rows = np.zeros((160, 45), np.float32)
    rows[:, PHONES.index("AA")] = 1.0
    rows[72:80, PHONES.index("AA")] = 0.0
    rows[72:80, [PHONES.index("M"), CLOSED]] = 1.0  # frames 18 and 19
    network = Denoiser()
    made = whole(DiffusedMotion(network), rows)
    gap = lip_gap(made)
    assert gap[18:20].max() < 0.02
    assert gap[8:14].max() > 0.1
    close = INDEX["mouthClose"]
    seen = network.calls[3]["motion"][0, :12, close] * STD[close] + MEAN[close]  # from frame 16 on
    assert np.abs(seen[2:4] - made[18:20, close]).max() < 0.05


def test_a_timeline_may_change_while_streaming() -> None:
    model = DiffusedMotion(Denoiser(), plan=LIVE)
    state, before = model.step(model.start(1), Features(ROWS[:120], 100), PLAIN)
    happy = Timeline.steady(Controls(emotion="happy", intensity=1.0))
    _, one = model.step(state, Features(ROWS[120:200], 100), happy)
    _, two = model.step(state, Features(ROWS[120:200], 100), PLAIN)
    assert np.array_equal(pack(before), whole(model, ROWS[:200])[: len(before)])
    assert np.abs(pack(one) - pack(two)).max() > 1e-3


def test_noise_is_a_function_of_seed_channel_and_frame() -> None:
    block = white(3, 5, 100, 2000, 58)
    assert np.array_equal(block[40:50], white(3, 5, 140, 10, 58))
    for other in (white(4, 5, 100, 50, 58), white(3, 6, 100, 50, 58), white(3, 5, 101, 50, 58)):
        assert abs(np.corrcoef(block[:50].ravel(), other.ravel())[0, 1]) < 0.06
    assert abs(block.mean()) < 0.01
    assert abs(block.std() - 1.0) < 0.01
    assert abs(np.corrcoef(block[:-1].ravel(), block[1:].ravel())[0, 1]) < 0.01
    assert white(2**63 - 1, 0, 10**9, 1, 3).shape == (1, 3)


def test_the_state_is_frozen() -> None:
    model = DiffusedMotion(Denoiser())
    state = model.start(1)
    copies = [replace(state), pickle.loads(pickle.dumps(state))]
    runs = [pack(model.step(s, Features(ROWS, 100), PLAIN, True)[1]) for s in (state, *copies)]
    assert np.array_equal(runs[0], runs[1])
    assert np.array_equal(runs[0], runs[2])
