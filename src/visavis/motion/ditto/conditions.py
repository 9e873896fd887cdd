"""What Ditto's denoiser is told, and the 265 numbers of a frame of its motion (ditto-spec 2).

Told of a frame (t, d + 79): d values of the sound (1024 of HuBERT), 8 of emotion, how open the
sitter's eyes are (2), where they look (6), and his keypoints (63). Motion (t, 265): scale - 1,
66 logits each of pitch, yaw and roll, translation (3), expression (63).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from visavis.faces.implicit import BINS, POINTS, Implicit, Sitter
from visavis.motion.controls import Controls
from visavis.types import FloatArray

LABELS = (
    "angry", "disgusted", "fear", "happy", "neutral", "sad", "surprised", "contempt",
)  # fmt: skip
"""Ditto's order of the emotions of motion.controls.EMOTIONS."""
NEUTRAL = LABELS.index("neutral")
_EMPHASIS = 8.0
"""Before the softmax, of what is asked for; all else is 0."""

SITTER = 2 + 6 + 3 * POINTS
"""Values that tell whom a frame is of."""
BESIDES = len(LABELS) + SITTER
"""Values of a frame that are not the sound's."""

SIZE = 1 + 3 * BINS + 3 + 3 * POINTS
"""Values of a frame of motion."""
EXPRESSION = SIZE - 3 * POINTS
"""Values of a frame that come before those of the expression: scale, pose, translation."""
_PARTS = np.cumsum([1, BINS, BINS, BINS, 3])


def emotion(labels: int | Iterable[int]) -> FloatArray:
    """Return the softmax (8,) that stands for one of LABELS, or for several at once."""
    asked = np.zeros(len(LABELS), np.float32)
    asked[[labels] if isinstance(labels, int) else list(labels)] = _EMPHASIS
    share = np.exp(asked)
    return share / share.sum()


def felt(controls: Controls) -> FloatArray:
    """Return the emotion (8,) of ``controls``: from neutral to the one asked, by its intensity."""
    asked, share = emotion(LABELS.index(controls.emotion)), np.float32(controls.intensity)
    return (1 - share) * emotion(NEUTRAL) + share * asked


def rows_of(sitter: Sitter, first: int, frames: int) -> Sequence[int]:
    """Return which of his pictures go with the ``frames`` frames from ``first`` on."""
    return [sitter.row(frame) for frame in range(first, first + frames)]


def told(sound: FloatArray, emotions: FloatArray, sitter: Sitter, first: int) -> FloatArray:
    """Return what is told (t, d + 79) of the frames from ``first`` on.

    ``sound`` (t, d) and ``emotions`` (t, 8). A negative ``first`` is before the first frame shown.
    """
    rows = rows_of(sitter, first, len(sound))
    points = np.broadcast_to(sitter.faces.kp[:1].reshape(1, -1), (len(sound), 3 * POINTS))
    parts = [sound, emotions, sitter.eye_open[rows], sitter.eye_ball[rows], points]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def packed(face: Implicit) -> FloatArray:
    """Return ``face`` as motion (t, 265); its own points are no part of that."""
    exp = face.exp.reshape(len(face), -1)
    parts = [face.scale - 1, face.pitch, face.yaw, face.roll, face.t, exp]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def unpacked(motion: FloatArray, kp: FloatArray) -> Implicit:
    """Return ``motion`` (t, 265) of a face with its own points ``kp`` (t or 1, 21, 3)."""
    scale, pitch, yaw, roll, t, exp = np.split(motion, _PARTS, axis=1)
    points = np.broadcast_to(kp, (len(motion), POINTS, 3))
    return Implicit(points, exp.reshape(-1, POINTS, 3), pitch, yaw, roll, t, scale + 1)
