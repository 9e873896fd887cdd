"""What shows between the lips: teeth that landmarks alone take for closed lips."""

from __future__ import annotations

import cv2
import numpy as np

from visavis.faces.measure import interocular
from visavis.types import FloatArray, ImageArray

PAIRS = ((81, 178), (82, 87), (13, 14), (312, 317), (311, 402))
"""Upper and lower points of the middle of the inner lips."""
OUTSIDE = ((39, 181), (37, 84), (0, 17), (267, 314), (269, 405))
"""The points of the lips' outer edges above and below PAIRS."""
COLOURLESS = 0.15
"""Lips whose log ratio of red to green is below this (grey pictures) cannot be told from teeth."""


def teeth_shown(image: ImageArray, points: FloatArray) -> float:
    """Return how grey the greyest place between the lips is: 0 as red as lips, 1 without colour.

    Landmarks alone call lips closed that show a line of teeth. The ratio of red to green does not
    change with the light, and the seam of closed lips is dark but as red as they are: real closed
    lips score below 0.2, a line of teeth 0.6 to 0.9. The median over nine columns of the mouth.
    """
    paths = [_path(points, pair, edge) for pair, edge in zip(PAIRS, OUTSIDE, strict=True)]
    columns = np.array(paths)
    columns = np.concatenate([columns, (columns[1:] + columns[:-1]) / 2])
    low = np.maximum(np.floor(columns.min((0, 1))) - 4, 0).astype(int)
    high = np.ceil(columns.max((0, 1))).astype(int) + 5
    region = image[low[1] : high[1], low[0] : high[0]]
    if min(region.shape[:2]) < 3:
        return 0.0
    smooth = cv2.GaussianBlur(region, (0, 0), max(0.5, 0.006 * interocular(points)))
    x, y = np.moveaxis(columns - low, 2, 0).astype(np.float32)
    colours = cv2.remap(smooth, x, y, cv2.INTER_LINEAR).astype(np.float32) + 4.0
    redness = np.log(colours[..., 0] / colours[..., 1])
    lips = min(np.median(redness[:, 2:6]), np.median(redness[:, -6:-2]))
    if lips < COLOURLESS:
        return 0.0
    return float(np.clip(1.0 - np.median(redness[:, 6:-6].min(1)) / lips, 0.0, 1.0))


def _path(points: FloatArray, pair: tuple[int, int], edge: tuple[int, int]) -> FloatArray:
    """Return 25 places (25, 2) from above the upper lip through the mouth to below the lower."""
    stops = [points[i, :2] for i in (edge[0], pair[0], pair[1], edge[1])]
    legs = [
        np.linspace(a, b, 8, endpoint=False) for a, b in zip(stops[:-1], stops[1:], strict=True)
    ]
    return np.concatenate([*legs, stops[-1:]]).astype(np.float32)
