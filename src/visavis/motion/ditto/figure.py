"""From Ditto's motion and the controls to what a renderer is given: keypoints and the head's pose.

How ``motion.controls.Controls`` reach a motion model that knows of few of them:

| control | here |
|---|---|
| phase | listening and idle faces hear silence |
| emotion, intensity | the denoiser's emotion; brows and cheeks are driven as far as the intensity |
| head, head_range | degrees added to the pose; the pose's own movement multiplied |
| gaze | the points of the eyes shifted; always turned against the head as upstream does |
| blink_rate | when the lids close; by the clock of motion/blinks.py |
| energy | the driven expression multiplied |
| freeze | mouth, head, lids, brows: the sitter's own |
| offset | degrees of the head added as well: a listener's nods, breath; nothing else |
| gain, hold | nothing: they are of ARKit's values |

Of a clip only the expression is driven: pose, eyes and blinks are those filmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from visavis.errors import InputError
from visavis.faces.implicit import POINTS, Implicit, Posed, Sitter, head_angles, rotations
from visavis.motion import blinks
from visavis.motion.ambient import lid
from visavis.motion.controls import Controls
from visavis.motion.ditto.conditions import SIZE, packed, rows_of, unpacked
from visavis.motion.ditto.moves import (
    EYES,
    LEFT_EYE,
    POSE,
    RIGHT_EYE,
    Moves,
    Wishes,
    angles,
    gaze_shift,
    moved,
)
from visavis.types import MOTION_FPS, FloatArray, Motion

_TO_OURS = np.array([-1.0, -1.0, 1.0], np.float32)
"""Signs of LivePortrait's pitch, yaw and roll in the terms of types.Motion, and back."""
_ANGLES = ("headPitch", "headYaw", "headRoll")
_GLANCE = 2.5
"""How much further eyes turn that are told to than for a head turned as far. Of the slider of
LivePortrait's editor, whose end (30) is taken for 45 degrees."""
_SHUT = {11: 0.025, 13: -0.0075, 15: 0.025, 16: -0.0075}
"""What closes the lids: shifts down of their points, those of LivePortrait's editor."""
_BLINK_FRAMES = 8
_LEAST_EYES = 0.02
"""Least distance of the eyes' points, to divide by."""


@dataclass(frozen=True)
class Style:
    """How Ditto's motion is put onto faces; the defaults are those of its online configuration.

    ``turn`` pitch, yaw, roll in LivePortrait's degrees, added to every pose: the published model
    looks up a little. ``lids`` (k, 21, 3) what is added to the expression in the frames of a blink
    (upstream's ``delta_eye_arr``); None: by rule. ``own_eyes``: eyes move as the denoiser has them
    instead, without these blinks. ``limits`` (2, 265) least and greatest motion. Not
    ``is_relative``: the motion's own pose and expression take the place of the sitter's.

    Raises:
        InputError: an array has another shape.
    """

    turn: tuple[float, float, float] = (2.0, 0.0, 0.0)
    lids: FloatArray | None = None
    own_eyes: bool = False
    limits: FloatArray | None = None
    is_relative: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        for name, shape in (("lids", (POINTS, 3)), ("limits", (SIZE,))):
            given = getattr(self, name)
            if given is not None and np.shape(given)[1:] != shape:
                raise InputError(
                    f"{name} has the shape {np.shape(given)}; {('k', *shape)} is needed."
                )


@dataclass(frozen=True)
class Figure:
    """A ``sitter``, his ``portrait`` (265,) as motion, and the motion ``origin`` (265,) that leaves
    him as he is.
    """

    sitter: Sitter
    portrait: FloatArray
    origin: FloatArray

    @staticmethod
    def of(appearance: object) -> Figure:
        """Return the figure of what a renderer prepared; its own portrait is the origin.

        Raises:
            InputError: that renderer does not know implicit keypoints.
        """
        sitter = getattr(appearance, "sitter", None)
        if not isinstance(sitter, Sitter):
            raise InputError(
                "Ditto's motion moves implicit keypoints, and this renderer has none of this "
                "portrait; use it with LivePortrait's renderer (--model ditto)."
            )
        portrait = packed(sitter.faces[:1])[0]
        return Figure(sitter, portrait, portrait)


