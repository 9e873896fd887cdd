"""How windows of motion become one stretch: averaged, cross-faded, continued (ditto-spec 3).

Motion is (t, 265). The published way redraws frames that overlap, so a frame is only known when
the next window has been drawn; ``joined`` is our way, which leaves what has been handed out alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from visavis.errors import InputError
from visavis.motion.ditto.conditions import EXPRESSION, SIZE
from visavis.types import FloatArray

WINDOW = 80
"""Frames of a window."""

_FORGETTING = (0.9, 0.6)
"""Share of a difference at the seam that is left a frame later: of the pose, of the expression."""


@dataclass(frozen=True)
class WindowPlan:
    """The published plan; the defaults are those of Ditto's online configuration.

    ``overlap`` frames of a window are those of the last one, drawn again. Offline the fade between
    the two runs over all of them, ``is_online`` over as many as are new. ``smoothing`` frames are
    averaged, but for the expression. Every ``reset_every``-th window (0: none) is told that the
    frame before it was the sitter's portrait, but for the values ``kept`` of it.

    Raises:
        InputError: the overlap leaves nothing to draw or to fade.
    """

    overlap: int = 70
    is_online: bool = True
    smoothing: int = 3
    reset_every: int = 1
    kept: tuple[int, int] = (0, EXPRESSION)

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        least = WINDOW // 2 if self.is_online else 1
        if not least <= self.overlap < WINDOW:
            raise InputError(
                f"Windows cannot overlap by {self.overlap} frames; {least} to {WINDOW - 1} can."
            )

    @property
    def new(self) -> int:
        """Frames that a window adds."""
        return WINDOW - self.overlap

    @property
    def faded(self) -> int:
        """Frames at the end of the motion that the next window changes."""
        return min(self.overlap, self.new) if self.is_online else self.overlap


@dataclass(frozen=True)
class Stretch:
    """What windows have made so far: the end of the ``motion`` (t, 265), the frame ``before`` (265)
    the next window, and how many ``windows`` there were.
    """

    before: FloatArray
    motion: FloatArray
    windows: int = 0

    @staticmethod
    def begun(portrait: FloatArray) -> Stretch:
        """Return a stretch without motion, for a sitter whose ``portrait`` is (265,)."""
        return Stretch(portrait, np.zeros((0, len(portrait)), np.float32))


def extended(
    stretch: Stretch, window: FloatArray, portrait: FloatArray, plan: WindowPlan
) -> Stretch:
    """Return ``stretch`` with the next ``window`` (80, 265); ``portrait`` (265,) the sitter's."""
    if not stretch.windows:
        motion = averaged(window, 0, WINDOW, plan.smoothing)
    else:
        motion = cross_faded(stretch.motion, window, plan)
        seam = len(motion) - plan.new - plan.faded
        motion = averaged(motion, seam, seam + plan.faded + 1, plan.smoothing)
    windows = stretch.windows + 1
    before = motion[len(motion) - plan.overlap - 1]
    if plan.reset_every and windows % plan.reset_every == 0:
        kept = slice(*plan.kept)
        before = np.concatenate([portrait[: kept.start], before[kept], portrait[kept.stop :]])
    return Stretch(before, motion, windows)


def trimmed(stretch: Stretch) -> Stretch:
    """Return ``stretch`` with no more motion than the next window needs."""
    return replace(stretch, motion=stretch.motion[-WINDOW:])


def cross_faded(motion: FloatArray, window: FloatArray, plan: WindowPlan) -> FloatArray:
    """Return ``motion`` (t, 265) and the new frames of ``window``; the last frames run into it."""
    share = (np.arange(plan.faded, dtype=np.float32) / plan.faded)[:, None]
    again = window[plan.overlap - plan.faded : plan.overlap]
    faded = motion[len(motion) - plan.faded :] * (1 - share) + again * share
    return np.concatenate([motion[: len(motion) - plan.faded], faded, window[plan.overlap :]])


def averaged(
    motion: FloatArray, first: int, stop: int, width: int, calm: int = EXPRESSION
) -> FloatArray:
    """Return ``motion`` (t, 265), the first ``calm`` values of frames ``first`` to ``stop`` the
    mean over ``width`` frames around them, as far as there are any.
    """
    half, out = width // 2, motion.copy()
    for frame in range(first, min(stop, len(motion))) if half else ():
        around = motion[max(0, frame - half) : frame + half + 1, :calm]
        out[frame, :calm] = around.mean(axis=0)
    return out


@cache
def _fading(frames: int) -> FloatArray:
    """Return the share (frames, 265) of the difference at the seam that is left in each frame."""
    left = np.full(SIZE, _FORGETTING[1], np.float32)
    left[:EXPRESSION] = _FORGETTING[0]
    return left ** np.arange(1, frames + 1, dtype=np.float32)[:, None]


def joined(window: FloatArray, past: FloatArray, new: slice) -> FloatArray:
    """Return the frames ``new`` of ``window`` (80, 265), begun where ``past`` (t, 265) has ended.

    The window's own guess of the last past frame tells what it is off by; that fades away from
    frame to frame, however long the chunks are, so that short ones do not jerk.
    """
    calm = averaged(window, 0, WINDOW, 3)
    off = past[-1] - calm[new.start - 1]
    return calm[new] + _fading(new.stop - new.start) * off
