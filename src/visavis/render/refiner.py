"""The refiner: networks that paint on mouth and eyes what a warp cannot know.

Each patch (render/patch.py) goes with what the warp knows through a small network (trained by
``visavis train renderer``), which answers with a difference; it is turned with the head and added
to the warped photograph, so that where nothing need be changed the photograph's own pixels stay.

What the inside of the mouth looks like is made once per portrait, the *memory*: the network is
asked for a wide open mouth, with the photograph's own teeth in sight if they show. From then on it
is given that picture, once fixed to the skull (upper teeth) and once moved with the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.nn.session import Network
from visavis.render.geometry import SHIFT as BITS
from visavis.render.geometry import outline, refine, smooth_curve, smoothstep, subpixel
from visavis.render.mesh_warp import Face, Moment, expression_points, near_nodes
from visavis.render.patch import Drawn, Sketch, View, density_of, make_sketch
from visavis.render.topology import INNER_LOWER_LIP, INNER_UPPER_LIP, JAW
from visavis.types import ARKIT_NAMES, FloatArray, ImageArray, Portrait

CHANNELS = {"mouth": 17, "eye": 9}
"""Mouth: warped patch 3, cover 1, shift 2, the portrait's own patch 3, memory that stays with the
skull 3 + its opening 1, memory that moves with the jaw 3 + 1. Eye: the first nine."""
SHIFT_MM = 10.0
"""Shift that counts as 1."""
PARTED_MM = 2.0
"""Opening of the photograph's lips from which on its own teeth are remembered."""
_EDGE_MM = 4.0  # at a patch's edge the difference fades out over this
_WIDE = {
    "jawOpen": 0.4, "mouthLowerDownLeft": 0.5, "mouthLowerDownRight": 0.5, "mouthUpperUpLeft": 0.4,
    "mouthUpperUpRight": 0.4, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.2,
}  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """The inside of one mouth: ``picture`` (h, w, 4) uint8 RGB and opening, in the patch; ``jaw``
    (2,) where the jaw was, px of the patch.
    """

    picture: ImageArray
    jaw: FloatArray

    def channels(self, jaw: FloatArray) -> FloatArray:
        """Return its 8 channels with the jaw at ``jaw`` (2,)."""
        return remembered(self.picture, tuple((jaw - self.jaw).tolist()))


@dataclass(frozen=True)
class Refined:
    """What the refiner knows of one portrait: its patches, their colours and the mouth's memory."""

    sketch: Sketch
    rest: tuple[FloatArray, ...]
    windows: tuple[FloatArray, ...]
    memory: Memory


class Refiner:
    """A ``Touch`` for the mesh warp. Holds weights, never a conversation."""

    def __init__(self, mouth: Network, eye: Network) -> None:
        """Take the networks for both kinds of patch, of one density."""
        self._networks = {"mouth": mouth, "eye": eye}
        self._density = float(mouth.metadata["density"])

    def prepare(self, portrait: Portrait, face: Face) -> Refined:
        """Return what is known of ``portrait``, its mouth's memory included."""
        closed = expression_points(face.rig, face.mood)
        sketch = make_sketch(portrait.image, portrait.landmarks, closed, self._density)
        rest = tuple(colours(patch) for patch in sketch.rest)
        windows = tuple(_window(view.size, self._density) for view in sketch.views)
        own = _own_memory(portrait, sketch)
        refined = Refined(sketch, rest, windows, own)
        wide = np.array([_WIDE.get(name, 0.0) for name in ARKIT_NAMES], np.float32)
        points = expression_points(face.rig, wide + face.mood)
        moment = Moment(points, 0.0, face.skin.field(points), np.zeros((1, 1, 2), np.float32))
        drawn = next(iter(sketch.draw(face.skin, moment)))
        view, at = sketch.views[0], points * sketch.scale
        delta = self._ask(refined, [(0, drawn)], at)[0]
        picture = np.clip(drawn.picture + delta, 0, 255).astype(np.uint8)
        memory = np.dstack([picture, opening(view.into(at), view.size)])
        return Refined(sketch, rest, windows, Memory(memory, _jaw(view, at)))

    def apply(self, frame: ImageArray, face: Face, moment: Moment) -> None:
        """Correct ``frame`` (h, w, 3), drawn at ``moment``."""
        refined: Refined = face.touched
        sketch = refined.sketch
        drawn = list(enumerate(sketch.draw(face.skin, moment)))
        points = moment.points * sketch.scale
        deltas = self._ask(refined, drawn[:1], points) + self._ask(refined, drawn[1:], points)
        step = face.skin.mesh.step
        for (k, patch), delta in zip(drawn, deltas, strict=True):
            window = refined.windows[k]
            if patch.tongue is not None:  # the networks have never seen one raised
                window = window * (1 - patch.tongue[..., None])
            change = np.round(delta * window).astype(np.int16)
            _add(frame, change, sketch.views[k], sketch.scale, moment.turned, step)

    def _ask(
        self, refined: Refined, drawn: list[tuple[int, Drawn]], points: FloatArray
    ) -> list[FloatArray]:
        """Return the differences (h, w, 3) in grey levels for patches of one kind.

        ``drawn`` are (number of the view, patch); ``points`` (478, 2) px of the sketch.
        """
        views = refined.sketch.views
        inputs = []
        for k, patch in drawn:
            parts = warp_channels(patch, refined.rest[k])
            if k == 0:
                parts.append(refined.memory.channels(_jaw(views[0], points)))
            inputs.append(np.concatenate(parts))
        network = self._networks[views[drawn[0][0]].kind.name]
        deltas = network({"inputs": np.stack(inputs)})[0]
        return list(np.moveaxis(deltas, 1, -1) * np.float32(127.5))


