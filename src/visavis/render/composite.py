"""Layers: the moving person over a still background.

Every pixel of the photograph is person and background in some proportion, *I = a F + (1 - a) B*.
``B`` is made up once where the person hides it (render/plate.py), ``a`` is the person's matte,
refined by colour where person and background differ, and ``F`` follows: hair moves without the
light behind it. Where nothing moves, the layers add up to the photograph.

Beyond the edges of the picture the person is continued, so that hair which the photograph cuts off
can be moved into view: its pixels mirrored, its outline as round as that of the rest of the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.faces.topology import OVAL
from visavis.render.geometry import Box, grid, refine, smoothstep
from visavis.render.plate import BoolArray, make_plate, texture_of
from visavis.render.sampling import Moving
from visavis.render.tone import Tone, tone_of
from visavis.types import FloatArray, ImageArray, Portrait

_RIM = 0.035, 0.1  # of the face height: how far outside the matte hair may reach, the second before
_BUSY = 5.0, 15.0  # smooth backgrounds, which are sure to be made up well (levels)
_CORE = 0.01  # of the face height: how far inside the matte all is person
_SEEN = 0.35  # of the face height: how far into the person the background may be uncovered
_SURE, _NONE = 0.95, 0.05  # mattes of nothing but person, of nothing but background
_CRISP = 0.2, 0.85  # mattes between which the person begins
_PIECE = 0.2  # share from which a pixel holds a cut-out together
_SHARE_SEEN = 0.2  # share of the head in a pixel from which it is there
_NOISE = 5.0  # levels by which colours of one thing differ
_CERTAIN = 0.15  # error of the matte from colours at which it counts as much as the network's
_NODDING = 0.4  # of the face height: how far from its place the face may be
_MARGIN = 0.2  # of the longer side: how far the person is continued beyond the picture
_SPARE = 0.02  # the same if the picture shows the whole head
_RAYS = 144  # directions in which the head's outline is known
_BULGE, _BULGE_TURN = 0.35, (12.0, 85.0)  # of a head cut off, degrees from where its outline ends
_FADE = 0.06  # of the face height: how far beyond the picture leaks of the matte fade
_MOSTLY = 0.75  # share of the person in pixels that hair beyond the picture is made of
_HAIR_LONGEST = 1024  # px of the whole picture at which hair beyond it is made up
_OUTLINE = 0.02  # of the face height: softness of an outline beyond the picture


@dataclass(frozen=True)
class Layers:
    """One picture taken apart.

    ``front`` (h + 2 m, w + 2 m, 3) uint8 the person's colours and ``alpha`` (h + 2 m, w + 2 m)
    float32 its share, both with a ``margin`` of m pixels beyond the picture; ``plate`` (h, w, 3)
    uint8 the background without the person, None if the person is cut out. ``tone`` is the hue of a
    photograph without colours, ``face`` where something may be painted into it.
    """

    front: ImageArray
    alpha: FloatArray
    plate: ImageArray | None
    margin: int
    tone: Tone | None
    face: Box

    @property
    def back(self) -> ImageArray:
        """What is seen (h, w, 3) where nobody is; cut out, the person's colours, never shown."""
        if self.plate is not None:
            return self.plate
        h, w = (n - 2 * self.margin for n in self.alpha.shape)
        return self.front[self.margin : self.margin + h, self.margin : self.margin + w]

    def compose(self, moving: Moving) -> ImageArray:
        """Return the frame (h, w, 3) of the person ``moving``, or (h, w, 4) cut out."""
        if self.tone is not None:
            self.tone.apply(moving.frame[self.face.slices])
        if self.plate is None:
            return cv2.merge([moving.frame, moving.cover])
        return moving.over(self.plate)


def over(front: ImageArray, back: ImageArray, alpha: FloatArray) -> ImageArray:
    """Return ``front`` over ``back`` (h, w, 3) with coverage ``alpha`` (h, w) in [0, 1]."""
    return cv2.blendLinear(front, back, alpha, 1 - alpha)


