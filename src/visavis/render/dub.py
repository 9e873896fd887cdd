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
    Skin,
    Touch,
    compose,
    expression_points,
    make_skin,
    overlay,
)
from visavis.render.topology import face_height
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

AROUND = 0.5
"""Of the face height: what of the key frame is kept around the face."""
_TONGUE_OUT = ARKIT_NAMES.index("tongueOut")
_SMOOTH = 0.08  # of the lower face: reach of a point's weight where depth turns the mouth
_REACH = 0.66  # of the face height: the skin around the face that follows the jaw


@dataclass(frozen=True)
class Dub(Moving):
    """One clip made ready: ``film`` at the picture's size, its key frame as ``face`` (px of a part
    of that frame), each frame's pose in ``clip``, the mouth's looks in ``patch``, ``light``
    (t, r, c, 3) the factors that bring these into each frame's light.
    """

    film: Film
    face: Face
    clip: Clip
    patch: Patch
    light: FloatArray


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
        return Dub(film, face, clip, patch, lights(film, patch))

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3) RGB uint8 for the single motion frame in ``motion``."""
        if not isinstance(appearance, Instant) or not isinstance(appearance.appearance, Dub):
            return self._still.draw(appearance, motion)
        return self._dubbed(appearance.appearance, motion, appearance.index)

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
        skin = _lower_face(film.points[shown], dub.clip.share, frame.shape[1::-1])
        box = skin.mesh.box
        part = frame[box.slices]
        around = _moved(frame, skin, target)
        mouth, cover = self._mouth(dub, shown, coefficients, target, box)
        drawn = cv2.blendLinear(mouth, around, cover, 1 - cover)
        part[:] = cv2.addWeighted(drawn, strength, part, 1 - strength, 0)
        return frame

    def _mouth(
        self, dub: Dub, shown: int, coefficients: FloatArray, target: FloatArray, box: Box
    ) -> tuple[ImageArray, FloatArray]:
        """Return the mouth over ``box`` (h, w, 3) and what it covers (h, w).

        It is drawn as in a still portrait, where the key frame's head is; that picture is then
        turned to where the frame's head is.
        """
        face, patch = dub.face, dub.patch
        points = expression_points(face.rig, coefficients)
        step = face.skin.mesh.step
        turned = _turned(target[dub.clip.driven], points[dub.clip.driven], box, step)
        expression = face.skin.field(points)
        nodes = compose(turned, expression, face.skin.mesh)
        source = refine(
            nodes - np.array([patch.box.x, patch.box.y], np.float32), step, (box.h, box.w)
        )
        picture = relit(patch.look(shown), dub.light[shown])
        mouth = cv2.remap(picture, source, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.remap(patch.cover, source, None, cv2.INTER_LINEAR)
        cover *= polygon_mask(box, target[list(OVAL)]).astype(np.float32) / 255
        tongue = float(coefficients[_TONGUE_OUT])
        overlay(mouth, *face.mouth.draw(points, tongue, face.image.shape[1::-1]), turned, step)
        if self._touch is not None:
            self._touch.apply(mouth, face, Moment(points, tongue, expression, turned))
        return mouth, cover


def _turned(target: FloatArray, points: FloatArray, box: Box, step: int) -> FloatArray:
    """Return where every ``step``-th pixel of ``box`` lies when ``target`` (k, 2) is at ``points``.

    Two poses of one face differ by an affine map and what depth adds to it, which is smooth: Gauss
    weights of the points' rests. A mesh would crease where the lips touch.
    """
    known = np.column_stack([target, np.ones(len(target))])
    affine = np.linalg.lstsq(known, points, rcond=None)[0].astype(np.float32)
    rest = (points - known @ affine).astype(np.float32)
    size = float(np.ptp(target, axis=0).max())
    coarse = step * max(1, round(_SMOOTH * size / 2 / step))
    nodes = grid(Box(box.x, box.y, box.w + 2 * coarse, box.h + 2 * coarse), coarse)
    away = ((nodes[:, :, None] - target) ** 2).sum(-1) / (_SMOOTH * size) ** 2
    weight = np.exp(-away) + 1e-6 / (1 + away)
    shift = weight @ rest / weight.sum(-1, keepdims=True)
    field = nodes @ affine[:2] + affine[2] + shift
    shape = (-(-box.h // step) + 1, -(-box.w // step) + 1)
    return refine(field.astype(np.float32), coarse / step, shape)


def _face_region(portrait: Portrait) -> Region:
    """Return the part of the key frame that the face and a margin take."""
    points = portrait.landmarks[:, :2]
    box = Box.around(points, AROUND * face_height(points), portrait.image.shape[1::-1])
    return Region(box.x, box.y, box.w, box.h)


def _lower_face(points: FloatArray, share: FloatArray, size: tuple[int, int]) -> Skin:
    """Return the mesh of the frame's own face, kept to where it is driven and what follows."""
    skin = make_skin(points, size)
    driven = points[:468, :2][share[:468, 0] > 0]
    reach = Box.around(driven, _REACH * face_height(points), size)
    top = max(reach.y, int(driven[:, 1].min()) - 4 * skin.mesh.step)
    box = Box(reach.x, top, reach.w, reach.y + reach.h - top)
    return replace(skin, mesh=replace(skin.mesh, box=box))


def _moved(frame: ImageArray, skin: Skin, target: FloatArray) -> ImageArray:
    """Return ``frame`` over the mesh's box with its skin moved to ``target`` (478, 2)."""
    box, step = skin.mesh.box, skin.mesh.step
    wide = Box(box.x, box.y, box.w + step, box.h + step)
    skin = replace(skin, mesh=replace(skin.mesh, box=wide))
    field = refine(skin.field(target), step, (box.h, box.w))
    return cv2.remap(
        frame, grid(box) + field, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
