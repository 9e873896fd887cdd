"""One person's face as a mesh for 3-D programs: skin, hair, eyes and mouth of the photograph.

Everything is in pixels of the picture and in the camera's axes (x right, y down, z away), as the
photograph shows it but with a relaxed face. What surrounds the face follows it less and less and
turns with the head as the mesh-warp renderer has it (render/head.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.faces.framing import cut, head_and_shoulders
from visavis.faces.topology import LEFT_IRIS, LIPS_INNER, OVAL, RIGHT_IRIS
from visavis.render.eyes import Eye, eye_painted_over, make_eye
from visavis.render.geometry import fill_outside, smoothstep
from visavis.render.head import Head, make_head
from visavis.render.mesh_warp import resized
from visavis.render.mouth import Mouth, make_mouth, parted_lips_painted_over
from visavis.render.rig import PortraitRig, fit_portrait, load_rig
from visavis.render.topology import (
    JAW,
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    face_height,
)
from visavis.types import FloatArray, ImageArray, Portrait

TEXTURE_SIZE = 1024
"""Largest side of the picture on the skin in pixels."""

_LIDS = ((RIGHT_EYE_UPPER, RIGHT_EYE_LOWER), (LEFT_EYE_UPPER, LEFT_EYE_LOWER))
_IRISES = (RIGHT_IRIS, LEFT_IRIS)
_RINGS = ((0.10, 0.80), (0.24, 0.42), (0.42, 0.12), (0.62, 0.0), (0.86, 0.0), (1.2, 0.0))
_SOCKET_BEHIND_CM, _SOCKET_WIDER = 0.45, 1.12
_TEETH = ((0.8, 0.0, (-14.0, 8.0)), (0.9, 1.0, (-9.0, 24.0)))
"""Upper teeth, lower teeth with tongue: cm behind the lips, share of the jaw's motion, top and
bottom in mm below the lips."""
_TEETH_WIDTH_MM, _CAVITY_CM = 26.0, 3.0
_ARCH = 0.024  # mm of depth per mm of width squared: the dental arch
_MOUTH_LIGHT = 0.8  # what the lips leave of the light
_COLUMNS, _ROWS = 9, 5
_EDGE = (0.3, 0.8)  # of the matte: where the picture begins to show, and where it is whole
_CLAY = (205, 178, 160)
_IRIS, _PUPIL, _WHITE = (98, 74, 56), (18, 16, 16), (228, 224, 220)


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles (m, 3) of one ``material``: skin, surround, eye_right, eye_left or mouth."""

    material: str
    triangles: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Eyeball:
    """``name`` eye_right or eye_left, ``centre`` (3,), ``points`` (n, 3) of the front, ``uv``.

    ``axes`` (3, 3) has the face's right, down and away as columns, about which the eye turns.
    """

    name: str
    centre: FloatArray
    points: FloatArray
    uv: FloatArray
    triangles: NDArray[np.int32]
    axes: FloatArray


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """A face in pixels, camera axes.

    ``points`` (v, 3), of which the first 478 are MediaPipe's; ``shapes`` (52, v, 3) displacements
    at coefficient 1; ``uv`` (v, 2) in each part's own picture; ``follow`` (v,) how far a point
    turns with the head about ``pivot`` (3,). ``pictures`` (h, w, 3 or 4): skin (unless plain),
    eye_right, eye_left, mouth. ``eyes``: the person's right eye first. ``unit``: distance of the
    pupils; ``px_per_cm``. ``is_photo`` is False for the generic face.
    """

    points: FloatArray
    shapes: FloatArray
    uv: FloatArray
    follow: FloatArray
    parts: tuple[Part, ...]
    pictures: Mapping[str, ImageArray]
    eyes: tuple[Eyeball, Eyeball]
    pivot: FloatArray
    unit: float
    px_per_cm: float
    is_photo: bool


@dataclass(frozen=True, eq=False)
class _Patch:
    """A group of vertices: ``points`` (n, 3), ``shapes`` (52, n, 3), ``uv`` (n, 2), ``follow``."""

    points: FloatArray
    shapes: FloatArray
    uv: FloatArray
    follow: FloatArray
    triangles: NDArray[np.int32]


