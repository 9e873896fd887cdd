"""The mesh-warp renderer: the photograph's own pixels, moved. CPU only, no weights.

Two maps are composed so that the photograph is sampled once, and stays sharp: the head map (3-D
turning of head, hair and neck, render/head.py) leads from the frame to the unturned picture, the
expression map (rasterised landmark mesh) from there to the photograph. Eyeballs and the inside of
the mouth are drawn in the unturned picture and turned with the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np

from visavis.faces.topology import LEFT_IRIS, OVAL, RIGHT_IRIS
from visavis.render.composite import Layers, make_layers, over
from visavis.render.eyes import Eye, eye_painted_over, make_eye
from visavis.render.geometry import Box, WarpMesh, grid, refine, smoothstep
from visavis.render.head import Head, make_head
from visavis.render.mouth import Mouth, make_mouth, parted_lips_painted_over
from visavis.render.rig import IntArray, PortraitRig, express, fit_portrait, load_rig
from visavis.render.sampling import Plane, make_plane, sample
from visavis.render.topology import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    face_height,
)
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Motion, Portrait

_RINGS = ((0.10, 0.80), (0.24, 0.42), (0.42, 0.12), (0.60, 0.0))  # reach in face heights, follow
_LIDS = (*RIGHT_EYE_UPPER[1:-1], *LEFT_EYE_UPPER[1:-1])
_LOWER_LIDS = (*RIGHT_EYE_LOWER[1:-1], *LEFT_EYE_LOWER[1:-1])
_CREASES = (247, 30, 29, 27, 28, 56, 190, 414, 286, 258, 257, 259, 260, 467)  # above each of them
_LID_NODES = 1.7  # nodes of the field between shut lids
_LASH_REACH = 0.35  # of the way from lid to crease: skin that is not stretched
_SPARSE = 4  # map nodes skipped when looking for where an overlay lies
_MAP_ROWS = 150  # rows of the warp map over the face
_TONGUE_OUT = ARKIT_NAMES.index("tongueOut")
RIGHT_LIDS, LEFT_LIDS = (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER), (LEFT_EYE_UPPER, LEFT_EYE_LOWER)
_MOOD = ("mouthSmile", "mouthDimple", "mouthFrown", "cheekSquint", "eyeSquint", "brow")


@dataclass(frozen=True)
class Skin:
    """The landmark mesh of one picture with rings around it, and how far these go with the face.

    ``follow`` (k,) is the share for each ring vertex, those after the 478 landmarks. After them
    come those just above the upper lids, which go with them, so that lashes are not drawn out.
    """

    mesh: WarpMesh
    follow: FloatArray

    def field(self, points: FloatArray) -> FloatArray:
        """Return the backward field (r, c, 2) px of moved landmarks ``points`` (478, 2)."""
        source = self.mesh.source
        points = _hardly_shut(points, _LID_NODES * self.mesh.step)
        moved = points - source[: len(points)]
        oval = np.tile(moved[list(OVAL)], (len(_RINGS), 1))
        lashes = moved[list(_LIDS)]
        rest = source[len(points) :] + np.concatenate([oval * self.follow[:, None], lashes])
        return self.mesh.backward(np.concatenate([points, rest]).astype(np.float32))


@dataclass(frozen=True)
class Moment:
    """What one frame is drawn from: landmarks ``points`` (478, 2) px before the head turns,
    ``tongue`` 0..1 how far it is raised, ``expression`` (r, c, 2) the field of ``Skin.field``,
    ``turned`` (r, c, 2) where every ``mesh.step``-th frame pixel lies in the unturned picture.
    """

    points: FloatArray
    tongue: float
    expression: FloatArray
    turned: FloatArray


class Touch(Protocol):
    """Corrects a warped picture in place. Holds weights, never a conversation."""

    def prepare(self, portrait: Portrait, face: Face) -> Any:
        """Return what is known of ``portrait``; ``apply`` finds it as ``face.touched``."""
        ...

    def apply(self, frame: ImageArray, face: Face, moment: Moment) -> None:
        """Correct ``frame`` (h, w, 3), drawn at ``moment``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Face:
    """What is known of one face at one picture size, before anything turns.

    ``image`` (h, w, 3) is the photograph without eyeballs and inside of the mouth; ``mood`` (52,)
    what is kept of its expression; ``touched`` is what a ``Touch`` made of it.
    """

    image: ImageArray
    rig: PortraitRig
    mood: FloatArray
    skin: Skin
    mouth: Mouth
    touched: Any = None