def colours(picture: ImageArray) -> FloatArray:
    """Return ``picture`` (..., h, w, 3) uint8 as (..., 3, h, w) in [-1, 1]."""
    return np.moveaxis(picture, -1, -3).astype(np.float32) / np.float32(127.5) - 1


def warp_channels(drawn: Drawn, rest: FloatArray) -> list[FloatArray]:
    """Return the first nine channels; ``rest`` (3, h, w) is the portrait's own patch."""
    shift = np.moveaxis(drawn.shift, -1, 0) / np.float32(SHIFT_MM)
    return [colours(drawn.picture), drawn.cover[None], shift, rest]


def remembered(memory: ImageArray, jaw: tuple[float, ...]) -> FloatArray:
    """Return ``memory`` (h, w, 4) uint8, RGB and opening, as the last 8 channels: fixed, and moved
    by ``jaw`` (x, y) px; outside the opening it is grey.
    """
    move = np.array([[1, 0, jaw[0]], [0, 1, jaw[1]]], np.float64)
    moved = cv2.warpAffine(memory, move, memory.shape[1::-1], flags=cv2.INTER_LINEAR)
    parts = []
    for layer in (memory, moved):
        opened = layer[..., 3].astype(np.float32)[None] / np.float32(255)
        parts += [colours(layer[..., :3]) * opened, opened]
    return np.concatenate(parts)


def opening(points: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Return (h, w) 0 to 255: what the inner lips of ``points`` (478, 2) leave open."""
    rims = [smooth_curve(points[list(lip)]) for lip in (INNER_UPPER_LIP, INNER_LOWER_LIP)]
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [subpixel(outline(*rims))], 255, cv2.LINE_AA, BITS)
    return mask


def _own_memory(portrait: Portrait, sketch: Sketch) -> Memory:
    """Return what the photograph itself shows between parted lips, nothing if they are closed."""
    points, view = portrait.landmarks[:, :2] * sketch.scale, sketch.views[0]
    gap = float(np.linalg.norm(points[14] - points[13])) / density_of(points)
    mask = opening(view.into(points), view.size) * np.uint8(gap > PARTED_MM)
    return Memory(np.dstack([sketch.rest[0], mask]), _jaw(view, points))


def _jaw(view: View, points: FloatArray) -> FloatArray:
    """Return where the jaw of ``points`` (478, 2) px of the sketch lies in the patch (2,)."""
    mean: FloatArray = view.into(points[list(JAW)]).mean(0)
    return mean


def _window(size: tuple[int, int], density: float) -> FloatArray:
    """Return (h, w, 1): 1 inside, falling to 0 at the edges."""
    x, y = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in size)
    ramps = [smoothstep(v.astype(np.float32), 0.0, _EDGE_MM * density) for v in (x, y)]
    return (ramps[1][:, None] * ramps[0])[..., None]


def _add(
    frame: ImageArray,
    change: NDArray[np.int16],
    view: View,
    scale: float,
    turned: FloatArray,
    step: int,
) -> None:
    """Add ``change`` (h, w, 3) int16 over ``view`` to ``frame``, turned with the head."""
    corners = np.array([[0, 0], [view.size[0], 0], [0, view.size[1]], view.size], np.float32)
    around = (corners @ view.place[:, :2].T + view.place[:, 2]) / scale
    near = near_nodes(turned, around, step)
    if near is None:
        return
    inverse = np.linalg.inv(view.place[:, :2])
    into = np.concatenate([inverse * scale, (-inverse @ view.place[:, 2])[:, None]], 1)
    block = cv2.transform(np.ascontiguousarray(turned[near]), into.astype(np.float32))
    part = frame[tuple(slice(n.start * step, (n.stop - 1) * step + 1) for n in near)]
    at = refine(block, step, part.shape[:2])
    moved = cv2.remap(change, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    part[:] = cv2.add(part, moved, dtype=cv2.CV_8U)
