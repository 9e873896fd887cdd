"""Which sound and which motion a session plans, with the real models."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scores import NOBODY, RATE, SLOT, gaps, motion_of, new_score, play, sound_of

from visavis.animator import MotionAnimator
from visavis.errors import QueueFull
from visavis.motion.controls import Controls
from visavis.motion.layout import INDEX
from visavis.stream.policy import SESSION
from visavis.stream.score import Score
from visavis.types import Phase


def said(score: Score, sound: np.ndarray, rate: int = 16_000) -> None:
    score.push(sound, rate, None)
    score.end()


def test_speech_comes_whole_at_the_frame_where_it_began(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    play(score, 10)
    said(score, speech[:32_000].repeat(3), RATE)
    frames = play(score, 70)
    first = next(i for i, f in enumerate(frames) if f.is_said)
    assert first <= 2
    spoken = [f for f in frames if f.is_said]
    assert len(spoken) == 50
    assert np.allclose(sound_of(spoken), speech[:32_000].repeat(3), atol=1e-6)
    assert not sound_of(frames[:first]).any()
    assert [f.index for f in frames] == list(range(10, 80))


def test_the_mouth_moves_as_offline(animator: MotionAnimator, speech: np.ndarray) -> None:
    score = new_score(animator)
    said(score, speech)
    live = gaps([f for f in play(score, 240) if f.is_said])
    state = animator.start(NOBODY)
    moved = animator.move(
        state, animator.hear(animator.listen(), _audio(speech), True)[1], _speaking(), 60
    )[1]
    assert np.corrcoef(live[:60], gaps_of(moved))[0, 1] > 0.9


def _audio(samples: np.ndarray):  # noqa: ANN202
    from visavis.types import Audio

    return Audio(samples)


def _speaking():  # noqa: ANN202
    from visavis.motion.controls import Timeline

    return Timeline()


def gaps_of(motion) -> np.ndarray:  # noqa: ANN001
    from visavis.motion.contact import lip_gap
    from visavis.motion.layout import pack

    return lip_gap(pack(motion))


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, 47_999), max_size=12), rate=st.sampled_from([16_000, 24_000]))
def test_any_cutting_of_the_sound_gives_the_same_frames(
    animator: MotionAnimator, speech: np.ndarray, cuts: list[int], rate: int
) -> None:
    whole, cut = new_score(animator), new_score(animator)
    said(whole, speech[:48_000], rate)
    for piece in np.split(speech[:48_000], sorted(set(cuts))):
        cut.push(piece, rate, None)
    cut.end()
    a, b = play(whole, 40), play(cut, 40)
    assert np.allclose(sound_of(a), sound_of(b), atol=1e-4)
    assert np.array_equal(motion_of(a), motion_of(b))


def test_sound_as_fast_as_it_is_spoken_is_whole_and_in_step(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score, frames = new_score(animator), []
    for i in range(0, 64_000, 640):
        score.push(speech[i : i + 640], 16_000, None)
        frames += play(score, 1)
    score.end()
    frames += play(score, 20)
    spoken = [f for f in frames if f.is_said]
    indices = [f.index for f in spoken]
    assert np.array_equal(np.diff(indices), np.ones(len(indices) - 1)), "it paused"
    assert len(spoken) == 100
    assert 4 <= indices[0] <= 13
    burst = new_score(animator)
    said(burst, speech[:64_000])
    ideal = gaps([f for f in play(burst, 110) if f.is_said])
    assert np.corrcoef(gaps(spoken), ideal)[0, 1] > 0.8


def test_sound_that_stops_coming_pauses_and_goes_on_where_it_was(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    score.push(speech[:24_000], 16_000, "a")
    frames = play(score, 60)
    score.push(speech[24_000:40_000], 16_000, "a")
    score.end()
    frames += play(score, 60)
    spoken = [f for f in frames if f.is_said]
    heard = sound_of(spoken)[:: RATE // 16_000]
    assert len(spoken) == pytest.approx(62.5, abs=1)
    assert np.corrcoef(heard[:39_000], speech[:39_000])[0, 1] > 0.99
    assert {f.speech_id for f in frames if f.is_said} == {"a"}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whatever_happens_meanwhile_the_sound_is_whole_and_in_order(
    animator: MotionAnimator, speech: np.ndarray, seed: int
) -> None:
    rng, score, frames, at = np.random.default_rng(seed), new_score(animator), [], 0
    while at < 48_000:
        size = int(rng.integers(200, 9_000))
        score.push(speech[at : min(at + size, 48_000)], 16_000, "a")
        at += size
        for _ in range(int(rng.integers(0, 12))):
            if rng.random() < 0.15:
                level = float(rng.random())
                score.control(Controls(phase=Phase.IDLE, emotion="happy", intensity=level))
            late = rng.random() < 0.1
            frames += [score.take()] if late else play(score, 1)
    score.end()
    frames += play(score, 90)
    heard = sound_of([f for f in frames if f.is_said])[::3]
    assert [f.index for f in frames] == list(range(len(frames)))
    assert abs(len(heard) - 48_000) < 640
    assert np.abs(heard[:47_900] - speech[:47_900]).max() < 0.02


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_whatever_is_pushed_planned_and_handed_out_when_it_is_said_once(
    animator: MotionAnimator, seed: int
) -> None:
    rng, plan = random.Random(seed), SESSION
    score = Score(animator, NOBODY, 0, 16_000, plan, 60.0)
    sound, at, out, being_made = np.arange(1, 640 * 30 + 1, dtype=np.float32) / 40_000, 0, [], None
    for _ in range(400):
        choice = rng.random()
        if choice < 0.25 and at < len(sound):
            size = rng.choice([160, 640, 1500, 5000])
            score.push(sound[at : at + size], 16_000, "a")
            at += size
            if at >= len(sound):
                score.end()
        elif choice < 0.28:
            score.control(Controls(phase=Phase.IDLE, energy=rng.choice([0.8, 1.0, 1.2])))
        elif choice < 0.6 and being_made is None:
            being_made = score.next_move(3)
        elif choice < 0.6 and being_made is not None:
            score.accept(being_made, *being_made.run())
            being_made = None
        else:
            out.append(score.take())
    if at < len(sound):
        score.push(sound[at:], 16_000, "a")
    score.end()
    out += play(score, 120)
    heard = sound_of(out)
    assert np.array_equal(heard[heard != 0], sound)


def test_interrupting_says_exactly_where_and_closes_the_mouth(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    for seed, before in ((0, 40), (1, 77), (2, 118)):
        score = new_score(animator, seed)
        said(score, speech)
        handed_out = sum(f.is_said for f in play(score, before))
        stopped = score.interrupt()
        assert stopped.position_s == pytest.approx(handed_out / 25)
        assert stopped.dropped_s == pytest.approx(len(speech) / 16_000 - handed_out / 25, abs=1e-3)
        after = play(score, 40)
        assert not sound_of(after[1:]).any()
        assert np.abs(sound_of(after[:1])[RATE // 50 :]).max() == 0, "longer than a fade"
        assert (gaps(after)[4:] < 0.15).all(), "lips apart 160 ms after"
        assert after[2].phase is Phase.LISTENING


def test_motion_that_is_being_made_is_refused_when_speech_begins_or_is_interrupted(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    idle = score.next_move(3)
    assert idle is not None
    said(score, speech)
    first = score.next_move(3)  # speech begins while silence is being made
    assert first is not None
    assert not score.accept(idle, *idle.run())
    assert score.accept(first, *first.run())
    speaking = score.next_move(3)
    assert speaking is not None
    score.interrupt()
    made = score.made
    assert not score.accept(speaking, *speaking.run())
    assert score.made <= made
    assert score.queue_s == 0.0
    assert not any(f.is_said for f in play(score, 20))


def test_resuming_says_the_rest_and_nothing_twice(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    said(score, speech[:80_000])
    first = [f for f in play(score, 50) if f.is_said]
    stopped = score.interrupt()
    play(score, 30)
    assert score.resume() == pytest.approx(stopped.dropped_s)
    assert score.resume() == 0.0
    rest = [f for f in play(score, 130) if f.is_said]
    assert {f.speech_id for f in first + rest} == {stopped.speech_id}
    assert len(first) + len(rest) == 125
    both = sound_of(first + rest)[::3]
    assert np.corrcoef(both[200:-200], speech[200 : 80_000 - 200])[0, 1] > 0.99
    again = score.interrupt()
    assert again.speech_id is None


def test_interrupt_then_speech_is_as_fresh_speech(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    fresh, broken = new_score(animator), new_score(animator)
    play(fresh, 5)
    said(fresh, speech[:48_000])
    said(broken, speech[48_000:])
    play(broken, 50)
    broken.interrupt()
    play(broken, 30)
    said(broken, speech[:48_000])
    a, b = ([f for f in play(s, 80) if f.is_said] for s in (fresh, broken))
    assert len(a) == len(b) == 75
    assert np.array_equal(sound_of(a), sound_of(b))
    assert np.corrcoef(gaps(a), gaps(b))[0, 1] > 0.9


def test_two_sessions_interleaved_are_as_two_alone(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    alone = []
    for seed in (3, 4):
        score = new_score(animator, seed)
        said(score, speech[seed * 8_000 :][:32_000])
        alone.append(motion_of(play(score, 60)))
    both = [new_score(animator, seed) for seed in (3, 4)]
    for seed, score in zip((3, 4), both, strict=True):
        said(score, speech[seed * 8_000 :][:32_000])
    frames: list[list] = [[], []]
    for _ in range(60):
        for k, score in enumerate(both):
            frames[k] += play(score, 1)
    for k in range(2):
        assert np.array_equal(motion_of(frames[k]), alone[k])


def test_utterances_follow_one_another_with_their_names(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    for name in ("one", "two"):
        score.push(speech[:16_000], 16_000, name)
        score.end()
    score.push(speech[:8_000], 16_000, None)
    score.push(speech[:8_000], 24_000, None)  # another rate: another utterance
    score.end()
    frames = play(score, 110)
    names = [f.speech_id for f in frames if f.is_said]
    assert list(dict.fromkeys(names)) == ["one", "two", "speech-1", "speech-2"]
    assert [names.count(n) for n in ("one", "two")] == [25, 25]


def test_phases_follow_what_is_heard(animator: MotionAnimator, speech: np.ndarray) -> None:
    score = new_score(animator)
    assert {f.phase for f in play(score, 10)} == {Phase.IDLE}
    score.user(is_speaking=True)
    assert play(score, 8)[-1].phase is Phase.LISTENING
    score.user(is_speaking=False)
    said(score, speech[:16_000])
    phases = [f.phase for f in play(score, 180)]
    order = list(dict.fromkeys(phases[3:]))
    assert order == [Phase.SPEAKING, Phase.LISTENING, Phase.IDLE]
    assert phases.count(Phase.SPEAKING) <= 25 + 6 + 8


def test_a_state_that_is_set_holds_but_never_silences_speech(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    score.force(Phase.LISTENING)
    assert play(score, 6)[-1].phase is Phase.LISTENING
    said(score, speech[:16_000])
    frames = play(score, 25)
    assert {f.phase for f in frames if f.is_said} == {Phase.SPEAKING}
    score.force(None)
    assert play(score, 200)[-1].phase is Phase.IDLE


def test_controls_are_reached_within_two_chunks(animator: MotionAnimator) -> None:
    score = new_score(animator)
    play(score, 12)
    score.control(Controls(phase=Phase.IDLE, emotion="happy", intensity=1.0))
    smile = motion_of(play(score, 25))[:, INDEX["mouthSmileLeft"]]
    assert smile[:2].max() < 0.35
    assert smile[14:].mean() > 0.3
    assert np.abs(np.diff(smile)).max() < 0.25, "it jumps"


def test_what_the_user_says_is_heard_and_bounded(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    for i in range(0, 96_000, 640):
        score.overhear(speech[i : i + 640], 16_000)
        play(score, 1)
    for _ in range(20):
        score.overhear(np.tile(speech, 3), 48_000)  # much faster than real time
    size = len(pickle.dumps(score._user._pending))  # noqa: SLF001
    assert size < 4 * 2 * len(speech) * 3
    assert len(play(score, 20)) == 20


def test_too_much_sound_is_refused_and_nothing_is_lost(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    score = new_score(animator)
    for _ in range(6):
        score.push(speech, 16_000, None)
    with pytest.raises(QueueFull, match="60 s are possible"):
        score.push(speech, 16_000, None)
    assert score.queue_s == pytest.approx(6 * len(speech) / 16_000)


def test_late_frames_keep_the_sound_whole(animator: MotionAnimator, speech: np.ndarray) -> None:
    score = new_score(animator)
    said(score, speech[:48_000])
    frames = play(score, 20)
    frames += [score.take() for _ in range(25)]  # a second in which nothing is made
    frames += play(score, 40)
    heard = sound_of([f for f in frames if f.is_said])[::3]
    assert np.corrcoef(heard[:47_000], speech[:47_000])[0, 1] > 0.99
    assert sum(f.motion is None for f in frames) > 0
    assert frames[-1].motion is not None


def test_minutes_of_idling_grow_nothing(animator: MotionAnimator) -> None:
    score = new_score(animator)
    play(score, 50)
    before = len(pickle.dumps(score._state))  # noqa: SLF001
    play(score, 1500)
    assert len(pickle.dumps(score._state)) <= before + 200  # noqa: SLF001
    assert len(score.planned) <= 8
    assert SLOT == 1920
