"""The refiner: networks that paint on mouth and eyes what a warp cannot know.

Each patch (render/patch.py) goes with what the warp knows through a small network (trained by
``visavis train renderer``), which answers with a difference; it is turned with the head and added
to the warped photograph, so that where nothing need be changed the photograph's own pixels stay.

What the inside of the mouth looks like is settled once per portrait, the *memory*: the photograph's
own teeth if they show, else those of one of a few made-up people in like light (``mouths.npz``,
by ``recipes/make_mouths.py``). The network is given them in every frame, upper teeth fixed to the
skull and lower teeth moved with the jaw, and says where they show; so they stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.hub import asset
from visavis.nn.session import Network
from visavis.render.geometry import SHIFT as BITS
from visavis.render.geometry import outline, ramp, refine, smooth_curve, smoothstep, subpixel
from visavis.render.mesh_warp import Face, Moment, expression_points, near_nodes
from visavis.render.mouth import skin_tone
from visavis.render.patch import MOUTH, Drawn, Sketch, View, make_sketch
from visavis.render.topology import INNER_LOWER_LIP, INNER_UPPER_LIP, JAW
from visavis.types import FloatArray, ImageArray, Portrait

CHANNELS = {"mouth": 17, "eye": 9}
"""Mouth: warped patch 3, cover 1, shift 2, the portrait's own patch 3, memory that stays with the
skull 3 + its opening 1, memory that moves with the jaw 3 + 1. Eye: the first nine."""
SHIFT_MM = 10.0
"""Shift that counts as 1."""
PARTED_MM, OPEN_MM = 4.0, 18.0
"""Opening of the photograph's lips from which on its own upper teeth are remembered, and all."""
_FIT = (0.8, 1.15)  # by which borrowed teeth are made smaller or larger
_MOST_GAIN = 1.6  # by which borrowed teeth are brightened or darkened
NO_GATES = np.zeros((1, 0, 1, 1), np.float32)
"""The gates of patches without a memory."""
_MOVED_MM = (0.4, 2.4)  # shift of the skin round an eye from which on it is corrected, and fully
_EDGE_MM = 4.0  # at a patch's edge the difference fades out over this


@dataclass(frozen=True)
class Memory:
    """The inside of one mouth, (h, w, 4) uint8 RGB and opening, in the patch: ``skull`` stays,
    ``jaw`` moves with the jaw, which was at ``at`` (2,) px of the patch.
    """

    skull: ImageArray
    jaw: ImageArray
    at: FloatArray

    def channels(self, jaw: FloatArray) -> FloatArray:
        """Return the 8 channels of a mouth whose jaw is at ``jaw`` (2,)."""
        return remembered(self.skull, self.jaw, tuple((jaw - self.at).tolist()))


@dataclass(frozen=True)
class Refined:
    """What the refiner knows of one portrait: its patches, their colours and the mouth's memory."""

    sketch: Sketch
    rest: tuple[FloatArray, ...]
    windows: tuple[FloatArray, ...]
    memory: Memory