def make_layers(portrait: Portrait, face_height: float, is_cutout: bool = False) -> Layers:
    """Take ``portrait`` apart into what moves and what stands still.

    For a cut-out the matte alone decides what is person, and at the edges of the picture, which may
    be part of a larger one, without a look at colours; otherwise everything beside the person
    that the plate does not explain goes with it, and the layers add up to the photograph.
    """
    front, alpha, plate = _apart(portrait, face_height, is_cutout)
    is_cut_off = _is_cut_off(portrait.head_matte)
    margin = round((_MARGIN if is_cut_off else _SPARE) * max(alpha.shape))
    oval = portrait.landmarks[list(OVAL), :2]
    outline = _continued(alpha, oval.mean(0), margin, face_height)
    canvas = np.pad(front, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    if is_cut_off:
        canvas = _extended(canvas, outline, oval, margin)
    face = Box.around(oval, _NODDING * face_height, alpha.shape[::-1])
    shown, tone = None if is_cutout else plate, tone_of(portrait.image)
    return Layers(canvas, outline, shown, margin, tone, face)


def _apart(
    portrait: Portrait, face_height: float, is_cutout: bool
) -> tuple[ImageArray, FloatArray, ImageArray]:
    """Return the person's colours (h, w, 3) and share (h, w), and the plate (h, w, 3)."""
    image, matte = portrait.image, portrait.matte
    outside, inside = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) / face_height
        for part in (matte <= 0.5, matte > 0.5)
    )
    nobody = matte < _NONE
    texture = texture_of(image, nobody & (outside > _RIM[1]))
    known = nobody & (outside > _RIM[1] + (_RIM[0] - _RIM[1]) * smoothstep(texture.wide, *_BUSY))
    plate = make_plate(image, known, ~known & (inside < _SEEN), texture.fine)
    sure = (matte > _SURE) & (inside > _CORE)
    person = make_plate(image, sure, np.zeros_like(sure), texture.fine)
    share, trust = _by_colour(image, plate, person, texture.wide)
    if is_cutout:
        trust *= smoothstep(_from_edges(matte.shape) / face_height, 0, _RIM[0])
    given = crisp(matte)
    alpha = np.where(known, 0, np.where(sure, 1, given + (share - given) * trust))
    alpha = held_by(sure, alpha) if is_cutout else np.maximum(alpha, _least(image, plate))
    alpha = (np.ceil(alpha * 255 - 1e-3) / 255).astype(np.float32)
    belief = trust + (1 - trust) * alpha**4 if is_cutout else np.float32(1) * (alpha > 0)
    return _unmixed(image, plate, person, alpha, belief), alpha, plate


def _is_cut_off(head: FloatArray) -> bool:
    """Return whether the picture's upper edge or sides cut off the ``head`` (h, w)."""
    return bool(max(head[0].max(), head[:, 0].max(), head[:, -1].max()) > _SHARE_SEEN)


def _from_edges(shape: tuple[int, ...]) -> FloatArray:
    """Return how many px each pixel of a picture of ``shape`` (h, w) lies from its edges."""
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in shape)
    return np.minimum.outer(rows, columns).astype(np.float32)


