"""Nods: when, how large, and that the eyes stay where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scores import motion_of, new_score, play

from visavis.animator import MotionAnimator
from visavis.motion.conditions import gaze_of
from visavis.motion.controls import Controls, Timeline
from visavis.motion.layout import INDEX
from visavis.stream.presence import Gesture, Listener, listened, present


def heard(pattern: list[tuple[bool, int]], is_listening: bool = True) -> list[int]:
    """Return the frames at which answers begin."""
    listener, frame, begun = Listener(5), 0, []
    for is_speech, frames in pattern:
        for _ in range(frames):
            after = listened(
                listener, 0.04 * is_speech, 0.04 * (not is_speech), frame, is_listening
            )
            if after.answers > listener.answers:
                begun.append(frame)
            listener, frame = after, frame + 1
    return begun


def test_a_nod_comes_soon_after_a_phrase_has_ended() -> None:
    begun = heard([(False, 30), (True, 50), (False, 40)])
    assert len(begun) == 1
    assert 80 + 4 <= begun[0] <= 80 + 17, "0.2 to 0.7 s after the pause begins"


def test_a_word_and_a_hesitation_are_not_answered() -> None:
    assert heard([(True, 20), (False, 50)]) == []
    assert heard([(True, 60), (False, 3), (True, 20)]) == []


def test_a_long_speech_is_answered_now_and_then() -> None:
    begun = heard([(True, 25 * 21)])
    assert len(begun) == 4
    assert min(np.diff(begun)) > 100


def test_who_does_not_listen_does_not_nod() -> None:
    assert heard([(True, 60), (False, 40)], is_listening=False) == []


def test_a_gesture_begins_and_ends_at_rest() -> None:
    gesture = Gesture(100, 4.0, 0.3)
    pitch = [gesture.offsets(f).get("headPitch", 0.0) for f in range(95, gesture.end + 5)]
    assert min(pitch) < -2.0
    assert pitch[:6] == [0.0] * 6
    assert pitch[-5:] == [0.0] * 5
    assert np.abs(np.diff(pitch)).max() < 1.5, "degrees a frame"


def test_breath_is_slow_small_and_goes_on_for_ever() -> None:
    keys = present(Timeline(), 3, None, 0, 1500).keys
    rise = np.array([controls.offset["headY"] for _, controls in keys])
    later = present(Timeline(), 3, None, 1_000_000, 10).keys
    assert 0.006 < np.abs(rise).max() <= 0.009
    breaths = (np.diff(np.sign(rise)) > 0).sum()
    assert 10 <= breaths <= 20, "a minute"
    assert np.abs(np.diff(rise)).max() < 0.001
    assert all(np.isfinite(controls.offset["headY"]) for _, controls in later)


def test_a_gesture_is_added_to_what_is_asked() -> None:
    asked = Timeline.steady(Controls(offset={"headPitch": 29.5, "jawOpen": 0.1}))
    gesture = Gesture(0, -4.0, 0.0)
    keys = present(asked, 3, gesture, 0, 20).keys
    pitch = [controls.offset["headPitch"] for _, controls in keys]
    assert max(pitch) == 30.0, "within its limits"
    assert {controls.offset["jawOpen"] for _, controls in keys} == {0.1}


def test_the_user_is_answered_with_a_nod_and_looked_at(
    animator: MotionAnimator, speech: np.ndarray
) -> None:
    said = np.concatenate([speech[8_000:56_000], np.zeros(24_000, np.float32)])
    score, mute = new_score(animator, 2), new_score(animator, 2)
    frames = {}
    for name, each in (("answers", score), ("mute", mute)):
        each.user(is_speaking=True)
        if name == "mute":
            each._listener = replace(each._listener, spoken_s=-1e9)  # noqa: SLF001
        frames[name] = []
        for i in range(0, len(said), 640):
            each.overhear(said[i : i + 640], 16_000)
            frames[name] += play(each, 1)
    a, b = (motion_of(frames[name]) for name in ("answers", "mute"))
    moved = (a - b)[:, INDEX["headPitch"]]
    assert score._listener.answers >= 1  # noqa: SLF001
    assert moved.min() < -1.5
    first = int(np.flatnonzero(moved < -0.5)[0])
    assert np.abs(gaze_of(a)[first:][:8] - gaze_of(b)[first:][:8]).max() < 1.5, "eyes went along"
