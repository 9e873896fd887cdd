"""A clip as portrait: its head, eyes and background stay, the mouth speaks something else.

Ditto leaks the source's own mouth through its appearance features and its keypoints in each frame
(digest of the papers, 3.9). Here neither has a way in: where the mouth goes is the person's neutral
face under the driven coefficients, in the pose that the upper face shows; what it looks like comes
from few frames with closed lips, lit as the frame is. Of a frame's own lower face only the skin
around that patch is used, moved smoothly to where the jaw now is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from visavis.faces.film import Film, FilmPortrait, framed
from visavis.faces.framing import Region, cut
from visavis.faces.topology import OVAL
from visavis.render.base import Instant, Moving, Renderer
from visavis.render.clip_light import Patch, lights, make_patch, relit
from visavis.render.clip_pose import DRIVEN, Clip, make_clip
from visavis.render.geometry import Box, grid, polygon_mask, refine
from visavis.render.mesh_warp import (
    Face,
    MeshWarpRenderer,
    Moment,
    Touch,
    compose,
    expression_points,
    make_skin,
    overlay,
)
from visavis.render.tone import Tone, tone_of
from visavis.render.topology import face_height
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

AROUND = 0.5
"""Of the face height: what of the key frame is kept around the face."""
_TONGUE_OUT = ARKIT_NAMES.index("tongueOut")
_COARSE = 0.04  # of the lower face: spacing of what depth adds when the mouth is turned
_SMOOTH = 1.4  # of that spacing: width of the Gauss window
_STILL = 0.02  # px: less is no motion
_REACH = 0.66  # of the face height: the skin around the face that follows the jaw


@dataclass(frozen=True)
class Dub(Moving):
    """One clip made ready: ``film`` at the picture's size, its key frame as ``face`` (px of a part
    of that frame), each frame's pose in ``clip``, the mouth's looks in ``patch``, ``light``
    (t, r, c, 3) the factors that bring these into each frame's light, ``tone`` the one hue of a
    clip that is not in colour.
    """

    film: Film
    face: Face
    clip: Clip
    patch: Patch
    light: FloatArray
    tone: Tone | None


class DubRenderer:
    """Draws clips by their mouth alone, and leaves still portraits to another renderer."""

    def __init__(self, still: Renderer, touch: Touch | None = None) -> None:
        """Draw photographs with ``still``; ``touch`` corrects the mouths of clips."""
        self._still = still
        self._warp = MeshWarpRenderer(touch=touch)
        self._touch = touch

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Any:
        """Return the appearance of ``portrait`` for frames of ``size`` (width, height) pixels."""
        if not isinstance(portrait, FilmPortrait):
            return self._still.prepare(portrait, size)
        height, width = portrait.image.shape[:2]
        portrait = framed(portrait, Region(0, 0, width, height), size)
        film, part = portrait.film, _face_region(portrait)
        key = cut(portrait, part)
        face = self._warp.prepare_face(key)
        clip = make_clip(film, face.rig, face.mood)
        patch = make_patch(film, face, key, clip.turns)
        return Dub(film, face, clip, patch, lights(film, patch), _tone(portrait))

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3) RGB uint8 for the single motion frame in ``motion``."""
        if not isinstance(appearance, Instant) or not isinstance(appearance.appearance, Dub):
            return self._still.draw(appearance, motion)
        return self._dubbed(appearance.appearance, motion, appearance.index)

    def rough(self, appearance: Any) -> Any:
        """Return ``appearance`` to be drawn with the least work."""
        if not isinstance(appearance, Dub):
            return self._still.rough(appearance)
        return replace(appearance, face=replace(appearance.face, touched=None))

    def _dubbed(self, dub: Dub, motion: Motion, index: int) -> ImageArray:
        """Return frame ``index`` of a dubbed clip."""
        film = dub.film
        shown = film.at(index, motion.fps)
        frame = film.picture(shown)
        strength = float(film.strength[shown])
        if strength == 0:
            return frame
        coefficients = motion.coefficients[0] * DRIVEN + dub.face.mood
        target = dub.clip.target(shown, film.points[shown], coefficients)
        if film.redrive == "face":
            target = target + dub.clip.expressed(shown, motion.coefficients[0])
        drawn = frame.copy()
        _move_skin(drawn, film.points[shown], target)
        self._draw_mouth(drawn, dub, shown, coefficients, target)
        return drawn if strength == 1 else cv2.addWeighted(drawn, strength, frame, 1 - strength, 0)

    def _draw_mouth(
        self, frame: ImageArray, dub: Dub, shown: int, coefficients: FloatArray, target: FloatArray
    ) -> None:
        """Draw the mouth into ``frame``, whose landmarks are at ``target`` (478, 2).

        It is drawn as in a still portrait, where the key frame's head is; that picture is turned to
        where the frame's head is.
        """
        face, patch, driven = dub.face, dub.patch, dub.clip.driven
        points = expression_points(face.rig, coefficients)
        step = face.skin.mesh.step
        box = Box.around(target[patch.held], 2 * step, frame.shape[1::-1])
        turned = _turned(target[driven], points[driven], box, step)
        expression = face.skin.field(points)
        nodes = compose(turned, expression, face.skin.mesh)
        at = refine(nodes - np.array([patch.box.x, patch.box.y], np.float32), step, (box.h, box.w))
        look = relit(patch.look(shown), dub.light[shown])
        mouth = cv2.remap(look, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.remap(patch.cover, at, None, cv2.INTER_LINEAR)
        cover *= polygon_mask(box, target[list(OVAL)]).astype(np.float32) / 255
        tongue = float(coefficients[_TONGUE_OUT])
        place, inside, opening = face.mouth.draw(points, tongue, face.image.shape[1::-1])
        inside = relit(inside, dub.light[shown].mean((0, 1), keepdims=True))
        overlay(mouth, place, inside, opening, turned, step)
        if self._touch is not None and face.touched is not None:
            self._touch.apply(mouth, face, Moment(points, tongue, expression, turned))
        if dub.tone is not None:
            dub.tone.apply(mouth)
        part = frame[box.slices]
        part[:] = cv2.blendLinear(mouth, np.ascontiguousarray(part), cover, 1 - cover)


def _tone(portrait: Portrait) -> Tone | None:
    """Return the one hue of ``portrait``, None if it is in colour.

    Nothing painted may be off it: what is usual in the clip itself is what its codec left.
    """
    tone = tone_of(portrait.image)
    return None if tone is None else replace(tone, slack=0.0)


def _turned(target: FloatArray, points: FloatArray, box: Box, step: int) -> FloatArray:
    """Return where every ``step``-th pixel of ``box`` lies when ``target`` (k, 2) is at ``points``.

    Two poses of one face differ by an affine map and by what depth adds to it, which is smooth: the
    mean of the points' rests under a Gauss window. A mesh would crease where the lips touch.
    """
    known = np.column_stack([target, np.ones(len(target))])
    affine = np.linalg.lstsq(known, points, rcond=None)[0].astype(np.float32)
    coarse = step * max(1, round(_COARSE * float(np.ptp(target, axis=0).max()) / step))
    nodes = grid(Box(box.x, box.y, box.w + 2 * coarse, box.h + 2 * coarse), coarse)
    rows, columns = nodes.shape[:2]
    cells = np.round((target - (box.x, box.y)) / coarse).astype(int)
    is_near = ((cells >= 0) & (cells < (columns, rows))).all(1)
    rest = np.column_stack([points - known @ affine, np.ones(len(target))])
    total = np.zeros((rows, columns, 3), np.float32)
    np.add.at(total, (cells[is_near, 1], cells[is_near, 0]), rest[is_near])
    total = cv2.GaussianBlur(total, (0, 0), _SMOOTH, borderType=cv2.BORDER_CONSTANT)
    field = nodes @ affine[:2] + affine[2] + total[..., :2] / (total[..., 2:] + 1e-3)
    shape = (-(-box.h // step) + 1, -(-box.w // step) + 1)
    return refine(field.astype(np.float32), coarse / step, shape)


def _face_region(portrait: Portrait) -> Region:
    """Return the part of the key frame that the face and a margin take."""
    points = portrait.landmarks[:, :2]
    box = Box.around(points, AROUND * face_height(points), portrait.image.shape[1::-1])
    return Region(box.x, box.y, box.w, box.h)


def _move_skin(frame: ImageArray, points: FloatArray, target: FloatArray) -> None:
    """Move the skin of ``frame`` from ``points`` (478, 3) to ``target`` (478, 2), in place.

    The skin around the face follows that of its outline.
    """
    moving = points[:, :2][np.abs(target - points[:, :2]).max(1) > _STILL]
    if not len(moving):
        return
    size = frame.shape[1::-1]
    skin = make_skin(points, size)
    step, box = skin.mesh.step, Box.around(moving, _REACH * face_height(points), size)
    wide = Box(box.x, box.y, box.w + step, box.h + step)
    field = replace(skin, mesh=replace(skin.mesh, box=wide)).field(target)
    is_moved = np.abs(field).max(-1) > _STILL
    if not is_moved.any():
        return
    rows, columns = (np.flatnonzero(is_moved.any(axis)) for axis in (1, 0))
    first = np.array([columns[0], rows[0]])
    last = np.array([columns[-1], rows[-1]]) + 1
    (x, y), (right, bottom) = first * step, np.minimum(last * step, (box.w, box.h))
    part = Box(int(box.x + x), int(box.y + y), int(right - x), int(bottom - y))
    shift = refine(field[first[1] :, first[0] :], step, (part.h, part.w))
    frame[part.slices] = cv2.remap(
        frame, grid(part) + shift, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
