"""The contours the renderer needs, cut out of the rings of faces/topology.py.

Every contour runs from the viewer's left to the viewer's right. ``right`` and ``left`` are the
person's own, so the right eye is on the viewer's left.
"""

from __future__ import annotations

import numpy as np

from visavis.faces.topology import (
    CHIN,
    FOREHEAD,
    LEFT_EYE,
    LEFT_IRIS,
    LIPS_INNER,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from visavis.types import FloatArray

INNER_UPPER_LIP = (LIPS_INNER[0], *LIPS_INNER[:9:-1])
INNER_LOWER_LIP = LIPS_INNER[:11]
RIGHT_EYE_UPPER = (RIGHT_EYE[0], *RIGHT_EYE[:7:-1])
RIGHT_EYE_LOWER = RIGHT_EYE[:9]
LEFT_EYE_UPPER = (*LEFT_EYE[8:], LEFT_EYE[0])
LEFT_EYE_LOWER = LEFT_EYE[8::-1]
JAW = (152, 175, 199, 148, 377)
CHEEKS = (50, 101, 205, 280, 330, 425)
PUPILS_MM = 63.0
"""Distance of the pupils by which everything is measured (adult mean)."""


def face_height(points: FloatArray) -> float:
    """Return the distance of forehead and chin of ``points`` (478, 2 or 3) in the picture."""
    return float(np.linalg.norm(points[CHIN, :2] - points[FOREHEAD, :2]))


def density_of(points: FloatArray) -> float:
    """Return pixels per mm of the face with landmarks ``points`` (478, 2+)."""
    pupils = points[[RIGHT_IRIS[0], LEFT_IRIS[0]], :2]
    return float(np.linalg.norm(pupils[1] - pupils[0])) / PUPILS_MM
