"""What is known of a portrait before it is drawn: shared by photographs and clips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.faces.implicit import Implicit, IntArray, Posed, Sitter, eye_state, posed
from visavis.render.liveportrait.crop import FaceSquare
from visavis.render.liveportrait.retarget import Openness, openness
from visavis.types import FloatArray

_PUPILS = (468, 473)
_CHIN, _FOREHEAD = 152, 10
_NECK = -0.18  # of the face's height below the chin: where the head turns, as in render/head.py


@dataclass(frozen=True, eq=False)
class Looks:
    """The person on ``n`` pictures, one of a photograph.

    ``sitter`` for motion models, ``source`` (n) his pose, ``openness`` of eyes and lips (n),
    ``unit`` (n,) the distance of the pupils and ``pivot`` (n, 2) the middle of the neck's top in
    the crop's -1..1, ``rest`` (21, 3) what a relaxed expression is.
    """

    sitter: Sitter
    source: Posed
    openness: Openness
    unit: FloatArray
    pivot: FloatArray
    rest: FloatArray

    def rows(self, first: int, count: int, fps: int) -> IntArray:
        """Return which pictures (count,) go with frames from ``first`` on, ``fps`` a second."""
        return np.array([self.sitter.row(i, fps) for i in range(first, first + count)])


def looks_of(
    faces: Implicit, landmarks: FloatArray, squares: list[FaceSquare], loop: str = "mirror"
) -> Looks:
    """Return the looks of a person with ``landmarks`` (n, 478, 3) px in ``squares``, relaxed as in
    the first picture.
    """
    flat = np.stack([s.unit(p[:, :2]) for s, p in zip(squares, landmarks, strict=True)])
    sides = np.array([s.side for s in squares], np.float32)[:, None]
    parts = np.dstack([(flat + 1) / 2, landmarks[..., 2] / sides])
    pupils = flat[:, _PUPILS[0]] - flat[:, _PUPILS[1]]
    down = flat[:, _CHIN] - flat[:, _FOREHEAD]
    return Looks(
        Sitter(faces, *eye_state(parts), loop),
        posed(faces),
        openness(landmarks),
        np.linalg.norm(pupils, axis=-1),
        flat[:, _CHIN] + _NECK * down,
        faces.exp[0],
    )
