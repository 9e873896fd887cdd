"""The picture behind `visavis inspect`: faces, landmarks, pose, gaze and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from visavis.errors import InputError
from visavis.faces import topology
from visavis.faces.landmarks import refine
from visavis.faces.measure import (
    eye_opening,
    gaze,
    head_rotation,
    interocular,
    mouth_opening,
    place,
)
from visavis.faces.portrait import (
    Face,
    choose,
    find_faces,
    left_to_right,
    turn_warning,
    upright,
    verdict,
)
from visavis.types import FloatArray, ImageArray

PICTURE_PX = 1000
"""Longer side of the picture in the report."""
PANEL_PX = 420
DARK, PALE, GOOD, DOUBT, BAD = "#15181d", "#e8eaed", "#7ddc8a", "#f4c95d", "#ff7b72"
RINGS = (
    (topology.OVAL, (120, 170, 255)), (topology.LIPS_OUTER, (255, 110, 120)),
    (topology.LIPS_INNER, (255, 170, 170)), (topology.RIGHT_EYE, (120, 230, 140)),
    (topology.LEFT_EYE, (120, 230, 140)), (topology.RIGHT_IRIS[1:], (255, 225, 90)),
    (topology.LEFT_IRIS[1:], (255, 225, 90)),
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """A drawn ``picture`` (h, w, 3), the ``lines`` beside it and whether a face can be used."""

    picture: ImageArray
    lines: tuple[str, ...]
    is_usable: bool


def inspect_picture(image: ImageArray, face: int | None = None) -> Report:
    """Return the report on ``image`` (h, w, 3); ``face`` counts from 1, left to right."""
    faces = find_faces(image)
    h, w = image.shape[:2]
    lines = [f"Picture {w} x {h} pixels", f"{len(faces)} face{'s' * (len(faces) != 1)} found"]
    if not faces:
        lines.append("! Give a photo of one person, from the front, upright and well lit.")
        return Report(draw_report(image, [], None, lines), tuple(lines), False)
    chosen = choose(faces, face)
    number = left_to_right(faces).index(chosen) + 1
    refined = Face(chosen.score, refine(image, chosen.landmarks))
    faces = [refined if f is chosen else f for f in faces]
    if len(faces) > 1 and face is None:
        lines.append("? The best face is taken; choose another with --face N.")
    lines += [f"Face {number}", *_values(refined.landmarks.points, refined.landmarks.presence)]
    try:
        doubts = [*turn_warning(upright(image, refined.landmarks)[2]), *verdict(refined.landmarks)]
        is_usable = True
        lines += [f"? {d}" for d in doubts] or ["+ A good portrait."]
    except InputError as error:
        is_usable = False
        lines.append(f"! {error}")
    picture = draw_report(image, left_to_right(faces), refined, lines)
    return Report(picture, tuple(lines), is_usable)


def _values(points: FloatArray, presence: float) -> list[str]:
    """Return the measured values of one face, a line each."""
    pitch, yaw, roll = head_rotation(points)
    left, right = eye_opening(points)
    looks = np.mean(gaze(points), 0)
    return [
        f"Eyes {interocular(points):.0f} pixels apart, presence {presence:.2f}",
        f"Pitch {pitch:+.0f}°, yaw {yaw:+.0f}°, roll {roll:+.0f}°",
        f"Gaze {looks[0]:+.0f}° sideways, {looks[1]:+.0f}° up",
        f"Eyes open {left:.2f} left, {right:.2f} right",
        f"Mouth open {mouth_opening(points):.2f}",
    ]


def draw_report(
    image: ImageArray, faces: Sequence[Face], chosen: Face | None, lines: Sequence[str]
) -> ImageArray:
    """Return the picture with numbered faces (in the order given) and a panel of ``lines``.

    Landmarks, axes and gaze are drawn for ``chosen``. A line that starts with "+", "?" or "!" is
    shown as praise, doubt or refusal.
    """
    factor = PICTURE_PX / max(image.shape[:2])
    size = tuple(max(1, round(s * factor)) for s in image.shape[1::-1])
    shrink = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture = np.array(cv2.resize(image, size, interpolation=shrink), np.uint8)
    if chosen is not None:
        _draw_points(picture, chosen.landmarks.points * np.float32(factor))
    for face in faces:
        _draw_box(picture, face, factor, is_chosen=face is chosen)
    height = max(picture.shape[0], 420)
    canvas = Image.new("RGB", (picture.shape[1] + PANEL_PX, height), DARK)
    canvas.paste(Image.fromarray(picture), (0, (height - picture.shape[0]) // 2))
    pen = ImageDraw.Draw(canvas)
    for i, face in enumerate(faces):
        x, y = face.box.x * factor, face.box.y * factor + (height - picture.shape[0]) // 2
        _write(pen, (max(4, x), max(4, y - 34)), f" {i + 1} ", 26, GOOD if face is chosen else PALE)
    _panel(pen, picture.shape[1] + 24, lines)
    return np.asarray(canvas, np.uint8)


def _draw_points(picture: ImageArray, points: FloatArray) -> None:
    """Draw mesh points, rings, pose axes and gaze in place."""
    sixteenths = np.round(points[:, :2] * 16).astype(np.int32)
    width = max(1, round(interocular(points) / 160))
    for p in sixteenths[:468]:
        cv2.circle(picture, p.tolist(), 16 * width, (235, 235, 235), -1, cv2.LINE_AA, 4)
    for ring, colour in RINGS:
        cv2.polylines(picture, [sixteenths[list(ring)]], True, colour, width, cv2.LINE_AA, 4)
    fit = place(points)
    reach = 7.0 * fit.scale
    nose = points[topology.NOSE_TIP, :2]
    for axis, colour in enumerate(((255, 90, 90), (90, 220, 110), (90, 150, 255))):
        tip = fit.rotation[:2, axis] * np.array([1, -1]) * reach
        _arrow(picture, nose, nose + tip, colour, width + 1)
    for iris, (yaw, pitch) in zip((473, 468), gaze(points), strict=True):
        ahead = np.deg2rad([yaw, pitch])
        ray = np.array([np.sin(ahead[0]), np.sin(ahead[1]), np.cos(ahead).prod()])
        tip = (fit.rotation @ ray)[:2] * np.array([1, -1]) * reach * 0.7
        _arrow(picture, points[iris, :2], points[iris, :2] + tip, (255, 225, 90), width)


def _arrow(
    picture: ImageArray, start: FloatArray, end: FloatArray, colour: tuple[int, ...], width: int
) -> None:
    """Draw an arrow in place, with a dark edge so that it shows on any ground."""
    a, b = (np.round(p).astype(int).tolist() for p in (start, end))
    cv2.arrowedLine(picture, a, b, (20, 20, 20), width + 2, cv2.LINE_AA, 0, 0.12)
    cv2.arrowedLine(picture, a, b, colour, width, cv2.LINE_AA, 0, 0.12)


def _draw_box(picture: ImageArray, face: Face, factor: float, *, is_chosen: bool) -> None:
    """Draw the turned square of one face in place."""
    box = face.box
    middle = (box.centre[0] * factor, box.centre[1] * factor)
    corners = cv2.boxPoints((middle, (box.side * factor,) * 2, box.roll))
    colour = (125, 220, 138) if is_chosen else (232, 234, 237)
    shape = [np.round(corners * 16).astype(np.int32)]
    cv2.polylines(picture, shape, True, (20, 20, 20), 4, cv2.LINE_AA, 4)
    cv2.polylines(picture, shape, True, colour, 2, cv2.LINE_AA, 4)


def _panel(pen: ImageDraw.ImageDraw, left: float, lines: Sequence[str]) -> None:
    """Write the lines under each other, wrapped, coloured by their first sign."""
    y = 24.0
    for i, line in enumerate(lines):
        colour = {"+": GOOD, "?": DOUBT, "!": BAD}.get(line[0], PALE)
        for part in _wrap(pen, line.lstrip("+?! "), 20, PANEL_PX - 48):
            _write(pen, (left, y), part, 26 if i == 0 else 20, colour)
            y += 36 if i == 0 else 28
        y += 8


def _wrap(pen: ImageDraw.ImageDraw, text: str, size: int, width: float) -> list[str]:
    """Return ``text`` in lines that fit ``width`` pixels."""
    font = ImageFont.load_default(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str
) -> None:
    """Write one line with a dark edge."""
    font = ImageFont.load_default(size)
    pen.text(at, text, colour, font, stroke_width=2, stroke_fill=DARK)
