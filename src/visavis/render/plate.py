"""The background behind a person, made up once per portrait from what is seen of it.

Where the head may uncover the background, patches of the visible background are laid over each
other so that they continue it: found by exhaustive search on a small picture (Wexler, Shechtman and
Irani 2007) and copied at full size, so that grass stays grass. What is never uncovered, and
everything where too little background is seen, is filled in smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.media.cache import remembered
from visavis.render.geometry import Box, fill_outside, grid, smoothstep
from visavis.types import FloatArray, ImageArray

LONGEST = 1600
"""Longest side in px at which backgrounds are made up; larger ones are enlarged from there."""
_COARSE = 64  # longest side of the picture in which patches are looked for
_PATCH = 2  # half the side of a patch there
_MOST_SOURCES = 2000
_FEWEST_SOURCES = 40
_CLEAR = 1  # patches stay so many nodes away from what is unknown
_NEAR = 1000.0  # cost of a patch from across the picture, in squared levels
_VAGUE = np.float32(0.2)  # weight of what smooth filling says of the unknown part of a patch
_ROUGH = 3.5, 8.0  # deviation of grey levels inside a node: below smooth, above textured
_WORN = 15.0  # cost of a patch for each time it was taken, in squared levels
_WIDE = 2.5  # nodes: neighbourhood in which backgrounds are compared
_LOYAL = 2.0  # a neighbour's piece goes on unless another fits so much better
_NEIGHBOURS = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Texture:
    """How much the grey levels of a background differ, (h, w) each: within nodes (``fine``), and
    within neighbourhoods of several (``wide``).
    """

    fine: FloatArray
    wide: FloatArray


def make_plate(
    image: ImageArray,
    known: BoolArray,
    wanted: BoolArray,
    roughness: FloatArray,
    longest: int = LONGEST,
) -> ImageArray:
    """Return ``image`` (h, w, 3) with all that is not ``known`` (h, w) filled in.

    ``wanted`` (h, w) says where the filling may be seen, and is worth the work; ``roughness`` (the
    fine texture, h, w) where it must not be smooth. What is made up is made of at most ``longest``
    px and enlarged. A picture of nothing but the person stays as it is.
    """
    if not known.any():
        return image
    h, w = known.shape
    factor = longest / max(h, w)
    parts = image, known, wanted, roughness
    if factor < 1:
        parts = _shrunk(*parts, (max(1, round(w * factor)), max(1, round(h * factor))))
    if wanted.any():
        given = dict(zip(("image", "known", "wanted", "roughness"), parts, strict=True))
        plate = remembered("plate", given, lambda: {"plate": _made_up(*parts)})["plate"]
    else:  # smooth, which takes less time than reading what is remembered
        plate = _made_up(*parts)
    if factor < 1:
        plate = cv2.resize(plate, (w, h), interpolation=cv2.INTER_CUBIC)
        cv2.copyTo(image, known.astype(np.uint8), plate)
    return plate


def _shrunk(
    image: ImageArray,
    known: BoolArray,
    wanted: BoolArray,
    roughness: FloatArray,
    size: tuple[int, int],
) -> tuple[ImageArray, BoolArray, BoolArray, FloatArray]:
    """Return what ``_made_up`` takes at ``size`` (width, height), its colours of what is known."""
    share, asked = (
        cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for x in (known, wanted)
    )
    free = cv2.copyTo(image, known.astype(np.uint8)).astype(np.float32)
    small = cv2.resize(free, size, interpolation=cv2.INTER_AREA)
    small /= np.maximum(share, 1e-6)[..., None]
    rough = cv2.resize(roughness, size, interpolation=cv2.INTER_LINEAR)
    return np.round(small).clip(0, 255).astype(np.uint8), share > 0, asked > 0, rough


def _made_up(
    image: ImageArray, known: BoolArray, wanted: BoolArray, roughness: FloatArray
) -> ImageArray:
    """Return what ``make_plate`` does; smooth where ``roughness`` (h, w) is small."""
    filled = fill_outside(image.astype(np.float32), known.astype(np.float32))
    smooth = np.clip(filled, 0, 255).astype(np.uint8)
    size = _coarse(known.shape)
    places = _find_places(smooth, known, wanted, size)
    if places is not None:
        copied = _laid_out(smooth, places).astype(np.float32)
        copied += _fitted(smooth - copied, known, size)
        filled = smooth + (copied - smooth) * smoothstep(roughness, *_ROUGH)[..., None]
    plate = np.round(filled).clip(0, 255).astype(np.uint8)
    plate[known] = image[known]
    return plate


def _coarse(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (columns, rows) of the small picture for one of ``shape`` (h, w)."""
    factor = max(1.0, max(shape) / _COARSE)
    return max(8, round(shape[1] / factor)), max(8, round(shape[0] / factor))


