"""MediaPipe's face networks as teachers (development only, never shipped).

The `.task` file holds a BlazeFace short-range detector (Bazarevsky et al. 2019, 128 px) and the
478-point attention mesh (Grishchenko et al. 2020, 256 px); the mattes are MediaPipe's selfie and
hair segmenters. All are run by `ai-edge-litert`, which the plain install does not have.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visavis.errors import MissingExtra
from visavis.types import FloatArray, ImageArray

TASK = "face_landmarker_v2_with_blendshapes.task"
DETECTOR_SIZE = 128
MESH_SIZE = 256


class TFLite:
    """One .tflite network: a float32 array in, its outputs out."""

    def __init__(self, content: bytes) -> None:
        """Load the network from the bytes of its file."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtra(
                "The teacher networks need ai-edge-litert: pip install ai-edge-litert"
            ) from error
        self._net = Interpreter(model_content=content, num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._outputs = [d["index"] for d in self._net.get_output_details()]

    def __call__(self, x: FloatArray) -> list[FloatArray]:
        """Run the network on one batch."""
        self._net.set_tensor(self._input, np.ascontiguousarray(x, np.float32))
        self._net.invoke()
        return [self._net.get_tensor(i) for i in self._outputs]


def _anchors() -> FloatArray:
    """Return the centres (896, 2) of the detector's anchors: 2 on 16 x 16, then 6 on 8 x 8."""
    rows = []
    for cells, count in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells
        rows.append(np.repeat(centres, count, 0))
    return np.concatenate(rows).astype(np.float32)


def _sample(image: ImageArray, centre: Any, side: float, roll: float, size: int) -> Any:
    """Return the rotated square as a (size, size, 3) picture and the matrix back (2, 3)."""
    c, s = np.cos(roll) * side / size, np.sin(roll) * side / size
    back = np.array([[c, -s, 0], [s, c, 0]], np.float64)
    back[:, 2] = np.asarray(centre) - back[:, :2] @ np.full(2, size / 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shift = back.copy()
    shift[:, 2] += back[:, :2] @ np.full(2, 0.5) - 0.5
    return cv2.warpAffine(image, shift, (size, size), flags=flags), back


class FaceTeacher:
    """Detector and 478 landmarks of the .task file."""

    def __init__(self, models: Path) -> None:
        """Load the networks of the .task file in the folder `models`."""
        with zipfile.ZipFile(models / TASK) as archive:
            self._detector = TFLite(archive.read("face_detector.tflite"))
            self._mesh = TFLite(archive.read("face_landmarks_detector.tflite"))
        self._centres = _anchors()

    def detect(self, image: ImageArray, threshold: float = 0.5) -> FloatArray:
        """Return faces (n, 17), best first: x, y, w, h, 6 keypoints (x, y) in pixels, score."""
        h, w = image.shape[:2]
        side = max(h, w)
        view, _ = _sample(image, (w / 2, h / 2), side, 0.0, DETECTOR_SIZE)
        boxes, scores = self._detector(view[None].astype(np.float32) / 127.5 - 1)
        raw = boxes[0] / DETECTOR_SIZE
        prob = 1 / (1 + np.exp(-np.clip(scores[0, :, 0], -80, 80)))
        raw[:, [0, 1]] += self._centres
        raw[:, 4:] += np.tile(self._centres, (1, 6))
        found = np.concatenate([raw * side, prob[:, None]], 1)[prob > threshold]
        offset = np.array([w / 2 - side / 2, h / 2 - side / 2])
        found[:, 0:2] += offset
        found[:, 4:16] += np.tile(offset, 6)
        return _suppress(found)

    def mesh(self, image: ImageArray, centre: Any, side: float, roll: float) -> Any:
        """Return points (478, 3) in pixels and the presence in [0, 1] for one rotated square."""
        view, back = _sample(image, centre, side, roll, MESH_SIZE)
        out = self._mesh(view[None].astype(np.float32) / 255)
        points = next(o for o in out if o.size == 1434).reshape(478, 3)
        presence = next(o for o in out if o.shape == (1, 1, 1, 1)).item()
        placed = points.copy()
        placed[:, :2] = points[:, :2] @ back[:, :2].T + back[:, 2]
        placed[:, 2] = points[:, 2] * side / MESH_SIZE
        return placed.astype(np.float32), float(1 / (1 + np.exp(-presence)))

    def from_face(self, image: ImageArray, face: FloatArray) -> Any:
        """Return points and presence for one row of `detect`."""
        eyes = face[4:8].reshape(2, 2)
        roll = np.arctan2(*(eyes[1] - eyes[0])[::-1])
        centre = face[:2]
        return self.mesh(image, centre, 1.5 * max(face[2:4]), roll)

    def from_points(self, image: ImageArray, points: FloatArray) -> Any:
        """Return points and presence from the landmarks of an earlier pass, as in tracking."""
        delta = points[263, :2] - points[33, :2]
        roll = np.arctan2(delta[1], delta[0])
        turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        upright = points[:, :2] @ turn.T
        low, high = upright.min(0), upright.max(0)
        centre = (low + high) / 2 @ turn
        return self.mesh(image, centre, 1.5 * float((high - low).max()), roll)

    def locate(self, image: ImageArray) -> Any:
        """Return points and presence of the best face after two passes, or None and 0."""
        faces = self.detect(image)
        if not len(faces):
            return None, 0.0
        points, presence = self.from_face(image, faces[0])
        return self.from_points(image, points) if presence > 0.5 else (points, presence)


def _suppress(found: FloatArray, overlap: float = 0.3) -> FloatArray:
    """Return the rows of `found` that survive weighted non-maximum suppression, best first."""
    kept = []
    rest = found[np.argsort(-found[:, -1])]
    while len(rest):
        near = _overlap(rest[0], rest) > overlap
        group = rest[near]
        best = (group * group[:, -1:]).sum(0) / group[:, -1].sum()
        best[-1] = rest[0, -1]
        kept.append(best)
        rest = rest[~near]
    return np.array(kept, np.float32).reshape(-1, 17)


def _overlap(one: FloatArray, many: FloatArray) -> FloatArray:
    """Return the intersection over union of one box with many (centre x, y, width, height)."""
    low = np.maximum(one[:2] - one[2:4] / 2, many[:, :2] - many[:, 2:4] / 2)
    high = np.minimum(one[:2] + one[2:4] / 2, many[:, :2] + many[:, 2:4] / 2)
    common = np.prod(np.clip(high - low, 0, None), 1)
    union: FloatArray = one[2] * one[3] + many[:, 2] * many[:, 3] - common
    return np.asarray(common / union, np.float32)