class Refiner:
    """A ``Touch`` for the mesh warp. Holds weights, never a conversation."""

    def __init__(self, mouth: Network, eye: Network | None, fineness: int = 1) -> None:
        """Take the networks for both kinds of patch; without ``eye`` only mouths are corrected.

        What they answer is laid over patches of ``fineness`` times their density, so that teeth and
        skin keep their detail in large pictures.
        """
        self._mouth, self._eye = mouth, eye
        self._density = fineness * float(mouth.metadata["density"])
        self._shrink = fineness

    def prepare(self, portrait: Portrait, face: Face) -> Refined:
        """Return what is known of ``portrait``, its mouth's memory included."""
        closed = expression_points(face.rig, face.mood)
        sketch = make_sketch(portrait.image, portrait.landmarks, closed, self._density)
        rest = tuple(colours(patch) for patch in sketch.rest)
        windows = tuple(_window(view.size, self._density) for view in sketch.views)
        return Refined(sketch, rest, windows, make_memory(portrait, sketch))

    def apply(self, frame: ImageArray, face: Face, moment: Moment) -> None:
        """Correct ``frame`` (h, w, 3), drawn at ``moment``."""
        refined: Refined = face.touched
        sketch = refined.sketch
        count = 1 if self._eye is None else len(sketch.views)
        drawn = list(enumerate(islice(sketch.draw(face.skin, moment), count)))
        deltas = self._ask(self._mouth, refined, drawn[:1], moment)
        strengths = [1.0, *(_lids_moved(patch) for _, patch in drawn[1:])]
        if self._eye is not None and max(strengths[1:]) > 0:
            deltas += self._ask(self._eye, refined, drawn[1:], moment)
        step = face.skin.mesh.step
        for (k, patch), delta, strength in zip(drawn, deltas, strengths, strict=False):
            window = refined.windows[k] * np.float32(strength)
            if patch.tongue is not None:  # the networks have never seen one raised
                window = window * (1 - patch.tongue[..., None])
            change = np.round(delta * window).astype(np.int16)
            _add(frame, change, sketch.views[k], sketch.scale, moment.turned, step)

    def _ask(
        self, network: Network, refined: Refined, drawn: list[tuple[int, Drawn]], moment: Moment
    ) -> list[FloatArray]:
        """Return what ``network`` makes of patches of its kind: differences (h, w, 3) in grey
        levels. ``drawn`` are (number of the view, patch).
        """
        sketch, inputs = refined.sketch, []
        for k, patch in drawn:
            parts = warp_channels(patch, refined.rest[k])
            if sketch.views[k].kind is MOUTH:
                jaw = _jaw(sketch.views[k], moment.points * sketch.scale)
                parts.append(refined.memory.channels(jaw))
            inputs.append(np.concatenate(parts))
        stack, size = np.stack(inputs), sketch.views[drawn[0][0]].size
        answer = network({"inputs": _shrunk(stack, self._shrink)})
        paint, gates = (_enlarged(maps, size) for maps in (*answer, NO_GATES)[:2])
        deltas = compose(stack, paint, gates) * np.float32(127.5)
        return list(np.ascontiguousarray(np.moveaxis(deltas, 1, -1)))


def _lids_moved(drawn: Drawn) -> float:
    """Return how much of a correction an eye is due: 0 as photographed, 1 with lids far from there.

    Where nothing has moved the photograph is right.
    """
    return ramp(float(np.percentile(np.abs(drawn.shift[::4, ::4]), 95)), *_MOVED_MM)


