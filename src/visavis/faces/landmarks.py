"""Face landmarks: picture and box -> 478 points in MediaPipe's topology, with irises.

The network (assets/face_landmarks.onnx, our own, see its card) sees an upright crop of 24 cm of the
canonical face. It is applied to the crop its own points ask for until that crop stands still; a
still picture is then seen from several slightly moved crops and their mean taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visavis.faces import topology
from visavis.faces.crop import FACE_CM, Crop, sample, upright_crop
from visavis.faces.detect import FaceBox, detect
from visavis.nn.session import packaged
from visavis.types import FloatArray, ImageArray

NETWORK = "face_landmarks.onnx"
SIZE = 144
SIDE_CM = 24.0
PRESENT = 0.5
"""Below this presence there is no face, or not one that can be seen well enough."""
STILL = 0.02
"""A crop that would move less than this share of its side is not taken again."""
VIEWS = ((0.0, 0.0, 1.0, 0.0), (0.015, 0.01, 1.03, 2.0), (-0.015, -0.01, 0.97, -2.0))
"""Shift right and down in sides, factor and turn in degrees of the crops that are averaged."""


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """One face: ``points`` (478, 3) float32 and ``presence`` in [0, 1].

    x right and y down are pixels of the picture; z, in the same unit, grows towards the back.
    ``doubt`` (478,), known after `refine`, says by how many pixels a point differs between crops:
    it is large where something covers the face.
    """

    points: FloatArray
    presence: float
    doubt: FloatArray | None = None


def locate(image: ImageArray, box: FaceBox, passes: int = 3) -> FaceLandmarks:
    """Return the landmarks of the face in ``box``; at most ``passes`` runs of the network."""
    side = box.side * SIDE_CM / FACE_CM
    return _settle(image, Crop(box.centre, side, box.roll, SIZE), passes)


def refine(image: ImageArray, face: FaceLandmarks) -> FaceLandmarks:
    """Return the mean over moved and mirrored crops: for still pictures, where it costs nothing."""
    base = upright_crop(face.points, SIDE_CM, SIZE)
    crops = [_moved(base, *view) for view in VIEWS]
    seen = _run(image, crops) + _run(image, crops, is_mirrored=True)
    every = np.stack([f.points for f in seen])
    points = every.mean(0).astype(np.float32)
    doubt = np.linalg.norm((every - points)[..., :2], axis=2).mean(0).astype(np.float32)
    return FaceLandmarks(points, float(np.mean([f.presence for f in seen])), doubt)


def track(image: ImageArray, previous: FaceLandmarks | None) -> FaceLandmarks | None:
    """Return the landmarks in the next frame of a video, or None when no face is in sight."""
    if previous is not None:
        face = _settle(image, upright_crop(previous.points, SIDE_CM, SIZE), 4)
        if face.presence >= PRESENT:
            return face
    for box in detect(image)[:2]:
        face = locate(image, box)
        if face.presence >= PRESENT:
            return face
    return None


def _settle(image: ImageArray, crop: Crop, passes: int) -> FaceLandmarks:
    """Run the network until its own crop stands still or ``passes`` runs are done."""
    (face,) = _run(image, [crop])
    for _ in range(passes - 1):
        wanted = upright_crop(face.points, SIDE_CM, SIZE)
        if face.presence < PRESENT / 4 or _distance(crop, wanted) < STILL:
            break
        crop = wanted
        (face,) = _run(image, [crop])
    return face


def _distance(a: Crop, b: Crop) -> float:
    """Return how far the worst corner moves from crop ``a`` to ``b``, in sides of ``a``, about."""
    shift = float(np.hypot(*np.subtract(a.centre, b.centre))) / a.side
    turn = abs((a.roll - b.roll + 180) % 360 - 180)
    return shift + abs(b.side / a.side - 1) / 2 + float(np.deg2rad(turn)) / 2


def _moved(crop: Crop, right: float, down: float, factor: float, turn: float) -> Crop:
    """Return ``crop`` shifted, scaled and turned."""
    centre = (crop.centre[0] + right * crop.side, crop.centre[1] + down * crop.side)
    return Crop(centre, crop.side * factor, crop.roll + turn, crop.size)


def _run(
    image: ImageArray, crops: Sequence[Crop], *, is_mirrored: bool = False
) -> list[FaceLandmarks]:
    """Run the network on each crop, as it is or mirrored left to right."""
    views = np.stack([sample(image, c) for c in crops])
    if is_mirrored:
        views = views[:, :, ::-1]
    x = views.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    points, logits = packaged(NETWORK)({"image": np.ascontiguousarray(x)})
    if is_mirrored:
        points = points[:, topology.mirror()]
        points[..., 0] *= -1
    points[..., :2] += 0.5
    presence = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return [
        FaceLandmarks(crop.back(p * SIZE), float(q))
        for crop, p, q in zip(crops, points, presence, strict=True)
    ]