def portrait_mesh(portrait: Portrait) -> FaceMesh:
    """Return the mesh of the person in ``portrait``, head and shoulders."""
    portrait = cut(portrait, head_and_shoulders(portrait))
    side = min(TEXTURE_SIZE, portrait.image.shape[0])
    return _build(resized(portrait, (side, side)), is_photo=True)


def generic_mesh() -> FaceMesh:
    """Return the mesh of the packaged rig: a grey face of nobody, with painted eyes."""
    side = 512
    points = load_rig().neutral * (side / 24.0) + (side / 2, side / 2, 0)
    image = np.full((side, side, 3), _CLAY, np.uint8)
    for iris in _IRISES:
        centre = np.round(points[iris[0], :2] * 16).astype(int).tolist()
        radius = float(np.linalg.norm(points[iris[1], :2] - points[iris[0], :2]))
        for reach, colour in ((4.0, _WHITE), (1.0, _IRIS), (0.4, _PUPIL)):
            cv2.circle(image, centre, round(reach * radius * 16), colour, -1, cv2.LINE_AA, 4)
    nothing = np.zeros((side, side), np.float32)
    return _build(
        Portrait(image, points.astype(np.float32), nothing, nothing, np.zeros(3, np.float32)),
        is_photo=False,
    )


def _build(portrait: Portrait, is_photo: bool) -> FaceMesh:
    """Put the groups of vertices together; in the generic face nothing surrounds the skin."""
    points, image = portrait.landmarks, portrait.image
    face = fit_portrait(load_rig(), points)
    head = make_head(portrait)
    skin = _skin_patch(face, points, image.shape[1::-1])
    eyes = [make_eye(image, points, *lids, iris) for lids, iris in zip(_LIDS, _IRISES, strict=True)]
    mouth = make_mouth(image, points, skin.points[:, :2])
    layers = _mouth_patches(mouth, skin, face)
    groups = [skin, _surround(portrait, skin, head), *(_socket(skin, face, e) for e in eyes)]
    pictures = {"eye_right": eyes[0].texture, "eye_left": eyes[1].texture}
    pictures |= {"mouth": _mouth_picture(mouth)}
    pictures |= {"skin": _skin_picture(portrait)} if is_photo else {}
    every = [*groups, *layers]
    return FaceMesh(
        points=np.concatenate([g.points for g in every]),
        shapes=np.concatenate([g.shapes for g in every], axis=1),
        uv=np.concatenate([g.uv for g in every]),
        follow=np.concatenate([g.follow for g in every]),
        parts=_parts(groups, layers, is_photo),
        pictures=pictures,
        eyes=(_eyeball(face, eyes[0], "right"), _eyeball(face, eyes[1], "left")),
        pivot=head.pivot,
        unit=head.unit,
        px_per_cm=face.pose.scale,
        is_photo=is_photo,
    )


def _parts(groups: list[_Patch], layers: list[_Patch], is_photo: bool) -> tuple[Part, ...]:
    """Return the triangles of skin, surround, sockets (``groups``) and mouth (``layers``)."""
    starts = np.cumsum([0, *(len(g.points) for g in (*groups, *layers))])
    names = ("skin", "surround", "eye_right", "eye_left")
    offsets = (0, 0, *starts[2:4])  # the surround shares the outline of the skin
    parts = [
        Part(name, g.triangles + np.int32(o))
        for name, g, o in zip(names, groups, offsets, strict=True)
        if is_photo or name != "surround"
    ]
    inside = [g.triangles + np.int32(o) for g, o in zip(layers, starts[4:-1], strict=True)]
    return (*parts, Part("mouth", np.concatenate(inside)))


def _skin_patch(face: PortraitRig, points: FloatArray, size: tuple[int, int]) -> _Patch:
    """Return MediaPipe's 478 points of the relaxed face; the photograph's own are its texture."""
    shapes = face.basis @ (face.pose.scale * face.pose.rotation.T)
    uv = np.divide(points[:, :2], size, dtype=np.float32)
    return _patch(face.pose.project(face.neutral), shapes, uv, face.rig.triangles)


def _patch(
    points: FloatArray, shapes: FloatArray, uv: FloatArray, triangles: NDArray[np.int32]
) -> _Patch:
    """Return a patch that turns with the head."""
    follow = np.ones(len(points), np.float32)
    return _Patch(
        points.astype(np.float32), shapes.astype(np.float32), uv.astype(np.float32), follow,
        triangles.astype(np.int32),
    )  # fmt: skip


