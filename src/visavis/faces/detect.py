"""Face detector: picture -> upright or turned squares that hold a face.

The network (assets/face_detector.onnx, our own, see its card) gives one hypothesis per 8 x 8
pixels. The picture is looked at in two sizes; where nothing is found it is also tried larger, with
a margin and turned by quarters, so that group pictures, close crops and sideways scans work.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.nn.session import packaged
from visavis.types import FloatArray, ImageArray

NETWORK = "face_detector.onnx"
CELL = 8
SIZES = (160, 320)
"""Longer sides, in pixels, at which every picture is looked at."""
THRESHOLD = 0.5
QUARTERS = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180)
TURN_BACK = (-90.0, 90.0, 180.0)


@dataclass(frozen=True)
class FaceBox:
    """A square round a face, forehead to chin, in pixels of the picture.

    ``x``, ``y`` is the top left corner and ``width`` = ``height`` the side before the square is
    turned round its middle by ``roll`` degrees, clockwise as the viewer sees it. ``score`` is in
    [0, 1].
    """

    x: float
    y: float
    width: float
    height: float
    roll: float
    score: float

    @property
    def centre(self) -> tuple[float, float]:
        """Return the middle (x, y)."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def side(self) -> float:
        """Return the longer side."""
        return max(self.width, self.height)

    @staticmethod
    def around(centre: tuple[float, float], side: float, roll: float, score: float) -> FaceBox:
        """Return the square with the given middle, side and roll."""
        return FaceBox(centre[0] - side / 2, centre[1] - side / 2, side, side, roll, score)


def detect(image: ImageArray) -> list[FaceBox]:
    """Return the faces of ``image`` (h, w, 3) RGB uint8, best first: large, certain, central."""
    found = [b for size in SIZES for b in _look(image, size)]
    if not found:
        found = _retry(image)
    h, w = image.shape[:2]
    kept = _suppress([b for b in found if b.side > 8])
    return sorted(kept, key=lambda b: -_merit(b, w, h))


def _retry(image: ImageArray) -> list[FaceBox]:
    """Look larger, with a margin, and at quarter turns; stop at the first that finds something."""
    h, w = image.shape[:2]
    found = _look(image, 640) if max(h, w) > 400 else []
    if not found:
        found = _look(image, 160, margin=0.3)
    for quarter, turn in zip(QUARTERS, TURN_BACK, strict=True):
        if found:
            break
        turned = np.asarray(cv2.rotate(image, quarter), np.uint8)
        boxes = [b for size in SIZES for b in _look(turned, size)]
        found = [_turn_back(b, turn, w, h) for b in boxes]
    return found


def _look(image: ImageArray, size: int, margin: float = 0.0) -> list[FaceBox]:
    """Return the hypotheses above THRESHOLD with the longer side of the picture at ``size``.

    ``margin`` leaves that share of the canvas free on each side.
    """
    h, w = image.shape[:2]
    scale = size * (1 - 2 * margin) / max(h, w)
    small_w, small_h = max(1, round(w * scale)), max(1, round(h * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (small_w, small_h), interpolation=shrink)
    pad = round(size * margin)
    canvas_w, canvas_h = (-(-(s + 2 * pad) // 32) * 32 for s in (small_w, small_h))
    canvas = np.zeros((canvas_h, canvas_w, 3), np.float32)
    canvas[pad : pad + small_h, pad : pad + small_w] = small
    x = canvas.transpose(2, 0, 1)[None] / 127.5 - 1
    maps = packaged(NETWORK)({"image": np.ascontiguousarray(x)})[0][0]
    ratio = (w / small_w, h / small_h)
    return [
        FaceBox.around(((cx - pad) * ratio[0], (cy - pad) * ratio[1]), side * ratio[0], roll, score)
        for cx, cy, side, roll, score in _decode(maps)
    ]


def _decode(maps: FloatArray) -> list[tuple[float, float, float, float, float]]:
    """Return (x, y, side, roll, score) of the local maxima of maps (6, gh, gw), canvas pixels."""
    score = 1 / (1 + np.exp(-maps[0]))
    highest = cv2.dilate(score, np.ones((3, 3), np.uint8))
    rows = []
    for j, i in np.argwhere((score >= highest) & (score > THRESHOLD)).tolist():
        _, dx, dy, size, c, s = (float(v) for v in maps[:, j, i])
        centre = ((i + 0.5 + dx) * CELL, (j + 0.5 + dy) * CELL)
        roll = float(np.rad2deg(np.arctan2(s, c)))
        rows.append((*centre, float(2.0**size * CELL), roll, float(score[j, i])))
    return rows


def _turn_back(box: FaceBox, turn: float, w: int, h: int) -> FaceBox:
    """Return ``box``, found in the turned picture, in the picture of w x h before the turn."""
    x, y = box.centre
    centre = {-90.0: (y, h - x), 90.0: (w - y, x), 180.0: (w - x, h - y)}[turn]
    roll = (box.roll + turn + 180) % 360 - 180
    return FaceBox.around(centre, box.side, roll, box.score)


def _suppress(boxes: list[FaceBox]) -> list[FaceBox]:
    """Return the boxes without a larger or surer one near their middle: an ear is no face."""
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda b: -b.score * b.side):
        gaps = [np.hypot(*np.subtract(box.centre, k.centre)) / max(box.side, k.side) for k in kept]
        if not gaps or min(gaps) > 0.55:
            kept.append(box)
    return kept


def _merit(box: FaceBox, w: int, h: int) -> float:
    """Return size x score x centrality."""
    away = np.hypot(box.centre[0] / w - 0.5, box.centre[1] / h - 0.5)
    return float(box.side * box.score * (1 - 0.5 * min(1.0, away)))
