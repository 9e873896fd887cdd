"""What a body does to motion that is drawn from noise: heads have mass, lids that blink meet.

The head follows what was sampled like a damped spring (it settles on the same pose, without the
tremor above a few hertz), starting from the portrait's own pose; the eyes go on looking where they
looked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from visavis.motion.ambient import lid
from visavis.motion.conditions import BLINK, gaze_of, group
from visavis.motion.layout import INDEX
from visavis.motion.shaping import aimed, rest
from visavis.types import MOTION_FPS, FloatArray

_HEAD = group("head")
_HERTZ = 1.8
"""Natural frequency of the spring: 0.5 Hz passes at 0.93, 5 Hz at 0.11; it comes 0.18 s late."""

_LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
_CLOSING_S = 0.09


@dataclass(frozen=True)
class HeadState:
    """Where the head is and how fast it moves, both (6,), per frame."""

    place: FloatArray = field(default_factory=lambda: rest()[_HEAD].astype(np.float64))
    speed: FloatArray = field(default_factory=lambda: np.zeros(len(_HEAD)))


def carried(state: HeadState, values: FloatArray) -> tuple[HeadState, FloatArray]:
    """Return the state after ``values`` (t, 58), and them with a head that has mass.

    A critically damped spring towards each frame's head, solved exactly.
    """
    pull = 2 * np.pi * _HERTZ / MOTION_FPS
    place, speed, decay = state.place, state.speed, float(np.exp(-pull))
    out = values.copy()
    for row, wanted in zip(out, values[:, _HEAD].astype(np.float64), strict=True):
        gap = place - wanted
        drive = speed + pull * gap
        place = wanted + (gap + drive) * decay
        speed = (speed - pull * drive) * decay
        row[_HEAD] = place
    return HeadState(place, speed), aimed(out, gaze_of(values))


def blinking(values: FloatArray, controls: FloatArray, frames: slice) -> FloatArray:
    """Return motion ``values`` (t, 58) with lids that meet where ``controls`` (n, 25) say so.

    The values are ``frames`` of the window that the controls are of.
    """
    at = np.arange(len(controls))
    shut = np.zeros(len(controls), np.float32)
    for meet in np.flatnonzero(controls[:, BLINK] > 0):
        age_s = (at - meet) / MOTION_FPS + _CLOSING_S
        shut = np.maximum(shut, [lid(age, 1.0) if age > 0 else 0.0 for age in age_s])
    out = values.copy()
    out[:, _LIDS] = np.maximum(out[:, _LIDS], shut[frames, None])
    return out