@dataclass(frozen=True, kw_only=True)
class Appearance(Face):
    """Everything the renderer knows about one portrait at one picture size.

    ``plane`` is what moves of the image, ready to be sampled; ``nodes`` (r, c, 2) are every
    ``mesh.step``-th pixel of the frame, with a row and a column beyond its end.
    """

    plane: Plane
    head: Head
    layers: Layers
    eyes: tuple[Eye, Eye]
    nodes: FloatArray


class MeshWarpRenderer:
    """Renderer that warps the photograph by its landmark mesh (see the module's first lines).

    Motion is absolute, but a person who smiles in the photograph keeps ``mood`` of that smile (and
    of brows and cheeks) under every motion: taken out whole, likeness goes with it.
    """

    def __init__(
        self, mood: float = 0.5, touch: Touch | None = None, is_cutout: bool = False
    ) -> None:
        """Keep the share ``mood`` (0..1) of the photograph's own expression.

        ``touch`` corrects the warped picture where a warp cannot know better. ``is_cutout`` leaves
        the background out: frames are RGBA, colours not multiplied by alpha.
        """
        self._mood = mood
        self._touch = touch
        self._is_cutout = is_cutout

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Appearance:
        """Return the appearance of ``portrait`` for frames of ``size`` (width, height) pixels."""
        portrait = resized(portrait, size)
        face, points = self.prepare_face(portrait), portrait.landmarks
        bare = replace(portrait, image=face.image)
        layers = make_layers(bare, face_height(points), self._is_cutout)
        step = face.skin.mesh.step
        eyes = (
            make_eye(portrait.image, points, *RIGHT_LIDS, RIGHT_IRIS),
            make_eye(portrait.image, points, *LEFT_LIDS, LEFT_IRIS),
        )
        return Appearance(
            **vars(face),
            plane=make_plane(layers.front, layers.alpha, step),
            head=make_head(portrait),
            layers=layers,
            eyes=eyes,
            nodes=grid(Box(0, 0, size[0] + step, size[1] + step), step),
        )

    def prepare_face(self, portrait: Portrait) -> Face:
        """Return what is known of the face in ``portrait``, at the size it has."""
        image, points = portrait.image, portrait.landmarks
        rig = fit_portrait(load_rig(), points)
        kept = np.array([name.startswith(_MOOD) for name in ARKIT_NAMES], np.float32)
        mood = self._mood * kept * rig.source_coefficients
        face = Face(
            image=skin_only(image, points),
            rig=rig,
            mood=mood,
            skin=make_skin(points, image.shape[1::-1]),
            mouth=make_mouth(image, points, expression_points(rig, mood)),
        )
        if self._touch is None:
            return face
        return replace(face, touched=self._touch.prepare(portrait, face))

    def draw(self, appearance: Appearance, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3) RGB, or RGBA, uint8 for the one motion frame in ``motion``."""
        coefficients = motion.coefficients[0]
        points = expression_points(appearance.rig, coefficients + appearance.mood)
        turned = _turned_nodes(appearance, motion)
        mesh = appearance.skin.mesh
        expression = appearance.skin.field(points)
        layers, tongue = appearance.layers, float(coefficients[_TONGUE_OUT])
        nodes = compose(turned, expression, mesh) + np.float32(layers.margin)
        moving = sample(appearance.plane, nodes, layers.back)
        frame = moving.frame
        for eye in appearance.eyes:
            overlay(frame, *eye.draw(points), turned, mesh.step)
        inside = appearance.mouth.draw(points, tongue, frame.shape[1::-1])
        overlay(frame, *inside, turned, mesh.step)
        if self._touch is not None and appearance.touched is not None:
            self._touch.apply(frame, appearance, Moment(points, tongue, expression, turned))
        return layers.compose(moving)

    def rough(self, appearance: Appearance) -> Appearance:
        """Return ``appearance`` without its touch."""
        return replace(appearance, touched=None)


def resized(portrait: Portrait, size: tuple[int, int]) -> Portrait:
    """Return ``portrait`` at ``size`` (width, height) px, landmarks and mattes included."""
    h, w = portrait.image.shape[:2]
    if (w, h) == size:
        return portrait
    shrink = size[0] < w
    how = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    factor = np.array([size[0] / w, size[1] / h, size[0] / w], np.float32)
    return Portrait(
        cv2.resize(portrait.image, size, interpolation=how),
        portrait.landmarks * factor,
        cv2.resize(portrait.matte, size, interpolation=cv2.INTER_LINEAR),
        cv2.resize(portrait.head_matte, size, interpolation=cv2.INTER_LINEAR),
        portrait.rotation,
        portrait.warnings,
    )


def skin_only(image: ImageArray, points: FloatArray) -> ImageArray:
    """Return ``image`` (h, w, 3) without eyeballs and inside of the mouth, drawn on their own."""
    image = parted_lips_painted_over(image, points)
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        image = eye_painted_over(image, points, *lids)
    return image


def _hardly_shut(points: FloatArray, least: float) -> FloatArray:
    """Return ``points`` (478, 2) with lids at least ``least`` px apart, so that the nodes of the
    field between them are not divided at random; the line of lashes is drawn there.
    """
    upper, lower, creases = (points[list(chain)] for chain in (_LIDS, _LOWER_LIDS, _CREASES))
    down = lower - creases
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-3)
    apart = ((lower - upper) * down).sum(1, keepdims=True)
    push = 0.5 * np.clip(least - apart, 0, None) * down
    points = points.copy()
    points[list(_LIDS)] -= push
    points[list(_LOWER_LIDS)] += push
    return points


def _with_lashes(triangles: IntArray, first: int) -> IntArray:
    """Return ``triangles`` (m, 3) with a row of vertices, numbered from ``first``, set in above
    the upper lids: between a lid and its crease lies the skin with the lashes, then the rest.
    """
    above = {lid: first + k for k, lid in enumerate(_LIDS)}
    rest = [
        [above.get(v, v) for v in t] if set(t) & set(_CREASES) else t for t in triangles.tolist()
    ]
    band = []
    for row in (RIGHT_EYE_UPPER, LEFT_EYE_UPPER):
        for a, b in zip(row[:-1], row[1:], strict=True):
            quad = (a, b, above.get(b, b), above.get(a, a))
            band += [t for t in (quad[:3], (quad[0], *quad[2:])) if len(set(t)) == 3]
    return np.array(rest + band, triangles.dtype)


def make_skin(points: FloatArray, size: tuple[int, int]) -> Skin:
    """Return the landmark mesh of ``points`` (478, 2+) in a picture of ``size`` (w, h), with rings
    of skin around it that follow the face less and less.
    """
    rig = load_rig()
    oval = points[list(OVAL), :2]
    middle = oval.mean(0)
    outward = oval - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    height = face_height(points)
    rings = [oval + outward * reach * height for reach, _ in _RINGS]
    source = np.concatenate([points[:, :2], *rings]).astype(np.float32)
    n = len(OVAL)
    circles = [np.array(OVAL)] + [len(points) + i * n + np.arange(n) for i in range(len(_RINGS))]
    quads = [
        np.stack([inner, np.roll(inner, -1), np.roll(outer, -1), outer], 1)
        for inner, outer in zip(circles[:-1], circles[1:], strict=True)
    ]
    q = np.concatenate(quads)
    holes = [rig.eye_triangles, rig.mouth_triangles]
    face = _with_lashes(rig.triangles, len(source))
    skin = [q[:, [0, 1, 2]], q[:, [0, 2, 3]], face]  # lies over eyes and mouth
    triangles = np.concatenate(holes + skin)
    lids, creases = points[list(_LIDS), :2], points[list(_CREASES), :2]
    source = np.concatenate([source, lids + _LASH_REACH * (creases - lids)]).astype(np.float32)
    box = Box.around(source, 0, size)
    follow = np.repeat([follow for _, follow in _RINGS], n).astype(np.float32)
    ring = source[len(points) : len(points) + len(follow)]
    to_edge = np.minimum(ring, np.array(size) - ring).min(1) / height
    follow *= smoothstep(to_edge, 0.0, 0.08)  # nothing beyond the picture may be pulled into it
    step = 1 + 2 * max(0, math.ceil((height / _MAP_ROWS - 1) / 2))  # odd: refine() is exact
    mesh = WarpMesh(source, triangles.astype(np.int32), sum(map(len, holes)), box, step)
    return Skin(mesh, follow)


def expression_points(rig: PortraitRig, coefficients: FloatArray) -> FloatArray:
    """Return the landmarks (478, 2) px under ``coefficients`` (52,), in the portrait's own pose."""
    return rig.pose.project(express(rig, coefficients))[:, :2]