def _shrunk(inputs: FloatArray, factor: int) -> FloatArray:
    """Return ``inputs`` (n, c, h, w), ``factor`` times smaller."""
    if factor == 1:
        return inputs
    n, c, h, w = inputs.shape
    blocks = inputs.reshape(n, c, h // factor, factor, w // factor, factor)
    mean: FloatArray = blocks.mean((3, 5))
    return mean


def compose(inputs: Any, paint: Any, gates: Any) -> Any:
    """Return the difference (n, 3, h, w) to be added to the warped patch.

    First what moves with the jaw shows where its gate lets it, over it what stays with the skull,
    over all the paint. NumPy and torch alike: ``inputs`` (n, c, h, w) as in ``CHANNELS``,
    ``paint`` (n, 3, h, w), ``gates`` (n, copies, h, w).
    """
    warp = shown = inputs[:, :3]
    for k in reversed(range(gates.shape[1])):
        first = CHANNELS["eye"] + 4 * k
        colour, opened = inputs[:, first : first + 3], inputs[:, first + 3 : first + 4]
        shown = shown + gates[:, k : k + 1] * (colour - opened * shown)
    return shown - warp + paint


def _enlarged(maps: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return ``maps`` (n, c, h, w) at ``size`` (w, h)."""
    if maps.shape[3] == size[0]:
        return maps
    large = [[cv2.resize(channel, size) for channel in one] for one in maps]
    return np.array(large, np.float32)


def colours(picture: ImageArray) -> FloatArray:
    """Return ``picture`` (..., h, w, 3) uint8 as (..., 3, h, w) in [-1, 1]."""
    return np.moveaxis(picture, -1, -3).astype(np.float32) / np.float32(127.5) - 1


def warp_channels(drawn: Drawn, rest: FloatArray) -> list[FloatArray]:
    """Return the first nine channels; ``rest`` (3, h, w) is the portrait's own patch."""
    shift = np.moveaxis(drawn.shift, -1, 0) / np.float32(SHIFT_MM)
    return [colours(drawn.picture), drawn.cover[None], shift, rest]


def remembered(skull: ImageArray, jaw: ImageArray, move: tuple[float, ...]) -> FloatArray:
    """Return two memories (h, w, 4) uint8, RGB and opening, as the last 8 channels of a mouth: the
    first fixed, the second moved by ``move`` (x, y) px; outside the opening they are grey.
    """
    matrix = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float64)
    moved = cv2.warpAffine(jaw, matrix, jaw.shape[1::-1], flags=cv2.INTER_LINEAR)
    parts = []
    for layer in (skull, moved):
        opened = layer[..., 3].astype(np.float32)[None] / np.float32(255)
        parts += [colours(layer[..., :3]) * opened, opened]
    return np.concatenate(parts)


def opening(points: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Return (h, w) 0 to 255: what the inner lips of ``points`` (478, 2) leave open."""
    rims = [smooth_curve(points[list(lip)]) for lip in (INNER_UPPER_LIP, INNER_LOWER_LIP)]
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [subpixel(outline(*rims))], 255, cv2.LINE_AA, BITS)
    return mask


def make_memory(portrait: Portrait, sketch: Sketch) -> Memory:
    """Return the inside of the mouth in ``portrait``: its own as far as it shows, else borrowed."""
    points, view = portrait.landmarks[:, :2] * sketch.scale, sketch.views[0]
    gap = float(np.linalg.norm(points[14] - points[13])) / sketch.density
    own = np.dstack([sketch.rest[0], opening(view.into(points), view.size)])
    if gap > OPEN_MM:
        return Memory(own, own, _jaw(view, points))
    tone = skin_tone(portrait.image, portrait.landmarks)
    borrowed, at = _borrowed(tone, view, lip_width(view.into(points)))
    return Memory(own if gap > PARTED_MM else borrowed, borrowed, at)


def lip_width(points: FloatArray) -> float:
    """Return the distance of the inner corners of the lips of ``points`` (478, 2), in their px."""
    ends = points[[INNER_UPPER_LIP[0], INNER_UPPER_LIP[-1]]]
    return float(np.linalg.norm(ends[1] - ends[0]))


@cache
def _mouths() -> dict[str, NDArray[np.generic]]:
    """Return the made-up mouths: ``pictures`` (k, h, w, 4), and in their px ``jaws`` (k, 2) and
    ``widths`` (k,) of closed lips; ``tones`` (k, 3) of the skin.
    """
    with np.load(asset("mouths.npz")) as stored:
        return {name: stored[name] for name in stored.files}


def _borrowed(tone: FloatArray, view: View, width: float) -> tuple[ImageArray, FloatArray]:
    """Return the made-up mouth (h, w, 4) whose skin is nearest to ``tone`` (3,), in that light and
    for lips of ``width`` px, in the patch ``view``; and where its jaw was (2,).
    """
    mouths = _mouths()
    tones = np.asarray(mouths["tones"], np.float32)
    nearest = int(np.argmin(np.abs(np.log(tones / tone)).mean(1)))
    picture = np.asarray(mouths["pictures"][nearest], np.uint8)
    shrink = view.size[0] / picture.shape[1]
    fit = np.clip(width / (float(mouths["widths"][nearest]) * shrink), *_FIT)
    middle = np.array(
        [(view.size[0] - 1) / 2, view.kind.above_mm * view.size[0] / view.kind.width_mm]
    )
    place = np.eye(2, 3) * (shrink * fit)
    place[:, 2] = middle * (1 - fit)
    if shrink * fit < 1:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / (shrink * fit))
    picture = cv2.warpAffine(picture, place, view.size, flags=cv2.INTER_LINEAR)
    gain = np.clip(tone / tones[nearest], 1 / _MOST_GAIN, _MOST_GAIN)
    picture[..., :3] = np.clip(picture[..., :3] * gain, 0, 255)
    jaw = place[:, :2] @ np.asarray(mouths["jaws"][nearest], np.float64) + place[:, 2]
    return picture, jaw.astype(np.float32)


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