def shown(
    figure: Figure,
    style: Style,
    made: FloatArray,
    asked: Sequence[Controls],
    clocks: Sequence[blinks.BlinkClock],
    first: int,
) -> Motion:
    """Return the frames from ``first`` on for a renderer; ``made`` (t, 265) is Ditto's motion.

    ``asked`` and ``clocks`` have one entry per frame.
    """
    if not len(made):
        return replace(Motion.rest(0), keypoints=np.zeros((0, POINTS, 3), np.float32))
    sitter = figure.sitter.faces[np.array(rows_of(figure.sitter, first, len(made)))]
    if style.limits is not None:
        made = made.clip(style.limits[0], style.limits[1])
    driven, origin = unpacked(made, sitter.kp), unpacked(figure.origin[None], sitter.kp[:1])
    moves, wishes = _moves(figure, style, asked), _wishes(figure, style, asked, clocks)
    posed = moved(sitter, driven, origin if style.is_relative else None, moves, wishes)
    return _seen(sitter, posed)


def _moves(figure: Figure, style: Style, asked: Sequence[Controls]) -> Moves:
    """Return what is driven in the frames ``asked``."""
    lively = _each([c.energy * ("mouth" not in c.freeze) for c in asked])
    rest = _each([_felt(c) for c in asked])
    if len(figure.sitter.faces) > 1:
        return Moves({"exp": lively}, eyes=float(style.own_eyes), rest=rest, keeps_gaze=False)
    swing = _each([c.head_range * ("head" not in c.freeze) for c in asked])
    shares = {"exp": lively, "t": swing, **dict.fromkeys(POSE, swing)}
    return Moves(shares, eyes=float(style.own_eyes), rest=rest)


def _wishes(
    figure: Figure, style: Style, asked: Sequence[Controls], clocks: Sequence[blinks.BlinkClock]
) -> Wishes:
    """Return what is asked of the frames besides."""
    usual = np.array(style.turn, np.float32)
    turn = np.stack([_turn(c, usual) for c in asked])
    gaze = np.array([c.gaze or (0.0, 0.0) for c in asked], np.float32)
    added = _GLANCE * gaze_shift(gaze[:, 0], gaze[:, 1])
    if not style.own_eyes and len(figure.sitter.faces) == 1:
        lids = _lids() if style.lids is None else style.lids
        for i, (wish, clock) in enumerate(zip(asked, clocks, strict=True)):
            if clock.frames < len(lids) and "lids" not in wish.freeze:
                added[i, EYES] += lids[clock.frames][list(EYES)]
    return Wishes(turn=turn, added=added)


def _felt(controls: Controls) -> float:
    """Return how far brows and cheeks are driven: as far as there is an emotion to show."""
    is_free = controls.emotion != "neutral" and "brows" not in controls.freeze
    return controls.intensity if is_free else 0.0


def _turn(controls: Controls, usual: FloatArray) -> FloatArray:
    """Return the degrees (3,) that ``controls`` add to the pose, in LivePortrait's terms."""
    if "head" in controls.freeze:
        return np.zeros(3, np.float32)
    added = [controls.offset.get(name, 0.0) for name in _ANGLES]
    asked = np.array(controls.head or (0, 0, 0), np.float32) + np.array(added, np.float32)
    return usual + _TO_OURS * asked


def _each(numbers: Sequence[float]) -> FloatArray:
    """Return one number per frame (t, 1)."""
    return np.array(numbers, np.float32)[:, None]


@cache
def _lids() -> FloatArray:
    """Return what is added (k, 21, 3) to close and open the lids."""
    shut = np.zeros((POINTS, 3), np.float32)
    for point, shift in _SHUT.items():
        shut[point, 1] = shift
    course = [lid((i + 1) / MOTION_FPS, 1.0) for i in range(_BLINK_FRAMES)]
    return np.array(course, np.float32)[:, None, None] * shut


def _seen(sitter: Implicit, posed: Posed) -> Motion:
    """Return ``posed`` as motion relative to ``sitter``, row by row."""
    own = rotations(*angles(sitter, Wishes()).T)
    here = Posed(sitter.kp, own, sitter.exp, sitter.t, sitter.scale).points
    apart = np.linalg.norm((here[:, LEFT_EYE] - here[:, RIGHT_EYE])[:, :2], axis=-1)
    shift = (posed.t - sitter.t)[:, :2] / np.maximum(apart, _LEAST_EYES)[:, None]
    rotation = head_angles(np.swapaxes(own, -1, -2) @ posed.rotation)
    return replace(
        Motion.rest(len(own)),
        rotation=rotation,
        translation=shift.astype(np.float32),
        scale=(posed.scale / sitter.scale)[:, 0],
        keypoints=posed.points,
    )