def _turned_nodes(appearance: Appearance, motion: Motion) -> FloatArray:
    """Return where each map node of the frame lies in the unturned picture (r, c, 2)."""
    head = appearance.head
    coarse = head.backward(motion.rotation[0], motion.translation[0], float(motion.scale[0]))
    shape = appearance.nodes.shape[:2]
    return appearance.nodes + refine(coarse, head.step / appearance.skin.mesh.step, shape)


def compose(turned: FloatArray, expression: FloatArray, mesh: WarpMesh) -> FloatArray:
    """Return source positions (r, c, 2): the expression field looked up at ``turned``."""
    local = (turned - np.array([mesh.box.x, mesh.box.y], np.float32)) / mesh.step
    return turned + cv2.remap(
        expression, local, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )


def overlay(
    frame: ImageArray,
    box: Box,
    picture: ImageArray,
    cover: FloatArray,
    turned: FloatArray,
    step: int,
) -> None:
    """Draw ``picture`` (h, w, 3), given over ``box`` of the unturned picture, into ``frame``.

    ``turned`` (r, c, 2) leads from every ``step``-th frame pixel to the unturned picture.
    """
    corners = np.array([[box.x, box.y], [box.x + box.w, box.y + box.h]], np.float32)
    near = near_nodes(turned, corners, step)
    if near is None:
        return
    block = turned[near] - np.array([box.x, box.y], np.float32)
    part = frame[tuple(slice(n.start * step, (n.stop - 1) * step + 1) for n in near)]
    at = refine(block, step, part.shape[:2])
    front = cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(cover, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    part[:] = over(front, np.ascontiguousarray(part), alpha)


def near_nodes(turned: FloatArray, corners: FloatArray, step: int) -> tuple[slice, slice] | None:
    """Return rows and columns of the nodes ``turned`` (r, c, 2) that lead to the rectangle round
    ``corners`` (k, 2) px of the unturned picture, with a margin; None if there are none.
    """
    margin = 2 * _SPARSE * step
    low, high = corners.min(0) - margin, corners.max(0) + margin
    sparse = turned[:-1:_SPARSE, :-1:_SPARSE]  # the last nodes lie beyond the frame
    inside = ((sparse > low) & (sparse < high)).all(-1)
    found = [np.flatnonzero(inside.any(axis)) * _SPARSE for axis in (1, 0)]
    if not len(found[0]):
        return None
    ends = [min(int(f[-1]) + _SPARSE, n - 1) + 1 for f, n in zip(found, turned.shape, strict=False)]
    return slice(int(found[0][0]), ends[0]), slice(int(found[1][0]), ends[1])