def _by_colour(
    image: ImageArray, plate: ImageArray, person: ImageArray, doubt: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the person's share (h, w) by each pixel's colour, and how far to trust it, 0 to 1.

    ``doubt`` (h, w) is the likely error of the background's colours in levels.
    """
    length, along = (np.zeros(doubt.shape, np.float32) for _ in range(2))
    for seen, behind, own in zip(*map(cv2.split, (image, plate, person)), strict=True):
        span = cv2.subtract(own, behind, dtype=cv2.CV_32F)
        length += span * span
        along += cv2.subtract(seen, behind, dtype=cv2.CV_32F) * span
    length = np.maximum(length, 1)
    share = along / length
    error = (doubt**2 + _NOISE**2) / length
    return np.clip(share, 0, 1), np.asarray(1 / (1 + error / _CERTAIN**2), np.float32)


def held_by(core: BoolArray, alpha: FloatArray) -> FloatArray:
    """Return ``alpha`` (h, w) without pieces that nowhere hang together with ``core`` (h, w)."""
    count, parts = cv2.connectedComponents((alpha > _PIECE).astype(np.uint8))
    held = np.bincount(parts[core], minlength=count) > 0
    held[0] = False
    if not held.any():
        return alpha
    near = cv2.dilate(held[parts].astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(alpha * near, np.float32)


def crisp(matte: FloatArray) -> FloatArray:
    """Return the person's share (h, w) that ``matte`` (h, w), which is soft everywhere, means."""
    return smoothstep(matte, *_CRISP)


def _least(image: ImageArray, plate: ImageArray) -> FloatArray:
    """Return the least share (h, w) of any person over ``plate`` (h, w, 3) that gives ``image``."""
    least = np.zeros(image.shape[:2], np.float32)
    for seen, behind in zip(cv2.split(image), cv2.split(plate), strict=True):
        for high, low, room in ((seen, behind, 255 - behind), (behind, seen, behind)):
            more = cv2.subtract(high, low)
            share = cv2.divide(more, np.maximum(room, 1), dtype=cv2.CV_32F)
            np.maximum(least, share, out=least)
    return least


def _unmixed(
    image: ImageArray,
    plate: ImageArray,
    person: ImageArray,
    alpha: FloatArray,
    belief: FloatArray,
) -> ImageArray:
    """Return the person's colours (h, w, 3) in ``image``, as far as the plate is to be believed.

    Elsewhere ``person``, colours continued from within.
    """
    share, colours = np.maximum(alpha, 1 / 255), []
    for seen, behind, within in zip(*map(cv2.split, (image, plate, person)), strict=True):
        own = np.clip((seen - (1 - share) * behind) / share, 0, 255)
        mixed = within + (own - within) * belief
        colours.append(np.round(mixed, out=mixed).clip(0, 255, out=mixed).astype(np.uint8))
    return cv2.merge(colours)


def _extended(canvas: ImageArray, outline: FloatArray, oval: FloatArray, margin: int) -> ImageArray:
    """Return ``canvas`` (h + 2 m, w + 2 m, 3) with hair and clothes going on in its ``margin`` m.

    ``outline`` is the person's share of the whole, ``oval`` (k, 2) the edge of the face.
    """
    within = np.zeros(outline.shape, bool)
    within[margin:-margin, margin:-margin] = True
    known, wanted = within & (outline > _MOSTLY), ~within & (outline > 0)
    face = np.zeros(outline.shape, np.uint8)
    cv2.fillPoly(face, [np.round(oval + margin).astype(np.int32)], 1)
    known &= face == 0
    rough = np.full(outline.shape, 255, np.float32)
    made = make_plate(canvas, known, wanted, rough, _HAIR_LONGEST)
    share = np.where(within, 0, smoothstep(outline, 0.5, _SURE)).astype(np.float32)
    return over(made, canvas, share)


def _continued(
    alpha: FloatArray, centre: FloatArray, margin: int, face_height: float
) -> FloatArray:
    """Return ``alpha`` (h, w) with a ``margin`` all round, in which the head's outline goes on."""
    h, w = alpha.shape
    radius = _outline(alpha, centre, _FADE * face_height)
    coarse = max(1, margin // 32)
    nodes = grid(Box(-margin, -margin, w + 2 * margin, h + 2 * margin), coarse) - centre
    distance, angle = cv2.cartToPolar(
        np.ascontiguousarray(nodes[..., 0]), np.ascontiguousarray(nodes[..., 1])
    )
    at = np.interp(angle.ravel() * (_RAYS / (2 * np.pi)), np.arange(_RAYS + 1), radius)
    soft = _OUTLINE * face_height
    covered = smoothstep(at.reshape(angle.shape) - distance, -soft, soft)
    canvas = refine(covered, coarse, (h + 2 * margin, w + 2 * margin))
    canvas = np.maximum(canvas, _fading(alpha, margin, _FADE * face_height))
    canvas[margin : margin + h, margin : margin + w] = alpha
    return canvas


def _fading(alpha: FloatArray, margin: int, width: float) -> FloatArray:
    """Return ``alpha`` (h, w) with a ``margin`` in which it fades to 0 within ``width`` px."""
    sides = ((margin, margin), (margin, margin))
    beyond = np.pad(np.zeros(alpha.shape, np.uint8), sides, constant_values=1)
    distance = cv2.distanceTransform(beyond, cv2.DIST_L2, 5)
    return np.pad(alpha, sides, "edge") * smoothstep(distance, width, 0)


def _outline(alpha: FloatArray, centre: FloatArray, near: float) -> FloatArray:
    """Return how far the person reaches from ``centre`` (2,) in ``_RAYS`` directions, clockwise.

    Where the picture cuts the person off, the outline runs from one end of the cut to the other, as
    a head does: never inside the picture, and farther out the farther both ends are. What comes
    ``near`` the edge, in px, and is seen at it is cut off. The first direction comes again last.
    """
    reach = np.arange(0, int(np.hypot(*alpha.shape)), 2, dtype=np.float32)
    turn = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    ray = np.stack([np.cos(turn), np.sin(turn)], -1)
    along = (centre + ray[:, None] * reach[:, None]).astype(np.float32)
    value = cv2.remap(
        alpha, along, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1
    )
    last = (value > -0.5).sum(1) - 1
    border, there = reach[last], value[np.arange(_RAYS), last - 1]  # the last is half beyond
    radius = reach[len(reach) - 1 - (value > 0.5)[:, ::-1].argmax(1)]
    is_cut = (radius >= border - near) & (there > _SHARE_SEEN)
    if is_cut.any():
        free = np.flatnonzero(~is_cut)
        index = np.arange(_RAYS)
        between = np.interp(index, free, radius[free], period=_RAYS) if len(free) else border
        back, on = ((way * (free - index[:, None]) - 1) % _RAYS + 1.0 for way in (-1, 1))
        back, on = back.min(1, initial=_RAYS), on.min(1, initial=_RAYS)
        gap = 2 * back * on / (back + on) * (360 / _RAYS)
        beyond = border * (1 + _BULGE * smoothstep(gap, *_BULGE_TURN))
        radius = np.where(is_cut, np.maximum(between, beyond), radius)
    return np.append(radius, radius[0]).astype(np.float32)
