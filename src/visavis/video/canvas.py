"""From drawn squares to whole pictures: enlarged with the photograph's own detail, put back softly.

Networks draw squares of a fixed side. What a larger photograph has beyond that, its *detail*, is
moved like the rest of it: the decoder tells how pixels moved (first-order motion, as in codec.py),
and detail goes with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.faces.framing import Region
from visavis.render.geometry import Box
from visavis.render.mesh_warp import resized
from visavis.types import FloatArray, ImageArray, Portrait

FEATHER = 0.08
"""Share of a square's side over which its border fades into the photograph around it."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """Where squares go in pictures like ``picture`` (h, w, 3): into ``box``, ``mask`` (h, w) strong
    (None: the square is all). ``detail`` (h, w, 3) int16 is what the photograph has in the box
    beyond what was looked at; None: nothing.
    """

    picture: ImageArray
    box: Box
    mask: FloatArray | None
    detail: np.ndarray[tuple[int, ...], np.dtype[np.int16]] | None

    def put(self, square: ImageArray, flow: FloatArray | None) -> ImageArray:
        """Return the picture with ``square`` (s, s, 3), whose pixels moved by ``flow`` (2, k, k).

        A flow of 1 is half the side to the right, or down.
        """
        drawn, size = square, (self.box.w, self.box.h)
        if square.shape[1::-1] != size:
            is_less = size[0] < square.shape[1]
            drawn = cv2.resize(
                square, size, interpolation=cv2.INTER_AREA if is_less else cv2.INTER_CUBIC
            )
        if self.detail is not None and flow is not None:
            drawn = cv2.add(drawn, moved(self.detail, flow), dtype=cv2.CV_8U)
        if self.mask is None:
            return drawn
        out = self.picture.copy()
        part = out[self.box.slices]
        part[:] = cv2.blendLinear(drawn, np.ascontiguousarray(part), self.mask, 1 - self.mask)
        return out


def canvas_of(
    portrait: Portrait, region: Region, seen: ImageArray, size: tuple[int, int]
) -> Canvas:
    """Return where the square ``region`` of ``portrait`` goes in pictures of ``size`` (w, h) px.

    ``seen`` (s, s, 3) is what the networks look at of it.
    """
    height, width = portrait.image.shape[:2]
    picture = resized(portrait, size).image
    fx, fy = size[0] / width, size[1] / height
    left, top = round(region.left * fx), round(region.top * fy)
    right = round((region.left + region.width) * fx)
    bottom = round((region.top + region.height) * fy)
    box = Box(left, top, right - left, bottom - top)
    is_all = (box.w, box.h) == size
    detail = None
    if min(box.w, box.h) > len(seen):
        smooth = cv2.resize(seen, (box.w, box.h), interpolation=cv2.INTER_CUBIC)
        detail = picture[box.slices].astype(np.int16) - smooth
    return Canvas(picture, box, None if is_all else feather(box, size), detail)


def feather(box: Box, size: tuple[int, int]) -> FloatArray:
    """Return (h, w) how much of a square in ``box`` is seen: 0 on borders within the picture."""
    ends = []
    for first, length, whole in ((box.y, box.h, size[1]), (box.x, box.w, size[0])):
        at, reach = np.arange(length) + 0.5, FEATHER * length
        low = at / reach if first > 0 else np.full(length, np.inf)
        high = (length - at) / reach if first + length < whole else np.full(length, np.inf)
        rise = np.clip(np.minimum(low, high), 0, 1)
        ends.append(rise * rise * (3 - 2 * rise))
    return np.outer(*ends).astype(np.float32)


def moved(
    detail: np.ndarray[tuple[int, ...], np.dtype[np.int16]], flow: FloatArray
) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Return ``detail`` (h, w, 3) with each pixel taken from where ``flow`` (2, k, k) says."""
    height, width = detail.shape[:2]
    across, down = (cv2.resize(f, (width, height), interpolation=cv2.INTER_LINEAR) for f in flow)
    x = across * np.float32(width / 2) + np.arange(width, dtype=np.float32)
    y = down * np.float32(height / 2) + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(detail, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
