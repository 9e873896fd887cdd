"""Names for the points of MediaPipe's 478-point face (468 mesh points, then two irises).

"Right" and "left" are the person's own: the right eye is on the left of the picture.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.hub import asset

POINTS = 478

LIPS_OUTER = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
"""Ring from the right mouth corner along the lower lip to the left corner and back above."""
LIPS_INNER = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""Ring from the outer corner along the lower lid to the inner corner and back above."""
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_IRIS = (468, 469, 470, 471, 472)
"""Centre, then right, top, left and bottom of the iris as the viewer sees them."""
LEFT_IRIS = (473, 474, 475, 476, 477)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face, clockwise as the viewer sees it, from the top of the forehead."""

RIGHT_OUTER, LEFT_OUTER = 33, 263
"""The outer corners of the eyes."""
RIGHT_LIDS, LEFT_LIDS = (159, 145), (386, 374)
"""Middle of the upper and of the lower lid."""
UPPER_LIP, LOWER_LIP = 13, 14
"""Middle of the inner edge of each lip."""
NOSE_TIP, CHIN, FOREHEAD = 1, 152, 10


@cache
def _canonical() -> dict[str, NDArray[Any]]:
    """Return the arrays of the packaged canonical face."""
    with np.load(asset("face_canonical.npz")) as data:
        return {name: data[name] for name in data.files}


def canonical() -> NDArray[np.float32]:
    """Return the canonical face (478, 3) in cm: x right for the viewer, y up, z to the viewer."""
    return np.asarray(_canonical()["vertices"], np.float32)


def triangles() -> NDArray[np.int64]:
    """Return the triangles (906, 3) of the mesh with irises."""
    return np.asarray(_canonical()["triangles"], np.int64)


def mirror() -> NDArray[np.int64]:
    """Return for each point (478,) the point on the other side of the face."""
    return np.asarray(_canonical()["mirror"], np.int64)
