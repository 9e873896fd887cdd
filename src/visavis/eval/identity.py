"""Is it still the same person: the distance of dlib's face descriptors (King 2009; ResNet of 2017).

Evaluation only: the network's weights are in the public domain, its training photographs are not
all free. It comes with the extra ``visavis[eval]`` and is left out where that is not installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from visavis.errors import MissingExtra
from visavis.types import FloatArray, ImageArray

FIVE = (263, 362, 33, 133, 2)
"""Outer and inner corner of each eye, and the base of the nose, in dlib's order of five points."""
CHIP_PX, MARGIN = 150, 0.25
SAME = 0.6
"""dlib's own threshold: nearer descriptors are taken for one person."""


class IdentityNet:
    """Face -> 128 numbers; those of one person lie near each other. Holds weights only."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            MissingExtra: dlib or its model is not installed.
        """
        try:
            import dlib
            from face_recognition_models import face_recognition_model_location
        except ImportError as error:
            raise MissingExtra(
                'The identity distance needs dlib: pip install "visavis[eval]"'
            ) from error
        self._dlib = dlib
        self._net: Any = dlib.face_recognition_model_v1(str(face_recognition_model_location()))

    def describe(self, image: ImageArray, points: FloatArray) -> FloatArray:
        """Return the descriptor (128,) of the face with landmarks ``points`` (478, 3)."""
        dlib = self._dlib
        five = dlib.points([dlib.point(*map(round, points[i, :2].tolist())) for i in FIVE])
        (x0, y0), (x1, y1) = points[:, :2].min(0).tolist(), points[:, :2].max(0).tolist()
        box = dlib.rectangle(round(x0), round(y0), round(x1), round(y1))
        found = dlib.full_object_detection(box, five)
        chip = dlib.get_face_chip(np.ascontiguousarray(image), found, CHIP_PX, MARGIN)
        return np.array(self._net.compute_face_descriptor(chip), np.float32)


def distance(descriptors: list[FloatArray], portrait: FloatArray) -> float:
    """Return the median distance of the frames' descriptors (128,) from the portrait's.

    Euclidean; 0 is the same picture, up to about 0.35 reads as the same person, above 0.6 not.
    """
    return float(np.median([np.linalg.norm(d - portrait) for d in descriptors]))