def _find_places(
    smooth: ImageArray, known: BoolArray, wanted: BoolArray, size: tuple[int, int]
) -> FloatArray | None:
    """Return for each node of a grid of ``size`` where its colours come from, (r, c, 2) in nodes.

    None: too little is known, or nothing wanted.
    """
    image = cv2.resize(smooth, size, interpolation=cv2.INTER_AREA).astype(np.float32)
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


@dataclass(frozen=True)
class _Ring:
    """The nodes ``at`` (n, 2) that are next: their patches ``look`` (n, k) and how far to trust
    each number of these, ``mask`` (n, k).
    """

    at: NDArray[np.intp]
    look: FloatArray
    mask: FloatArray

    @staticmethod
    def of(image: FloatArray, done: BoolArray, at: NDArray[np.intp]) -> _Ring:
        """Return the ring ``at`` in ``image`` (r, c, 3), of which ``done`` (r, c) is known."""
        weight = np.where(done, np.float32(1), _VAGUE)[..., None].repeat(3, 2)
        return _Ring(at, _patches(image, at), _patches(weight, at))

    def costs(self, offered: FloatArray) -> FloatArray:
        """Return (n, m) how ill each of the patches ``offered`` (m, k) fits each node."""
        aim = self.look * self.mask
        own = (aim * self.look).sum(1, keepdims=True)
        total = self.mask @ (offered**2).T - 2 * aim @ offered.T + own
        return np.asarray(total / self.mask.sum(1, keepdims=True), np.float32)

    def cost(self, offered: FloatArray) -> FloatArray:
        """Return (n,) how ill the patches ``offered`` (n, k) fit, each its own node."""
        total = (self.mask * (offered - self.look) ** 2).sum(1)
        return np.asarray(total / self.mask.sum(1), np.float32)


