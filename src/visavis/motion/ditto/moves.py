"""How driven motion moves a sitter's points, up to the stitching: ditto-spec 4, steps 1 to 8.

Faces are ``Implicit``, rows of frames; the sitter's have one row for each driven frame, or one for
all. Published behaviour is kept, its quirks included: what is relative in the pose is relative in
logits, and only lips and eyes are driven. Shapes: t frames, 21 points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np

from visavis.faces.implicit import POINTS, Implicit, Posed, degrees, rotations
from visavis.types import FloatArray

POSE = ("pitch", "yaw", "roll")
DRIVEN = {"exp": 1.0, **dict.fromkeys(POSE, 1.0), "t": 1.0}
"""Shares of the driven motion, by name; what is not named stays the sitter's."""

LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
LEFT_EYE, RIGHT_EYE = 11, 15
"""The points that go with the eyes on the left and on the right of the picture."""
_GAZE_YAW, _GAZE_PITCH = 0.26, 0.28
_GAZE_WIDE, _GAZE_NARROW = 0.001, 0.0007
"""Shift of an eye's point per unit, towards its outer and its inner corner."""

Share = float | FloatArray
"""A number, or one for each frame (t, 1)."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of the frames besides; a number holds for all frames.

    ``heard`` (t, 1): below 1 the expression goes back to the sitter's (voice activity). Degrees
    ``turn`` (t, 3) are added to pitch, yaw and roll, whose logits are multiplied by ``sharpen``
    before and whose sum by ``gain`` after. ``added`` (t, 21, 3) to the expression. ``stay`` (t, 1):
    below 1 the parts ``fading`` go to those of ``toward``.
    """

    heard: Share = 1.0
    turn: Share = 0.0
    sharpen: Share = 1.0
    gain: Share = 1.0
    added: Share = 0.0
    stay: Share = 1.0
    fading: tuple[str, ...] = ("exp",)
    toward: Implicit | None = None


@dataclass(frozen=True)
class Moves:
    """What is driven, and how; the defaults are Ditto's for photographs.

    ``shares`` by name of DRIVEN, of the difference to the first frame, of the value itself with
    nothing to be relative to; ``eyes`` and ``rest`` (brows, cheeks) of the expression's points
    besides lips; ``keeps_gaze`` turns the eyes against what the head has turned from ``gaze_from``
    (1, 3) degrees on (None: from the sitter's pose in the same frame; upstream: in his first).
    """

    shares: Mapping[str, Share] = field(default_factory=lambda: dict(DRIVEN))
    eyes: Share = 1.0
    rest: Share = 0.0
    keeps_gaze: bool = True
    gaze_from: FloatArray | None = None


def mixed(
    sitter: Implicit, driven: Implicit, origin: Implicit | None, shares: Mapping[str, Share]
) -> Implicit:
    """Return the sitter with the parts of ``driven`` that ``shares`` names (steps 1 and 2).

    ``origin`` (1 frame) is the driven face that leaves the sitter as he is; None: the driven parts
    themselves take the place of his.
    """
    parts = {}
    for part in (f.name for f in fields(Implicit)):
        own, made = getattr(sitter, part), getattr(driven, part)
        if part not in shares:
            parts[part] = np.broadcast_to(own, (len(driven), *own.shape[1:]))
            continue
        share = _rows(shares[part], made.ndim)
        if origin is None:
            parts[part] = made * share
        else:
            parts[part] = own + (made - getattr(origin, part)) * share
    return Implicit(**parts)


def _rows(share: Share, dimensions: int) -> FloatArray:
    """Return ``share``, one for all frames or one each, fit to multiply rows of frames."""
    return np.reshape(np.asarray(share, np.float32), (-1,) + (1,) * (dimensions - 1))


def masked(sitter: FloatArray, exp: FloatArray, eyes: Share, rest: Share) -> FloatArray:
    """Return the expression ``exp`` (t, 21, 3) where it is driven, else the sitter's (step 3)."""
    frames = len(exp)
    share = np.empty((frames, POINTS, 1), np.float32)
    share[:] = _rows(rest, 3)
    share[:, EYES] = _rows(eyes, 3)
    share[:, LIPS] = 1.0
    return share * exp + (1 - share) * sitter


def angles(face: Implicit, wishes: Wishes) -> FloatArray:
    """Return LivePortrait's pitch, yaw and roll (t, 3) of ``face`` in degrees (step 5)."""
    sharpen = np.broadcast_to(np.float32(wishes.sharpen), (len(face), 3))
    read = [degrees(getattr(face, p) * sharpen[:, i : i + 1]) for i, p in enumerate(POSE)]
    turned: FloatArray = (np.stack(read, axis=1) + wishes.turn) * wishes.gain
    return turned.astype(np.float32)


def faded(face: Implicit, toward: Implicit, stay: Share, parts: tuple[str, ...]) -> Implicit:
    """Return ``face``, its ``parts`` gone to those of ``toward`` unless they ``stay`` (step 6)."""
    mix = {}
    for part in parts:
        here, there = getattr(face, part), getattr(toward, part)
        share = _rows(stay, here.ndim)
        mix[part] = here * share + there * (1 - share)
    return replace(face, **mix)


def gaze_shift(yaw: FloatArray, pitch: FloatArray) -> FloatArray:
    """Return what is added (t, 21, 3) for eyes that turn right by ``yaw`` (t,), up by ``pitch``.

    In the units of step 7: what a head turned by as many degrees asks of its eyes.
    """
    added = np.zeros((len(yaw), POINTS, 3), np.float32)
    across, up = _GAZE_YAW * yaw, _GAZE_PITCH * pitch
    is_right = across > 0
    added[:, LEFT_EYE, 0] = across * np.where(is_right, _GAZE_NARROW, _GAZE_WIDE)
    added[:, RIGHT_EYE, 0] = across * np.where(is_right, _GAZE_WIDE, _GAZE_NARROW)
    added[:, LEFT_EYE, 1] = added[:, RIGHT_EYE, 1] = -up * _GAZE_WIDE
    return added


def moved(
    sitter: Implicit,
    driven: Implicit,
    origin: Implicit | None,
    moves: Moves,
    wishes: Wishes,
) -> Posed:
    """Return the sitter as ``driven`` moves him; ``Posed.points`` is what stitching is given."""
    face = mixed(sitter, driven, origin, moves.shares)
    exp = masked(sitter.exp, face.exp, moves.eyes, moves.rest)
    heard = _rows(wishes.heard, 3)
    exp = exp * heard + sitter.exp * (1 - heard) + wishes.added
    face = replace(face, exp=exp)
    if wishes.toward is not None:
        face = faded(face, wishes.toward, wishes.stay, wishes.fading)
    turned = angles(face, wishes)
    exp = face.exp
    if moves.keeps_gaze:
        own = angles(sitter, Wishes()) if moves.gaze_from is None else moves.gaze_from
        pitch, yaw, _ = (turned - own).T
        exp = exp + gaze_shift(yaw, pitch)
    return Posed(face.kp, rotations(*turned.T), exp, face.t, face.scale)
