"""LivePortrait's implicit keypoints: 21 points whose place a network reads off a picture.

``Implicit`` is what the motion extractor M says of pictures, in its own terms; ``place`` puts the
points where they are in the 512-pixel crop's coordinates (x right, y down, -1..1 across the crop).
Whoever moves such points (Ditto's motion model, a driving video, a bridge from ARKit) and whoever
draws them share this file. Shapes and maths: Guo et al. (2024), "LivePortrait", eq. 2; the 66 bins
are those of Ruiz et al. (2018), "Hopenet".
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from visavis.types import FloatArray

POINTS = 21
"""Implicit keypoints of a face."""
BINS = 66
"""Bins of 3 degrees, from -97.5, that tell an angle."""


@dataclass(frozen=True)
class Implicit:
    """What M says of ``t`` pictures, all float32.

    ``kp`` (t, 21, 3) the face's own points, ``exp`` (t, 21, 3) what the expression adds to them;
    ``pitch``, ``yaw``, ``roll`` (t, 66) logits of the bins; ``t`` (t, 3) translation; ``scale``
    (t, 1).
    """

    kp: FloatArray
    exp: FloatArray
    pitch: FloatArray
    yaw: FloatArray
    roll: FloatArray
    t: FloatArray
    scale: FloatArray

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.kp)

    def __getitem__(self, index: slice | FloatArray) -> Implicit:
        """Return the pictures in ``index``, a slice or an array of numbers."""
        return Implicit(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Sitter:
    """Whom motion is made for: what his pictures say of him, one of a photograph, ``n`` of a clip.

    ``eye_open`` (n, 2) openness of the left and right eye, ``eye_ball`` (n, 6) gaze, as Ditto's
    conditions have them.
    """

    faces: Implicit
    eye_open: FloatArray
    eye_ball: FloatArray


def degrees(logits: FloatArray) -> FloatArray:
    """Return the angles (t,) in degrees that ``logits`` (t, 66) tell: the mean over the bins."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share = shifted / shifted.sum(axis=-1, keepdims=True)
    return (share * np.arange(BINS, dtype=np.float32)).sum(axis=-1) * 3.0 - 97.5


def rotations(pitch: FloatArray, yaw: FloatArray, roll: FloatArray) -> FloatArray:
    """Return (Rz Ry Rx)^T (t, 3, 3) of angles (t,) in degrees; points are rows: ``kp @ R``."""
    x, y, z = (np.radians(np.asarray(a, np.float32)) for a in (pitch, yaw, roll))
    zero, one = np.zeros_like(x), np.ones_like(x)

    def stacked(*entries: FloatArray) -> FloatArray:
        return np.stack(entries, axis=-1).reshape(*x.shape, 3, 3)

    rx = stacked(one, zero, zero, zero, np.cos(x), -np.sin(x), zero, np.sin(x), np.cos(x))
    ry = stacked(np.cos(y), zero, np.sin(y), zero, one, zero, -np.sin(y), zero, np.cos(y))
    rz = stacked(np.cos(z), -np.sin(z), zero, np.sin(z), np.cos(z), zero, zero, zero, one)
    return np.swapaxes(rz @ ry @ rx, -1, -2)


def placed(
    kp: FloatArray, rotation: FloatArray, exp: FloatArray, t: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return scale * (kp @ R + exp) + t (n, 21, 3); the depth of ``t`` is left out, as upstream."""
    points = scale[..., None] * (kp @ rotation + exp)
    points[..., :2] += t[..., None, :2]
    return points.astype(np.float32)


def place(face: Implicit) -> FloatArray:
    """Return where the points of ``face`` are (t, 21, 3)."""
    turned = rotations(degrees(face.pitch), degrees(face.yaw), degrees(face.roll))
    return placed(face.kp, turned, face.exp, face.t, face.scale)
