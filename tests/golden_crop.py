"""What the golden crops and paste-backs were made of."""

import numpy as np

from golden import load
from visavis.render.liveportrait.crop import SOURCE, FaceSquare, square_around

ANCHORS = {
    "106": ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    "203": ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    "101": ((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    "68": ((36, 39), (42, 45), (48, 54)),
    "5": ((0,), (1,), (3, 4)),
}
"""Of upstream's sets of points: left eye, right eye, lips."""


def picture() -> np.ndarray:
    """Return the picture (240, 320, 3): two ramps and a chequerboard."""
    y, x = np.mgrid[:240, :320]
    return np.dstack([x * 255 / 320, y * 255 / 240, (x // 16 + y // 16) % 2 * 255]).astype(np.uint8)


def square(name: str = "203", fit: tuple[float, float] = SOURCE) -> FaceSquare:
    """Return the square round the points of set ``name``."""
    points = load("crop_paste")[f"lmk{name}"].astype(np.float64)
    left, right, lips = (points[list(rows)].mean(0) for rows in ANCHORS[name])
    return square_around(points, (left + right) / 2, lips, *fit)