def _surround(portrait: Portrait, skin: _Patch, head: Head) -> _Patch:
    """Return rings round the face: hair, neck and shoulders, at the depth of a rounded skull."""
    size = np.array(portrait.image.shape[1::-1], np.float32)
    oval = portrait.landmarks[list(OVAL), :2]
    outward = oval - oval.mean(0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    height = face_height(portrait.landmarks)
    flat = np.concatenate([oval + outward * reach * height for reach, _ in _RINGS])
    flat = np.clip(flat, 0, size - 1).astype(np.float32)
    at = (flat / head.step)[:, None]
    depth, weight = (
        cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
        for field in (head.depth, head.weight)
    )
    n = len(OVAL)
    to_edge = np.minimum(flat, size - 1 - flat).min(1, keepdims=True) / height
    share = np.repeat([follow for _, follow in _RINGS], n)[:, None] * smoothstep(to_edge, 0.0, 0.25)
    moved = np.tile(skin.points[list(OVAL), :2] - oval, (len(_RINGS), 1)) * share
    shapes = np.tile(skin.shapes[:, list(OVAL)], (1, len(_RINGS), 1)) * share
    circles = [np.array(OVAL)] + [
        len(skin.points) + i * n + np.arange(n) for i in range(len(_RINGS))
    ]
    quads = np.concatenate([
        np.stack([inner, np.roll(inner, -1), np.roll(outer, -1), outer], 1)
        for inner, outer in zip(circles[:-1], circles[1:], strict=True)
    ])  # fmt: skip
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    points = np.concatenate([flat + moved, depth[:, None]], axis=1)
    return replace(_patch(points, shapes, flat / size, triangles), follow=weight)


def _socket(skin: _Patch, face: PortraitRig, eye: Eye) -> _Patch:
    """Return what shows beside the eyeball in the corners of one eye, behind its lids."""
    ring = [*eye.upper, *eye.lower[-2:0:-1]]
    place = {point: i for i, point in enumerate(ring)}
    wanted = np.isin(face.rig.eye_triangles, ring).all(1)
    triangles = np.vectorize(place.__getitem__)(face.rig.eye_triangles[wanted])
    lids = skin.points[ring]
    behind = face.pose.rotation[:, 2] * (_SOCKET_BEHIND_CM * face.pose.scale)
    points = (lids - lids.mean(0)) * _SOCKET_WIDER + lids.mean(0) + behind
    h, w = eye.texture.shape[:2]
    uv = (points[:, :2] - (eye.box.x, eye.box.y)) / (w, h)
    return _patch(points, skin.shapes[:, ring], uv, triangles)


def _eyeball(face: PortraitRig, eye: Eye, side: str) -> Eyeball:
    """Return the front of one eyeball, the completed eye of the photograph on it.

    The iris is put on the axis of the eye, so that the relaxed face looks at the camera.
    """
    centre = face.pose.project(face.eyeballs)[("right", "left").index(side)]
    iris = face.pose.project(face.neutral[list(eye.iris)])[0]
    axis = (iris - centre) / np.linalg.norm(iris - centre)
    across = np.cross(axis, (0.0, 1.0, 0.0))
    across /= np.linalg.norm(across)
    polar, around = np.meshgrid(np.radians(np.linspace(0, 85, 12)), np.linspace(0, 2 * np.pi, 25))
    direction: FloatArray = (
        np.cos(polar)[..., None] * axis
        + (np.sin(polar) * np.cos(around))[..., None] * across
        + (np.sin(polar) * np.sin(around))[..., None] * np.cross(axis, across)
    )
    points = centre + float(np.linalg.norm(iris - centre)) * direction.reshape(-1, 3)
    h, w = eye.texture.shape[:2]
    uv = (points[:, :2] - iris[:2] + eye.centre - (eye.box.x, eye.box.y)) / (w, h)
    return Eyeball(
        name=f"eye_{side}",
        centre=centre,
        points=points.astype(np.float32),
        uv=uv.astype(np.float32),
        triangles=_lattice(*polar.shape),
        axes=face.pose.rotation,
    )


def _lattice(rows: int, columns: int) -> NDArray[np.int32]:
    """Return the triangles of a lattice of rows x columns points, row by row."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    corners = first[:, None] + np.array([0, 1, columns + 1, 0, columns + 1, columns])
    return corners.reshape(-1, 3).astype(np.int32)


def _mouth_patches(mouth: Mouth, skin: _Patch, face: PortraitRig) -> list[_Patch]:
    """Return what is behind the lips: two curved sheets of painted teeth, and the cavity."""
    across, down, away = face.pose.rotation.T
    middle = skin.points[[13, 14]].mean(0)
    jaw = skin.shapes[:, list(JAW)].mean(1, keepdims=True)
    rows = _TEETH_WIDTH_MM * np.linspace(-1, 1, _COLUMNS)
    patches = []
    for k, (behind, share, columns) in enumerate(_TEETH):
        u, v = (x.reshape(-1, 1) for x in np.meshgrid(rows, np.linspace(*columns, _ROWS)))
        depth = 10 * behind + _ARCH * u**2
        points = middle + mouth.mm * (u * across + v * down + depth * away)
        shapes = np.repeat(jaw * share, len(u), axis=1)
        patches.append(
            _patch(points, shapes, _layer_uv(mouth, points, k), _lattice(_ROWS, _COLUMNS))
        )
    return [*patches, _cavity(mouth, skin, face)]


def _cavity(mouth: Mouth, skin: _Patch, face: PortraitRig) -> _Patch:
    """Return a bag that hangs on the inner edge of the lips and is closed at its back."""
    n = len(LIPS_INNER)
    front, back = np.arange(n), n + np.arange(n)
    lips = skin.points[list(LIPS_INNER)]
    deep = lips + face.pose.rotation[:, 2] * (_CAVITY_CM * face.pose.scale)
    points = np.concatenate([lips, deep])
    shapes = np.tile(skin.shapes[:, list(LIPS_INNER)], (1, 2, 1))
    wall = [[front, back, np.roll(back, -1)], [front, np.roll(back, -1), np.roll(front, -1)]]
    place = {point: n + i for i, point in enumerate(LIPS_INNER)}
    end = np.vectorize(place.__getitem__)(face.rig.mouth_triangles)
    triangles = np.concatenate([*(np.stack(side, 1) for side in wall), end])
    return _patch(points, shapes, _layer_uv(mouth, points, len(_TEETH)), triangles)


def _layer_uv(mouth: Mouth, points: FloatArray, layer: int) -> FloatArray:
    """Return where ``points`` (n, 3) lie in ``layer`` of ``_mouth_picture`` (n, 2)."""
    size = np.array(mouth.cavity.shape[1::-1])
    uv = (points[:, :2] - mouth.frame[:, 2]) @ mouth.frame[:, :2] / size
    uv[:, 1] = (np.clip(uv[:, 1], 0.01, 0.99) + layer) / (len(_TEETH) + 1)
    return uv


def _mouth_picture(mouth: Mouth) -> ImageArray:
    """Return upper teeth, lower teeth with tongue, and cavity (3h, w, 4), one below the other."""
    lower = mouth.lower + mouth.tongue * (1 - mouth.lower[..., 3:])
    cavity = np.concatenate([mouth.cavity, np.ones_like(mouth.cavity[..., :1])], -1)
    layers = np.concatenate([mouth.upper, lower, cavity])
    colour = layers[..., :3] / np.maximum(layers[..., 3:], 1e-3)
    return _rgba(_MOUTH_LIGHT * colour, layers[..., 3])


def _skin_picture(portrait: Portrait) -> ImageArray:
    """Return the photograph (h, w, 4) without eyeballs and open lips, its alpha the person."""
    image = parted_lips_painted_over(portrait.image, portrait.landmarks)
    for lids in _LIDS:
        image = eye_painted_over(image, portrait.landmarks, *lids)
    person = smoothstep(portrait.matte, 0.75, 0.95)
    inside = fill_outside(image.astype(np.float32), person)  # no rim of the background
    return _rgba(inside, smoothstep(portrait.matte, *_EDGE))


def _rgba(colour: NDArray[np.generic], alpha: FloatArray) -> ImageArray:
    """Return colours (h, w, 3) in 0..255 with ``alpha`` (h, w) in 0..1 as uint8."""
    both = np.concatenate([colour, 255 * alpha[..., None]], axis=-1)
    return np.clip(np.round(both), 0, 255).astype(np.uint8)
