"""The background behind a person, made up once per portrait from what is seen of it.

Where the head may uncover the background, patches of the visible background are laid over each
other so that they continue it: found by exhaustive search on a small picture (Wexler, Shechtman and
Irani 2007) and copied at full size, so that grass stays grass. What is never uncovered, and
everything where too little background is seen, is filled in smoothly.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.render.geometry import Box, fill_outside, grid, smoothstep
from visavis.types import FloatArray, ImageArray

_COARSE = 64  # longest side of the picture in which patches are looked for
_PATCH = 2  # half the side of a patch there
_MOST_SOURCES = 2000
_FEWEST_SOURCES = 40
_CLEAR = 1  # patches stay so many nodes away from what is unknown
_NEAR = 1000.0  # cost of a patch from across the picture, in squared levels
_VAGUE = np.float32(0.1)  # weight of what smooth filling says of the unknown part of a patch
_ROUGH = 2.0, 6.0  # deviation of grey levels inside a node: below smooth, above textured
_LOYAL = 2.0  # a neighbour's piece goes on unless another fits so much better
_NEIGHBOURS = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])

BoolArray = NDArray[np.bool_]


def make_plate(
    image: ImageArray, known: BoolArray, wanted: BoolArray
) -> tuple[ImageArray, FloatArray]:
    """Return ``image`` (h, w, 3) with all that is not ``known`` (h, w) filled in.

    ``wanted`` (h, w) says where the filling may be seen, and is worth the work. The second value
    (h, w) is how far the true colours may be from those filled in, in levels. A picture of nothing
    but the person stays as it is.
    """
    if not known.any():
        return image, np.full(known.shape, 255, np.float32)
    smooth = fill_outside(image.astype(np.float32), known.astype(np.float32))
    h, w = known.shape
    factor = max(1.0, max(h, w) / _COARSE)
    size = (max(8, round(w / factor)), max(8, round(h / factor)))
    places = _find_places(smooth, known, wanted, size)
    rough = _roughness(image, known, size)
    if places is None:
        filled = smooth
    else:
        copied = _laid_out(smooth, places)
        copied += _fitted(smooth - copied, known, size)
        filled = smooth + (copied - smooth) * smoothstep(rough, *_ROUGH)[..., None]
    keep = known[..., None]
    return np.where(keep, image, np.clip(filled, 0, 255).astype(np.uint8)), rough


def _find_places(
    smooth: FloatArray, known: BoolArray, wanted: BoolArray, size: tuple[int, int]
) -> FloatArray | None:
    """Return for each node of a grid of ``size`` where its colours come from, (r, c, 2) in nodes.

    None: too little is known, or nothing wanted.
    """
    image = cv2.resize(smooth, size, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.98
    asked = cv2.resize(wanted.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    side = 2 * _PATCH + 1 + 2 * _CLEAR
    whole = cv2.erode(
        seen.astype(np.uint8), np.ones((side, side), np.uint8),
        borderType=cv2.BORDER_CONSTANT, borderValue=1,
    )  # fmt: skip
    whole[:_PATCH] = whole[-_PATCH:] = 0
    whole[:, :_PATCH] = whole[:, -_PATCH:] = 0
    if whole.sum() < _FEWEST_SOURCES or not (asked & ~seen).any():
        return None
    return _peeled(image, seen, asked | seen, whole > 0)[..., ::-1].astype(np.float32)


def _peeled(
    image: FloatArray, seen: BoolArray, asked: BoolArray, whole: BoolArray
) -> NDArray[np.intp]:
    """Return places (r, c, 2), row first, found ring by ring from what is ``seen`` inwards.

    A node's patch is compared, as far as it is known by then, with all patches that are ``whole``.
    Going on with the piece that a neighbour began is preferred: few large pieces look real.
    """
    image, done = image.copy(), seen.copy()
    places = np.stack(np.indices(seen.shape), -1)
    sources = np.argwhere(whole)
    sources = sources[:: -(-len(sources) // _MOST_SOURCES)]
    offered = _patches(image, sources)
    while True:
        rim = cv2.dilate(done.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        ring = np.argwhere(rim & ~done & asked)
        if not len(ring):
            return places
        mask = _patches(np.where(done, np.float32(1), _VAGUE)[..., None].repeat(3, 2), ring)
        aim, count = _patches(image, ring) * mask, mask.sum(1, keepdims=True)
        own = (aim * _patches(image, ring)).sum(1)[:, None]
        cost = (mask @ (offered**2).T - 2 * aim @ offered.T + own) / count
        cost += _far(ring[:, None], sources[None], seen.shape)
        best = cost.argmin(1)
        chosen, least = sources[best], cost[np.arange(len(ring)), best] * _LOYAL
        for step in _NEIGHBOURS:
            there = np.clip(ring + step, 0, np.array(seen.shape) - 1)
            offer = np.clip(places[there[:, 0], there[:, 1]] - step, 0, np.array(seen.shape) - 1)
            usable = done[there[:, 0], there[:, 1]] & whole[offer[:, 0], offer[:, 1]]
            error = (mask * (_patches(image, offer) - _patches(image, ring)) ** 2).sum(1)
            error = error / count[:, 0] + _far(ring, offer, seen.shape)
            better = usable & (error < least)
            chosen, least = np.where(better[:, None], offer, chosen), np.where(better, error, least)
        rows, columns = ring.T
        places[rows, columns] = chosen
        image[rows, columns] = image[chosen[:, 0], chosen[:, 1]]
        done[rows, columns] = True


def _far(
    targets: NDArray[np.intp], sources: NDArray[np.intp], shape: tuple[int, int]
) -> FloatArray:
    """Return what the distance between nodes (..., 2) costs, in squared levels."""
    apart = (targets - sources).astype(np.float32) / max(shape)
    return np.asarray(_NEAR * (apart**2).sum(-1), np.float32)


def _patches(image: FloatArray, at: NDArray[np.intp]) -> FloatArray:
    """Return the patches (n, side * side * 3) of ``image`` round ``at`` (n, 2), row first."""
    padded = np.pad(image, ((_PATCH, _PATCH), (_PATCH, _PATCH), (0, 0)), "edge")
    side = np.arange(2 * _PATCH + 1)
    rows, columns = at[:, 0, None, None] + side[:, None], at[:, 1, None, None] + side
    return padded[rows, columns].reshape(len(at), -1)


def _roughness(image: ImageArray, known: BoolArray, size: tuple[int, int]) -> FloatArray:
    """Return (h, w) the deviation of grey levels inside nodes of the ``known`` nearby."""
    h, w = known.shape
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) * known
    share, mean, square = (
        cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for x in (known, grey, grey * grey)
    )
    seen = (share > 0.98).astype(np.float32)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0)) * seen
    spread = fill_outside(cv2.GaussianBlur(deviation, (0, 0), 1)[..., None], seen)[..., 0]
    return cv2.resize(spread, (w, h), interpolation=cv2.INTER_LINEAR)


def _laid_out(smooth: FloatArray, places: FloatArray) -> FloatArray:
    """Return ``smooth`` (h, w, 3) with each node's block copied from its place (r, c, 2).

    Blocks are two nodes wide and overlap by half, each fading towards its edge.
    """
    h, w = smooth.shape[:2]
    rows, columns = places.shape[:2]
    scale = np.array([w / columns, h / rows], np.float32)
    moves = (places - grid(Box(0, 0, columns, rows))) * scale
    total = np.zeros((h, w, 3), np.float32)
    u = np.clip((np.arange(w, dtype=np.float32) + 0.5) / scale[0] - 0.5, 0, columns - 1.001)
    v = np.clip((np.arange(h, dtype=np.float32) + 0.5) / scale[1] - 0.5, 0, rows - 1.001)
    column, row = u.astype(int), v.astype(int)
    here = grid(Box(0, 0, w, h))
    for dy, dx in np.ndindex(2, 2):
        move = moves[row[:, None] + dy, column[None] + dx]
        copy = cv2.remap(smooth, here + move, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        share = np.outer(np.abs(1 - dy - (v - row)), np.abs(1 - dx - (u - column)))
        total += copy * share[..., None]
    return total


def _fitted(difference: FloatArray, known: BoolArray, size: tuple[int, int]) -> FloatArray:
    """Return the ``difference`` (h, w, 3) on what is ``known`` continued smoothly into the rest.

    Added to the copies it takes away steps of brightness at their border.
    """
    h, w = known.shape
    share = known.astype(np.float32)
    small_share = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(difference * share[..., None], size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(small_share, 1e-6)[..., None]
    spread = fill_outside(small, np.minimum(small_share * 2, 1))
    return cv2.resize(spread, (w, h), interpolation=cv2.INTER_LINEAR)
