"""The inside of the mouth: cavity, tongue, lower and upper teeth, seen through the lips.

Upper teeth stay with the skull, lower teeth and tongue ride on the jaw, and shade deepens towards
the lips and the corners. Everything is painted once per portrait in the light of its own skin, in a
local frame (u along the lips, v downwards, origin at the middle of the closed lips), and moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from visavis.render.geometry import (
    Box,
    grid,
    outline,
    paint_over,
    polygon_mask,
    ramp,
    smooth_curve,
    smoothstep,
)
from visavis.render.topology import CHEEKS, INNER_LOWER_LIP, INNER_UPPER_LIP, JAW, density_of
from visavis.types import FloatArray, ImageArray

_HALF_WIDTH_MM, _TOP_MM, _BOTTOM_MM = 34.0, 14.0, 46.0  # extent of the painted frame
_FINE = 4  # oversampling of the painted teeth
_FINEST = 17.0  # px per mm beyond which they are fine enough
_UPPER_WIDTHS = (8.4, 6.5, 6.4, 5.2, 3.8, 2.6)  # mm as seen from the front, middle outwards
_UPPER_EDGES = (0.0, -0.7, -0.2, -1.0, -1.9, -2.8)  # biting edges, mm
_LOWER_WIDTHS = (5.2, 5.6, 5.8, 5.0, 4.0, 3.0)
_LOWER_EDGES = (0.0, 0.1, -0.2, 0.4, 0.9, 1.4)
_UPPER_DROP_MM = 2.9  # upper biting edge below the closed lips
_LOWER_DROP_MM = 2.4  # lower biting edge below the closed lips, behind the upper teeth
_TOOTH = np.array([226, 214, 196], np.float32)
_GUM = np.array([168, 92, 90], np.float32)
_TONGUE = np.array([172, 94, 94], np.float32)
_CAVITY = np.array([108, 48, 44], np.float32)
_NARROW = np.array([0.35, 0.68, 0.68], np.float32)  # light lost in a narrow slit, red least
_WARMTH = np.array([0.9, 1.2, 1.3], np.float32)  # light in a mouth comes back from red walls
_LIP_EDGE_MM = 1.3  # how far landmarks may be off the edge of a lip
_TONGUE_LIFT_MM = 9.0
_TONGUE_REACH = 6  # speech raises the tongue by a tenth; half of the way is then gone
_LIT_SKIN = 175.0  # cheek brightness under which the colours above are right


@dataclass(frozen=True)
class Mouth:
    """Painted layers of one mouth, each (h, w, 4) float32 RGBA with colour premultiplied.

    ``frame`` (2, 3) maps local pixels to picture pixels; ``mm`` pixels per millimetre; ``rest``
    (478, 2) the landmarks of the closed mouth; ``seam`` the strength of a painted lip line, for
    photographs with parted lips that have none.
    """

    upper: FloatArray
    lower: FloatArray
    tongue: FloatArray
    cavity: FloatArray
    frame: FloatArray
    mm: float
    rest: FloatArray
    seam: float

    def draw(
        self, points: FloatArray, tongue_raise: float, size: tuple[int, int]
    ) -> tuple[Box, ImageArray, FloatArray]:
        """Return where the mouth is open, what shows there (h, w, 3) and its coverage (h, w).

        ``points`` (478, 2) moved landmarks in the portrait's pose, ``tongue_raise`` 0..1, ``size``
        of the picture (w, h).
        """
        *rims, part = self._rims(points)
        inside = self._paint(points, tongue_raise, part) * self._shade(part, *rims)
        shown = np.clip(inside, 0, 255).astype(np.uint8)
        box = self._place(part, size)
        picture = self._placed(shown, part, box, cv2.BORDER_REPLICATE)
        return box, picture, self._placed(self._cover(part, *rims), part, box, cv2.BORDER_CONSTANT)

    def tongue_in_sight(
        self, points: FloatArray, tongue_raise: float, size: tuple[int, int]
    ) -> tuple[Box, FloatArray]:
        """Return where the mouth is open and how much of the raised tongue shows there (h, w)."""
        part = self._rims(points)[2]
        tongue, lower, upper = (layer[..., 3] for layer in self._layers(points, tongue_raise, part))
        shown = tongue * (1 - lower) * (1 - upper) * ramp(tongue_raise, 0.02, 0.1)
        box = self._place(part, size)
        return box, self._placed(shown, part, box, cv2.BORDER_CONSTANT)

    def _rims(self, points: FloatArray) -> tuple[FloatArray, FloatArray, Box]:
        """Return the inner curves of upper and lower lip (k, 2) and the box between them, local."""
        upper, lower = (
            ((smooth_curve(points[list(lip)]) - self.frame[:, 2]) @ self.frame[:, :2])
            for lip in (INNER_UPPER_LIP, INNER_LOWER_LIP)
        )
        both = np.concatenate([upper, lower])
        return upper, lower, Box.around(both, 2 * self.mm + 2, self.cavity.shape[1::-1])

    def _place(self, part: Box, size: tuple[int, int]) -> Box:
        """Return the box of the picture of ``size`` (w, h) round the local ``part``."""
        x, y = part.x, part.y
        corners = np.array([[x, y], [x + part.w, y], [x, y + part.h], [x + part.w, y + part.h]])
        return Box.around(corners @ self.frame[:, :2].T + self.frame[:, 2], 0, size)

    def _placed(self, layer: Any, part: Box, box: Box, edge: int) -> Any:
        """Return ``layer`` (h, w[, c]) of the local ``part`` in the picture's ``box``."""
        place = self.frame.copy()
        place[:, 2] += place[:, :2] @ (part.x, part.y) - (box.x, box.y)
        return cv2.warpAffine(layer, place, (box.w, box.h), flags=cv2.INTER_LINEAR, borderMode=edge)

    def _cover(self, part: Box, upper: FloatArray, lower: FloatArray) -> FloatArray:
        """Return (h, w) in [0, 1]: what the lips leave open, and the line where they meet."""
        u, v = _rows_and_columns(part)
        top, bottom, between = _openings(upper, lower, u)
        gap = bottom - top
        edge = max(1.0, 0.6 * self.mm)
        opened = np.clip((v - top) / edge + 0.5, 0, 1) * np.clip((bottom - v) / edge + 0.5, 0, 1)
        opened *= np.clip(gap / edge, 0, 1)
        line = np.exp(-(((v - (top + bottom) / 2) / (0.6 * self.mm)) ** 2))
        across = (u - upper[0, 0]) / max(float(upper[-1, 0] - upper[0, 0]), 1.0)
        line = line * smoothstep(np.minimum(across, 1 - across), 0.0, 0.3)
        return (np.maximum(opened, self.seam * line) * between).astype(np.float32)

    def _paint(self, points: FloatArray, tongue_raise: float, part: Box) -> FloatArray:
        """Return the unshaded inside (h, w, 3) float32 over ``part`` of the local frame."""
        picture = self.cavity[part.slices]
        for moved in self._layers(points, tongue_raise, part):
            picture = moved[..., :3] + picture * (1 - moved[..., 3:])
        return picture

    def _layers(
        self, points: FloatArray, tongue_raise: float, part: Box
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return tongue, lower and upper teeth over ``part``, moved with the jaw."""
        jaw = (points[list(JAW)] - self.rest[list(JAW)]).mean(0) @ self.frame[:, :2]
        raised = 1 - (1 - tongue_raise) ** _TONGUE_REACH
        lift = np.array([0, -_TONGUE_LIFT_MM * self.mm * raised]) - 0.12 * jaw
        return (
            _shifted(self.tongue, jaw + lift, part),
            _shifted(self.lower, jaw, part),
            self.upper[part.slices],
        )

    def _shade(self, part: Box, upper: FloatArray, lower: FloatArray) -> FloatArray:
        """Return (h, w, 3) in [0, 1]: shadow of the lips, of the corners and of a small opening.

        ``upper`` and ``lower`` are the inner lip curves (k, 2) in the local frame.
        """
        u, v = _rows_and_columns(part)
        top, bottom, _ = _openings(upper, lower, u)
        under_lip = 0.70 + 0.30 * smoothstep((v - top) / self.mm, -0.5, 5.0)
        above_lip = 0.72 + 0.28 * smoothstep((bottom - v) / self.mm, -0.5, 3.0)
        left, right = upper[0, 0], upper[-1, 0]
        across = np.abs((u - (left + right) / 2) / max((right - left) / 2, 1.0))
        corners = 1 - 0.5 * smoothstep(across, 0.4, 1.1)
        width = self.cavity.shape[1]
        middle = np.arange(int(width * 0.4), int(width * 0.6), dtype=np.float32)
        high, low, _ = _openings(upper, lower, middle)
        gap = float((low - high).mean()) / self.mm
        narrow = smoothstep((bottom - top) / self.mm, 2.2, 0.0)[:, None] * _NARROW
        shade = under_lip * above_lip * corners * (0.74 + 0.26 * ramp(gap, 0, 9))
        return shade[..., None] ** _WARMTH * (1 - narrow)


def _rows_and_columns(part: Box) -> tuple[FloatArray, FloatArray]:
    """Return u (w,) and v (h, 1) of the pixels of ``part`` in the local frame."""
    u = part.x + np.arange(part.w, dtype=np.float32)
    return u, part.y + np.arange(part.h, dtype=np.float32)[:, None]


def _openings(
    upper: FloatArray, lower: FloatArray, u: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return rows of the upper and lower lip at columns ``u`` and 1 between the mouth corners."""
    top = np.interp(u, upper[:, 0], upper[:, 1]).astype(np.float32)
    bottom = np.interp(u, lower[:, 0], lower[:, 1]).astype(np.float32)
    between = smoothstep(u, upper[0, 0] - 0.5, upper[0, 0] + 1.5) * smoothstep(
        u, upper[-1, 0] + 0.5, upper[-1, 0] - 1.5
    )
    return top, np.maximum(bottom, top), between


def make_mouth(image: ImageArray, landmarks: FloatArray, rest: FloatArray) -> Mouth:
    """Paint the mouth of one portrait.

    ``image`` (h, w, 3), ``landmarks`` (478, 2+) of the photograph, ``rest`` (478, 2) with the
    mouth closed.
    """
    mm = density_of(landmarks)
    light = _skin_light(image, landmarks)
    parted = float(np.linalg.norm(landmarks[14, :2] - landmarks[13, :2])) / mm
    seam = 0.5 * ramp(parted, 0.8, 3.0)
    corners = rest[[INNER_UPPER_LIP[0], INNER_UPPER_LIP[-1]]]
    along = (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
    down = np.array([-along[1], along[0]])
    middle = rest[[13, 14]].mean(0)
    origin = middle - along * _HALF_WIDTH_MM * mm - down * _TOP_MM * mm
    frame = np.stack([along, down, origin], axis=1).astype(np.float32)
    size = (round(2 * _HALF_WIDTH_MM * mm), round((_TOP_MM + _BOTTOM_MM) * mm))
    upper = _teeth(size, mm, _UPPER_WIDTHS, _UPPER_EDGES, _TOP_MM + _UPPER_DROP_MM, -10.0)
    lower = _teeth(size, mm, _LOWER_WIDTHS, _LOWER_EDGES, _TOP_MM + _LOWER_DROP_MM, 8.5)
    lower[..., :3] *= 0.86
    tint = np.append(light, 1.0)
    cavity = _cavity(size, mm) * light
    return Mouth(
        upper * tint, lower * tint, _tongue(size, mm) * tint, cavity, frame, mm, rest, seam
    )


def parted_lips_painted_over(image: ImageArray, landmarks: FloatArray) -> ImageArray:
    """Return ``image`` (h, w, 3) with what shows between parted lips painted over in lip colour.

    Teeth at the very edge of a lip would stay with it, as a bright line, when the lips close.
    """
    mm = density_of(landmarks)
    parted = float(np.linalg.norm(landmarks[14, :2] - landmarks[13, :2])) / mm
    strength = ramp(parted, 0.6, 1.6)
    if strength == 0:
        return image
    lips = (smooth_curve(landmarks[list(lip), :2]) for lip in (INNER_UPPER_LIP, INNER_LOWER_LIP))
    edge = max(1.0, _LIP_EDGE_MM * mm)
    return paint_over(image, outline(*lips), edge, 0.5 * edge, strength)


def _skin_light(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return (3,) factors that put the painted colours into the portrait's light."""
    level = float(np.clip(skin_tone(image, landmarks).max() / _LIT_SKIN, 0.35, 1.12))
    return np.full(3, level, np.float32)


def skin_tone(image: ImageArray, landmarks: FloatArray) -> FloatArray:
    """Return the mean colour (3,) of the cheeks in ``image`` (h, w, 3), at least 1."""
    h, w = image.shape[:2]
    reach = 0.06 * float(np.linalg.norm(landmarks[473, :2] - landmarks[468, :2]))
    box = Box.around(landmarks[list(CHEEKS), :2], 2 * reach, (w, h))
    blurred = cv2.blur(image[box.slices], (max(3, round(2 * reach)),) * 2)
    at = np.round(landmarks[list(CHEEKS), :2] - (box.x, box.y)).astype(int)
    x, y = np.clip(at, 0, (box.w - 1, box.h - 1)).T
    return np.maximum(blurred[y, x].astype(np.float32).mean(0), 1)


def _shifted(layer: FloatArray, shift: FloatArray, part: Box) -> FloatArray:
    """Return ``part`` of ``layer`` (h, w, 4) moved by ``shift`` (2,) px, transparent beyond it."""
    x, y = shift - (part.x, part.y)
    move = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return cv2.warpAffine(layer, move, (part.w, part.h), flags=cv2.INTER_LINEAR)


def _local_mm(size: tuple[int, int], mm: float) -> tuple[FloatArray, FloatArray]:
    """Return u (1, w) and v (h, 1) in millimetres from the middle of the closed lips."""
    u = np.arange(size[0], dtype=np.float32)[None] / mm - _HALF_WIDTH_MM
    v = np.arange(size[1], dtype=np.float32)[:, None] / mm - _TOP_MM
    return u, v


def _teeth(
    size: tuple[int, int],
    mm: float,
    widths: tuple[float, ...],
    edges: tuple[float, ...],
    edge_mm: float,
    height_mm: float,
) -> FloatArray:
    """Paint one row of teeth with its gum; ``height_mm`` < 0 grows up (upper row), > 0 down."""
    fine = max(1, min(_FINE, int(_FINEST / mm)))
    scale = mm * fine
    w, h = size[0] * fine, size[1] * fine
    canvas = np.zeros((h, w, 4), np.float32)
    outline = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    round_x = np.sign(np.cos(outline)) * np.abs(np.cos(outline)) ** 0.42
    round_y = np.sign(np.sin(outline)) * np.abs(np.sin(outline)) ** 0.36
    _paint_gum(canvas, scale, sum(widths), edge_mm, height_mm)
    left = 0.0
    for width, edge in zip(widths, edges, strict=True):
        centre_v = edge_mm + edge + height_mm / 2
        for side in (-1, 1):
            centre_u = _HALF_WIDTH_MM + side * (left + width / 2)
            x = (centre_u + round_x * width * 0.497) * scale
            y = (centre_v + round_y * abs(height_mm) / 2) * scale
            outer = np.stack([x, y], 1)
            box = Box.around(outer, 2, (w, h))
            cover = (polygon_mask(box, outer).astype(np.float32) / 255)[..., None]
            colour = _tooth_colour(box, scale, centre_u, width, edge_mm + edge, height_mm)
            part = canvas[box.slices]
            part[..., :3] = colour * cover + part[..., :3] * (1 - cover)
            part[..., 3:] = cover + part[..., 3:] * (1 - cover)
        left += width
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), max(0.32 * mm, 0.6))


def _tooth_colour(
    box: Box, scale: float, centre_u: float, width: float, edge: float, height: float
) -> FloatArray:
    """Return (h, w, 3) over ``box``: a tooth, darker at sides and gum and far from the middle."""
    u, v = np.split(grid(box) / scale, 2, axis=-1)
    across = np.clip(np.abs(u - centre_u) / (width / 2), 0, 1)
    along = np.clip((v - edge) / height, 0, 1)  # 0 at the biting edge, 1 at the gum
    round_off = 1 - 0.10 * across**2 - 0.22 * across**8
    far = np.exp(-(((centre_u - _HALF_WIDTH_MM) / 24.0) ** 2))
    warm = np.array([1.0, 0.97, 0.90], np.float32) * along + (1 - along)
    edge_shade = 0.93 + 0.07 * np.clip(along / 0.15, 0, 1) - 0.10 * along**2
    return _TOOTH * round_off * far * warm * edge_shade


def _paint_gum(
    canvas: FloatArray, scale: float, half_width: float, edge_mm: float, height_mm: float
) -> None:
    """Fill ``canvas`` (h, w, 4) in place with gum behind and beyond the roots of the teeth."""
    h, w = canvas.shape[:2]
    u = np.abs(np.arange(w, dtype=np.float32)[None] / scale - _HALF_WIDTH_MM)
    v = np.arange(h, dtype=np.float32)[:, None] / scale
    along = (v - edge_mm) / height_mm
    cover = smoothstep(along, 0.18, 0.32) * smoothstep(u, half_width, half_width - 4)
    shade = 0.55 + 0.45 * smoothstep(along, 0.5, 1.0)
    canvas[..., :3] = _GUM * (cover * shade)[..., None]
    canvas[..., 3] = cover


def _tongue(size: tuple[int, int], mm: float) -> FloatArray:
    """Paint a tongue lying behind the lower teeth."""
    u, v = _local_mm(size, mm)
    top = -5.5 + 7.0 * (u / 20.0) ** 2
    cover = smoothstep(v - top, -1.5, 1.5) * smoothstep(np.abs(u), 23, 17)
    ridge = 1 - 0.14 * np.exp(-((u / 1.4) ** 2)) * smoothstep(v, -2.0, 4.0)
    shade = (0.42 + 0.58 * smoothstep(v - top, 0.0, 8.0)) * ridge * (1 - 0.3 * (u / 22) ** 2)
    return np.concatenate([_TONGUE * (cover * shade)[..., None], cover[..., None]], -1).astype(
        np.float32
    )


def _cavity(size: tuple[int, int], mm: float) -> FloatArray:
    """Paint the dark behind everything, a little lighter towards the floor of the mouth."""
    u, v = _local_mm(size, mm)
    glow = 0.45 + 0.55 * smoothstep(v, -2, 24) * np.exp(-((u / 24) ** 2))
    return (_CAVITY * glow[..., None]).astype(np.float32)
