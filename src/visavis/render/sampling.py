"""Samples the photograph where something of it is seen to move, tile by tile.

The photograph is kept enlarged, and its coverage of the background with it as a fourth channel, so
that one bilinear look-up gives a colour as sharp as a cubic one at the photograph's own size, and
the coverage besides, in a third of the time. What shows the still background is not sampled at all,
and what shows nothing of it is not blended.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.render.geometry import Box, refine
from visavis.types import FloatArray, ImageArray

_LARGEST = 4_000_000  # pixels of a picture that is still kept enlarged
_HALF = np.arange(-3.5, 4, dtype=np.float32)
_LANCZOS = np.sinc(_HALF) * np.sinc(_HALF / 4)
_LANCZOS /= _LANCZOS.sum()
_LINEAR = np.full(2, 0.5, np.float32)
_TILE = 48  # px: what is drawn, left out or blended as one
_FAR, _RIM, _NEAR = 0, 1, 2  # nothing of the person near, some, nothing else


@dataclass(frozen=True)
class Plane:
    """What moves of a photograph, ready to be sampled.

    ``pixels`` (fine * h, fine * w, 4) RGB and coverage of the background over ``box`` of the
    photograph; ``state`` (r, c) what is near every ``step``-th pixel of the box.
    """

    pixels: ImageArray
    state: NDArray[np.uint8]
    box: Box
    fine: int
    step: int


def make_plane(image: ImageArray, alpha: FloatArray, step: int) -> Plane:
    """Return ``image`` (h, w, 3) with coverage ``alpha`` (h, w), for maps of every ``step`` px."""
    cover = np.round(alpha * 255).astype(np.uint8)
    reach = 3 * step + 2  # what lies between two nodes of a map
    box = _covered(cover, 2 * reach)
    image, cover = image[box.slices], np.ascontiguousarray(cover[box.slices])
    window = np.ones((2 * reach + 1,) * 2, np.uint8)
    near = cv2.dilate(cover, window)[::step, ::step]
    least = cv2.erode(cover, window)[::step, ::step]
    state = np.full(near.shape, _RIM, np.uint8)
    state[near == 0] = _FAR
    state[least == 255] = _NEAR
    pixels = cv2.merge([*cv2.split(image), cover])
    if cover.size > _LARGEST:
        return Plane(pixels, state, box, 1, step)
    return Plane(_doubled(pixels), state, box, 2, step)


def _covered(cover: ImageArray, margin: int) -> Box:
    """Return the box of what ``cover`` (h, w) does not leave 0, with a ``margin``."""
    rows, columns = (np.flatnonzero(cover.any(axis)) for axis in (1, 0))
    if not len(rows):
        return Box(0, 0, 2, 2)
    ends = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], np.float32)
    return Box.around(ends, margin, cover.shape[::-1])


def _doubled(pixels: ImageArray) -> ImageArray:
    """Return ``pixels`` (h, w, 4) at twice the size, old pixels at even places."""
    for axis in (1, 0):
        size = [n * (2 if k == axis else 1) for k, n in enumerate(pixels.shape[:2])]
        fine = np.empty((*size, 4), np.uint8)
        whole = fine.view(np.uint32)[..., 0]
        places = np.moveaxis(whole, axis, 0)
        places[::2] = np.moveaxis(pixels.view(np.uint32)[..., 0], axis, 0)
        places[1::2] = np.moveaxis(_between(pixels, axis).view(np.uint32)[..., 0], axis, 0)
        pixels = fine
    return pixels


def _between(pixels: ImageArray, axis: int) -> ImageArray:
    """Return the pixels (h, w, 4) half way to the next of ``pixels`` along ``axis``.

    Colours by Lanczos' filter; coverage linearly, for it must not ring.
    """
    sharp, soft = (np.expand_dims(taps, 1 - axis) for taps in (_LANCZOS, _LINEAR))
    edge = cv2.BORDER_REPLICATE
    between = cv2.filter2D(pixels, -1, sharp, anchor=_at(axis, 3), borderType=edge)
    cover = cv2.extractChannel(pixels, 3)
    cover = cv2.filter2D(cover, -1, soft, anchor=_at(axis, 0), borderType=edge)
    return cv2.insertChannel(cover, between, 3)


def _at(axis: int, place: int) -> tuple[int, int]:
    """Return the anchor (x, y) of a row of taps along ``axis``."""
    return (place, 0) if axis else (0, place)


@dataclass(frozen=True)
class Moving:
    """What moves: ``frame`` (h, w, 3), the background where nothing does, and its ``cover`` (h, w),
    0 to 255; ``rims`` are the parts that show something of both.
    """

    frame: ImageArray
    cover: ImageArray
    rims: tuple[Box, ...]

    def over(self, back: ImageArray) -> ImageArray:
        """Return ``frame``, in place blended with ``back`` (h, w, 3)."""
        for rim in self.rims:
            alpha = self.cover[rim.slices] * np.float32(1 / 255)
            front = self.frame[rim.slices]
            front[:] = cv2.blendLinear(front, back[rim.slices], alpha, 1 - alpha)
        return self.frame


def sample(plane: Plane, nodes: FloatArray, back: ImageArray) -> Moving:
    """Return what of ``plane`` is seen to move; ``back`` (h, w, 3) is the still background.

    ``nodes`` (r, c, 2) is where every ``step``-th pixel of the frame lies in the photograph, with a
    row and a column beyond its end.
    """
    frame, cover = back.copy(), np.zeros(back.shape[:2], np.uint8)
    how = cv2.INTER_LINEAR if plane.fine > 1 else cv2.INTER_CUBIC
    nodes = nodes - np.array([plane.box.x, plane.box.y], np.float32)
    states, side = _tile_states(plane, nodes)
    fine = nodes * np.float32(plane.fine)
    for row, first, end in _runs(states != _FAR):
        box = _tiles((row, first, end), side * plane.step, back.shape)
        block = fine[row * side : (row + 1) * side + 1, first * side : end * side + 1]
        at = refine(block, plane.step, (box.h, box.w))
        seen = cv2.remap(plane.pixels, at, None, how, borderMode=cv2.BORDER_REPLICATE)
        frame[box.slices] = cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB)
        cover[box.slices] = cv2.extractChannel(seen, 3)
    rims = (_tiles(run, side * plane.step, back.shape) for run in _runs(states == _RIM))
    return Moving(frame, cover, tuple(rims))


def _tile_states(plane: Plane, nodes: FloatArray) -> tuple[NDArray[np.uint8], int]:
    """Return what is near each tile of a frame (rows, columns), and the side of one in nodes."""
    side = max(1, round(_TILE / plane.step))
    at = nodes[:-1, :-1] * np.float32(1 / plane.step)
    state = cv2.remap(plane.state, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    starts = [np.arange(0, n, side) for n in state.shape]
    least, most = (
        reduce(reduce(state, starts[0], axis=0), starts[1], axis=1)
        for reduce in (np.minimum.reduceat, np.maximum.reduceat)
    )
    return np.where(least == most, least, _RIM).astype(np.uint8), side


def _runs(tiles: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return row, first column and end of each horizontal stretch of True in ``tiles`` (r, c)."""
    edges = np.diff(np.pad(tiles, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, columns = (places.tolist() for places in np.nonzero(edges))
    return list(zip(rows[::2], columns[::2], columns[1::2], strict=True))


def _tiles(run: tuple[int, int, int], tile: int, shape: tuple[int, ...]) -> Box:
    """Return the pixels of a ``run`` of tiles of side ``tile`` in a frame of ``shape``."""
    (row, first, end), (h, w) = run, shape[:2]
    x, y = first * tile, row * tile
    return Box(x, y, min(end * tile, w) - x, min((row + 1) * tile, h) - y)