def _peeled(
    image: FloatArray, seen: BoolArray, asked: BoolArray, whole: BoolArray
) -> NDArray[np.intp]:
    """Return places (r, c, 2), row first, found ring by ring from what is ``seen`` inwards.

    A node's patch is compared, as far as it is known by then, with all patches that are ``whole``.
    """
    image, done = image.copy(), seen.copy()
    places = np.moveaxis(np.indices(seen.shape), 0, -1).astype(np.intp)
    sources = np.argwhere(whole)
    sources = sources[:: -(-len(sources) // _MOST_SOURCES)]
    offered, used = _patches(image, sources), np.zeros(len(sources), np.float32)
    while True:
        rim = cv2.dilate(done.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        at = np.argwhere(rim & ~done & asked)
        if not len(at):
            return places
        ring = _Ring.of(image, done, at)
        cost = ring.costs(offered) + _far(at[:, None], sources[None], seen.shape) + used * _WORN
        best = cost.argmin(1)
        used += np.bincount(best, minlength=len(used))
        least = cost[np.arange(len(at)), best]
        chosen = _continued(ring, image, whole & done, places, sources[best], least * _LOYAL)
        places[tuple(at.T)] = chosen
        image[tuple(at.T)] = image[tuple(chosen.T)]
        done[tuple(at.T)] = True


def _continued(  # noqa: PLR0913 - one step of the search
    ring: _Ring,
    image: FloatArray,
    whole: BoolArray,
    places: NDArray[np.intp],
    chosen: NDArray[np.intp],
    least: FloatArray,
) -> NDArray[np.intp]:
    """Return ``chosen`` (n, 2), or where a neighbour's piece goes on if that costs less still.

    Few large pieces look more real than many small ones. A node that waits for its place has itself
    for it, which is not ``whole``.
    """
    last = np.array(whole.shape) - 1
    for step in _NEIGHBOURS:
        neighbour = np.clip(ring.at + step, 0, last)
        offer = np.clip(places[tuple(neighbour.T)] - step, 0, last)
        cost = ring.cost(_patches(image, offer)) + _far(ring.at, offer, whole.shape)
        better = whole[tuple(offer.T)] & (cost < least)
        chosen, least = np.where(better[:, None], offer, chosen), np.where(better, cost, least)
    return chosen


def _far(
    targets: NDArray[np.intp], sources: NDArray[np.intp], shape: tuple[int, int]
) -> FloatArray:
    """Return what the distance between nodes (..., 2) costs, in squared levels."""
    apart = (targets - sources).astype(np.float32) / max(shape)
    return np.asarray(_NEAR * (apart**2).sum(-1), np.float32)


def _patches(image: FloatArray, at: NDArray[np.intp]) -> FloatArray:
    """Return the patches (n, side * side * c) of ``image`` round ``at`` (n, 2), row first."""
    side = np.arange(-_PATCH, _PATCH + 1)
    rows, columns = (
        np.clip(at[:, i, None] + side, 0, n - 1) for i, n in enumerate(image.shape[:2])
    )
    return image[rows[:, :, None], columns[:, None]].reshape(len(at), -1)


def texture_of(image: ImageArray, known: BoolArray) -> Texture:
    """Return the texture of what is ``known`` (h, w) of ``image``, continued everywhere."""
    h, w = known.shape
    size = _coarse(known.shape)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) * known
    parts = [
        cv2.resize(x.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for x in (known, grey, grey * grey)
    ]
    seen = (parts[0] > 0.9).astype(np.float32)
    if seen[1:-1, 1:-1].any():  # videos have lines of black at their edges
        seen[[0, -1]] = seen[:, [0, -1]] = 0
        parts = [x * seen for x in parts]
    found = []
    for reach in (0.8, _WIDE):
        share, mean, square = (cv2.GaussianBlur(x, (0, 0), reach) for x in parts)
        share = np.maximum(share, 1e-4)
        variance = np.maximum(square / share - (mean / share) ** 2, 0)
        spread = fill_outside(np.sqrt(variance)[..., None], seen)[..., 0]
        usual = cv2.medianBlur(spread, 5)  # one edge is no texture
        found.append(cv2.resize(usual, (w, h), interpolation=cv2.INTER_LINEAR))
    return Texture(*found)


def _laid_out(smooth: ImageArray, places: FloatArray) -> ImageArray:
    """Return ``smooth`` (h, w, 3) with each node's block copied from its place (r, c, 2).

    Blocks are two nodes wide and overlap by half, each fading towards its edge.
    """
    h, w = smooth.shape[:2]
    rows, columns = places.shape[:2]
    scale = np.array([w / columns, h / rows], np.float32)
    moves = (places - grid(Box(0, 0, columns, rows))) * scale
    (right, column), (below, row) = (
        np.modf(np.clip((np.arange(n, dtype=np.float32) + 0.5) * m / n - 0.5, 0, m - 1.001))
        for n, m in ((w, columns), (h, rows))
    )
    here = grid(Box(0, 0, w, h))

    def copied(dy: int, dx: int) -> ImageArray:
        at = moves[row.astype(int) + dy][:, column.astype(int) + dx]
        at += here
        return cv2.remap(smooth, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    def mixed(first: ImageArray, second: ImageArray, share: FloatArray) -> ImageArray:
        spread = np.ascontiguousarray(np.broadcast_to(share, (h, w)))
        return cv2.blendLinear(first, second, 1 - spread, spread)

    upper, lower = (mixed(copied(dy, 0), copied(dy, 1), right) for dy in (0, 1))
    return mixed(upper, lower, below[:, None])


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
