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
from numpy.typing import NDArray

from visavis.types import MOTION_FPS, FloatArray

IntArray = NDArray[np.int64]

POINTS = 21
"""Implicit keypoints of a face."""
BINS = 66
"""Bins of 3 degrees, from -97.5, that tell an angle."""


@dataclass(frozen=True)
class _Eye:
    """One eye in MediaPipe's topology: corners, three pairs of upper and lower lid, iris."""

    outer: int
    inner: int
    lids: tuple[tuple[int, int], ...]
    iris: int


_EYES = (
    _Eye(33, 133, ((159, 145), (160, 144), (158, 153)), 468),
    _Eye(263, 362, ((386, 374), (387, 373), (385, 380)), 473),
)


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

    def __getitem__(self, index: slice | IntArray) -> Implicit:
        """Return the pictures in ``index``, a slice or an array of numbers."""
        return Implicit(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Sitter:
    """Whom motion is made for: what his pictures say of him, one of a photograph, ``n`` of a clip.

    ``eye_open`` (n, 2) and ``eye_ball`` (n, 6) are what ``eye_state`` says. The rows of a clip are
    at ``types.MOTION_FPS``; frame ``i`` of a result goes with row ``row(i)``, which is what the
    renderer shows there.
    """

    faces: Implicit
    eye_open: FloatArray
    eye_ball: FloatArray
    loop: str = "mirror"

    def row(self, frame: int, fps: int = MOTION_FPS) -> int:
        """Return which picture goes with frame ``frame`` of ``fps`` a second: there and back,
        unless ``loop`` says ``repeat`` or ``hold``; frames before the first go with the first.
        """
        frame, rows = round(frame * MOTION_FPS / fps), len(self.faces)
        if self.loop == "hold":
            return min(max(frame, 0), rows - 1)
        if self.loop == "repeat":
            return max(frame, 0) % rows
        return mirrored(frame, rows)


def mirrored(frame: int, rows: int) -> int:
    """Return the row for ``frame`` of a clip played there and back: 0..n-1, n-1..0, 0.. (spec 2).

    Negative frames go with row 0.
    """
    turned = max(frame, 0) % (2 * rows)
    return min(turned, 2 * rows - 1 - turned)


def eye_state(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how open the eyes are (n, 2) and where they look (n, 6), as Ditto's conditions say it.

    ``points`` (n, 478, 3) in MediaPipe's topology; the first eye is that on the left of the
    picture. Openness is three gaps between the lids over the eye's width. The gaze is how the
    direction from the eye's middle to the iris differs from that of its corners, times the length
    of the former, in the unit of ``points``: parts of a square crop's side. Flattened as x, y, z of
    both eyes in turn (ditto-spec 2).
    """
    shut, looks = zip(*(_eye(points.astype(np.float64), eye) for eye in _EYES), strict=True)
    gaze = np.stack(looks, axis=-1).reshape(len(points), -1)
    return np.stack(shut, axis=-1).astype(np.float32), gaze.astype(np.float32)


def _eye(points: FloatArray, eye: _Eye) -> tuple[FloatArray, FloatArray]:
    """Return openness (n,) and gaze (n, 3) of one ``eye``."""
    across = points[:, eye.outer] - points[:, eye.inner]
    width = np.linalg.norm(across, axis=-1)
    gaps = sum(np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in eye.lids)
    off = points[:, eye.iris] - (points[:, eye.outer] + points[:, eye.inner]) / 2
    away = np.linalg.norm(off, axis=-1, keepdims=True)
    return gaps / width, off - away * across / width[:, None]


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


@dataclass(frozen=True)
class Posed:
    """``Implicit`` with a rotation (t, 3, 3), for points as rows, in place of the logits."""

    kp: FloatArray
    rotation: FloatArray
    exp: FloatArray
    t: FloatArray
    scale: FloatArray

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.kp)

    def __getitem__(self, index: slice | IntArray) -> Posed:
        """Return the pictures in ``index``, a slice or an array of numbers."""
        return Posed(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def points(self) -> FloatArray:
        """Return where the points are (t, 21, 3)."""
        return placed(self.kp, self.rotation, self.exp, self.t, self.scale)


def posed(face: Implicit) -> Posed:
    """Return ``face`` with its angles read as a rotation."""
    turned = rotations(degrees(face.pitch), degrees(face.yaw), degrees(face.roll))
    return Posed(face.kp, turned, face.exp, face.t, face.scale)


def place(face: Implicit) -> FloatArray:
    """Return where the points of ``face`` are (t, 21, 3)."""
    return posed(face).points


def head_rotations(angles: FloatArray) -> FloatArray:
    """Return (t, 3, 3), for points as rows, of ``angles`` (t, 3) in the terms of ``types.Motion``.

    With x right, y down and z away, LivePortrait's pitch + lowers the chin and its yaw + turns the
    face to the viewer's left; the order of the turns is the same.
    """
    return rotations(-angles[..., 0], -angles[..., 1], angles[..., 2])


def head_angles(rotation: FloatArray) -> FloatArray:
    """Return pitch, yaw and roll (t, 3) that ``head_rotations`` makes ``rotation`` (t, 3, 3) of."""
    r = np.asarray(rotation, np.float64)
    yaw = np.arcsin(np.clip(r[..., 0, 2], -1, 1))
    pitch, roll = np.arctan2(-r[..., 1, 2], r[..., 2, 2]), np.arctan2(r[..., 0, 1], r[..., 0, 0])
    return np.degrees(np.stack([pitch, yaw, roll], axis=-1)).astype(np.float32)
