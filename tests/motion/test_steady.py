"""Heads with mass, lids that meet: what stands between sampled motion and the face."""

from __future__ import annotations

import numpy as np

from visavis.motion import conditions
from visavis.motion.conditions import BLINK, gaze_of
from visavis.motion.layout import INDEX, ROTATION, SCALE, SIZE
from visavis.motion.steady import HeadState, blinking, carried

YAW = INDEX["headYaw"]


def turned(yaw: np.ndarray) -> np.ndarray:
    """Return motion whose head has ``yaw`` and whose eyes stay on the viewer."""
    values = np.zeros((len(yaw), SIZE), np.float32)
    values[:, SCALE] = 1
    values[:, YAW] = yaw
    values[:, INDEX["eyeLookOutRight"]] = np.maximum(yaw, 0) / conditions.EYE_RANGE_DEG
    values[:, INDEX["eyeLookInLeft"]] = np.maximum(yaw, 0) / conditions.EYE_RANGE_DEG
    return values


def test_the_head_leaves_the_portrait_gently_and_arrives() -> None:
    _, out = carried(HeadState(), turned(np.full(50, 12.0)))
    assert abs(out[0, YAW]) < 2.0
    assert np.abs(np.diff(out[:, YAW])).max() < 2.0
    assert abs(out[-1, YAW] - 12.0) < 0.05
    assert (np.diff(out[:, YAW]) >= 0).all()  # no overshoot


def test_tremor_goes_and_slow_turns_stay() -> None:
    t = np.arange(200) / 25
    slow, tremor = 8 * np.sin(2 * np.pi * 0.3 * t), 1.0 * np.sin(2 * np.pi * 8 * t)
    _, out = carried(HeadState(), turned(slow + tremor))
    _, calm = carried(HeadState(), turned(slow))
    assert np.abs(out[50:, YAW] - calm[50:, YAW]).max() < 0.12
    assert np.ptp(out[50:, YAW]) > 0.9 * np.ptp(slow)


def test_eyes_go_on_looking_where_they_looked() -> None:
    values = turned(np.linspace(0, 12, 40))
    _, out = carried(HeadState(), values)
    assert np.abs(gaze_of(out) - gaze_of(values)).max() < 0.01


def test_any_cutting_gives_the_same_bits() -> None:
    values = turned(np.random.default_rng(0).normal(0, 5, 60).cumsum() / 8)
    _, whole = carried(HeadState(), values)
    state, first = carried(HeadState(), values[:17])
    _, second = carried(state, values[17:])
    assert np.array_equal(np.concatenate([first, second]), whole)


def test_lids_meet_where_they_are_asked_to() -> None:
    controls = np.zeros((30, conditions.SIZE), np.float32)
    controls[[4, 20], BLINK] = 1
    out = blinking(np.zeros((18, SIZE), np.float32), controls, slice(10, 28))
    lids = out[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]]
    assert lids.argmax(0).tolist() == [10, 10]
    assert (lids.max(0) > 0.97).all()
    assert (lids[:7] == 0).all()
    assert np.array_equal(np.delete(out, [8, 9], 1)[:, :8], np.zeros((18, 8)))


def test_a_blink_before_the_frames_is_still_opening_in_them() -> None:
    controls = np.zeros((30, conditions.SIZE), np.float32)
    controls[9, BLINK] = 1
    out = blinking(np.zeros((18, SIZE), np.float32), controls, slice(10, 28))
    assert 0.3 < out[0, INDEX["eyeBlinkLeft"]] < 1.0
    assert out[8, INDEX["eyeBlinkLeft"]] == 0


def test_only_the_head_and_the_eyes_change() -> None:
    values = turned(np.full(5, 3.0))
    values[:, INDEX["jawOpen"]] = 0.3
    _, out = carried(HeadState(), values)
    assert (out[:, INDEX["jawOpen"]] == np.float32(0.3)).all()
    assert not np.array_equal(out[:, ROTATION], values[:, ROTATION])
