"""The motion space: one named layout, the only file with indices into it.

A motion frame is 58 float32 values:

======  ==============================  =============================================
slice   name                            unit
======  ==============================  =============================================
0:52    ARKit blendshape coefficients   0..1, order ``types.ARKIT_NAMES``
52      headPitch                       degrees, + raises the chin
53      headYaw                         degrees, + turns to the viewer's right
54      headRoll                        degrees, + tilts clockwise for the viewer
55      headX                           distances of the pupils, + right
56      headY                           distances of the pupils, + down
57      headScale                       size relative to the portrait, 1 = unchanged
======  ==============================  =============================================

Coefficients are absolute (0 = relaxed face, mouth closed, eyes open); the head is relative to the
portrait, turned about the camera's axes: pitch first, then yaw, then roll. The space knows no
identity: the same numbers drive any portrait, and any ARKit face in Unreal, Blender or three.js.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.types import ARKIT_NAMES, MOTION_FPS, FloatArray, Motion

HEAD_NAMES = ("headPitch", "headYaw", "headRoll", "headX", "headY", "headScale")
NAMES: tuple[str, ...] = ARKIT_NAMES + HEAD_NAMES
SIZE = len(NAMES)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}

COEFFICIENTS = slice(0, 52)
ROTATION = slice(52, 55)
TRANSLATION = slice(55, 57)
SCALE = 57


def pack(motion: Motion) -> FloatArray:
    """Return ``motion`` as one array (t, 58)."""
    return np.concatenate(
        [motion.coefficients, motion.rotation, motion.translation, motion.scale[:, None]], axis=1
    ).astype(np.float32)


def unpack(values: NDArray[Any], fps: int = MOTION_FPS) -> Motion:
    """Return the array ``values`` (t, 58) as a Motion."""
    x = np.asarray(values, np.float32)
    return Motion(x[:, COEFFICIENTS], x[:, ROTATION], x[:, TRANSLATION], x[:, SCALE], fps)


def mirrored(values: NDArray[Any]) -> FloatArray:
    """Return motion ``values`` (t, 58) as seen in a mirror: sides swapped, yaw, roll, x negated."""
    out = np.asarray(values, np.float32)[:, _MIRROR].copy()
    out[:, [INDEX["headYaw"], INDEX["headRoll"], INDEX["headX"]]] *= -1
    return out


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


_MIRROR = [INDEX[_other_side(name)] for name in NAMES]
