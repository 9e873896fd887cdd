"""What the driven mouth of a clip looks like: lower faces with closed lips, in each frame's light.

The patch lies in the key frame and holds lips, chin and the skin around them, of the key frame and
of a few others in which the head is turned otherwise, all warped onto the key frame's face. Light
is matched on the rim, where patch and frame meet, and continued over the lips; it is smoothed over
time, so that nothing flickers, and hardly depends on what the clip's own mouth does.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.faces.film import Film
from visavis.faces.topology import LIPS_OUTER, OVAL
from visavis.faces.watch import smoothed
from visavis.render.geometry import Box, WarpMesh, fill_outside, grid, polygon_mask, smoothstep
from visavis.render.mesh_warp import Face
from visavis.render.mouth import parted_lips_painted_over
from visavis.render.rig import Rig
from visavis.render.topology import density_of
from visavis.types import FloatArray, ImageArray, Portrait

HALF_WIDTH_MM, ABOVE_MM, BELOW_MM = 42.0, 19.0, 38.0
"""Reach of the patch from the middle of the lips, pupils 63 mm apart."""
CORE = 0.68
"""Up to this share of its reach the patch is opaque."""
RIM_MM = (1.0, 9.0)
"""From the outline of the face the patch grows from nothing to opaque."""
CELLS = 14
"""Columns of the field of light."""
LIGHT_STIFFNESS = 8.0
"""Cost of its acceleration: half of a swing of ten frames is left."""
FACTORS = (0.8, 1.25)
"""Bounds of the factors beside the frame's median: more is not light but hair or background."""
SKIN_MM = (4.0, 10.0)
"""So far inside the outline of the face is certainly skin."""
_AROUND = 0.12  # of the patch's width: beyond it lie the points that hold it
_NEAR_DEG = 4.0
_DARK = 6.0  # levels added so that black tells nothing


@dataclass(frozen=True)
class Patch:
    """``looks`` (k, h, w, 3) uint8 over ``box`` of the key picture, ``cover`` (h, w) in [0, 1],
    ``shares`` (t, k) of each look in each frame, ``points`` (478, 2) of the key frame, of which
    ``held`` are those around the patch.
    """

    looks: ImageArray
    box: Box
    cover: FloatArray
    shares: FloatArray
    points: FloatArray
    held: NDArray[np.bool_]
    rig: Rig

    def look(self, index: int) -> ImageArray:
        """Return the patch (h, w, 3) uint8 as frame ``index`` shows the head."""
        share = self.shares[index]
        picked = np.flatnonzero(share > 0.01)
        if len(picked) == 1:
            return self.looks[picked[0]]
        share = share[picked] / share[picked].sum()
        mixed = np.tensordot(share, self.looks[picked].astype(np.float32), 1)
        return np.round(mixed).astype(np.uint8)


def facets(rig: Rig) -> tuple[np.ndarray, int]:
    """Return the triangles of the face, those of the openings first, and how many these are."""
    holes = [rig.eye_triangles, rig.mouth_triangles]
    return np.concatenate([*holes, rig.triangles]).astype(np.int32), sum(map(len, holes))


def make_patch(film: Film, face: Face, key: Portrait, turns: FloatArray) -> Patch:
    """Return the looks of the mouth; ``turns`` (t, 3) are all frames' angles in degrees."""
    points = key.landmarks[:, :2]
    rig = face.rig.rig
    cover, box = _cover(points, key.image.shape[1::-1])
    looks = [np.ascontiguousarray(face.image[box.slices])]
    for index in film.keys[1:]:
        image = parted_lips_painted_over(film.picture(index), film.points[index])
        looks.append(_onto(image, film.points[index, :, :2], points, rig, box))
    shares = _shares(turns, film.keys)
    near = np.array([box.x, box.y]) - _AROUND * box.w
    far = np.array([box.x + box.w, box.y + box.h]) + _AROUND * box.w
    held = np.asarray(((points > near) & (points < far)).all(1), bool)
    return Patch(np.stack(looks), box, cover, shares, points, held, rig)


def _onto(
    image: ImageArray, source: FloatArray, target: FloatArray, rig: Rig, box: Box, step: int = 1
) -> ImageArray:
    """Return ``image``, whose face is at ``source``, over every ``step``-th pixel of ``box``,
    where that face is at ``target``.
    """
    mesh = WarpMesh(source, *facets(rig), box, step)
    at = grid(box, step) + mesh.backward(target)
    how = cv2.INTER_CUBIC if step == 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(image, at, None, how, borderMode=cv2.BORDER_REPLICATE))


def _cover(points: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, Box]:
    """Return what the patch covers (h, w) and the box of it."""
    mm = density_of(points)
    lips = points[list(LIPS_OUTER)]
    middle = points[[13, 14]].mean(0)
    along = points[291] - points[61]
    along = along / np.linalg.norm(along)
    down = np.array([-along[1], along[0]])
    corners = [
        middle + along * x * HALF_WIDTH_MM * mm + down * y * mm
        for x in (-1, 1) for y in (-ABOVE_MM, BELOW_MM)
    ]  # fmt: skip
    box = Box.around(np.array([*corners, *lips]), 1, size)
    away = (grid(box) - middle) / mm
    u, v = away @ along, away @ down
    reach = np.hypot(u / HALF_WIDTH_MM, np.where(v < 0, v / ABOVE_MM, v / BELOW_MM))
    cover = smoothstep(reach, 1.0, CORE) * smoothstep(_inside(points, box), *RIM_MM)
    return cover.astype(np.float32), box


def _shares(turns: FloatArray, keys: tuple[int, ...]) -> FloatArray:
    """Return (t, k): how much of each key frame's look is seen as the head turns."""
    away = np.linalg.norm(turns[:, None, :2] - turns[list(keys), :2], axis=2)
    nearness = np.exp(-(((away - away.min(1, keepdims=True)) / _NEAR_DEG) ** 2))
    shares = smoothed(nearness / nearness.sum(1, keepdims=True), 30.0)
    shares = np.clip(shares, 0, 1)
    return np.asarray(shares / shares.sum(1, keepdims=True), np.float32)


def lights(film: Film, patch: Patch) -> FloatArray:
    """Return factors (t, r, CELLS, 3) that bring the patch into the light of each frame.

    A patch without a rim of skin (a profile) keeps the light it has.
    """
    step = max(1, -(-patch.box.w // CELLS))
    known = _skin(patch, step)
    factors = np.ones((len(film), *known.shape, 3), np.float32)
    if not known.any():
        return factors
    seen, sure = np.flatnonzero(film.strength > 0), known > 0.5 * known.max()
    for index in seen.tolist():
        points = film.points[index, :, :2]
        frame, points = _small(film.picture(index), points, patch, step)
        here = _onto(frame, points, patch.points, patch.rig, patch.box, step).astype(np.float32)
        look = cv2.blur(patch.look(index), (step, step))[::step, ::step]
        ratio = (here + _DARK) / (look.astype(np.float32) + _DARK)
        usual = np.median(ratio[sure], axis=0)
        ratio = np.clip(ratio / usual, *FACTORS) * np.clip(usual, 0.5, 2.0)
        factors[index] = fill_outside(ratio, known)
    for run in np.split(seen, np.flatnonzero((np.diff(seen) > 1) | np.diff(film.shots[seen])) + 1):
        flat = factors[run].reshape(len(run), -1).astype(np.float64)
        factors[run] = smoothed(flat, LIGHT_STIFFNESS).reshape(len(run), *factors.shape[1:])
    return factors


def _small(
    frame: ImageArray, points: FloatArray, patch: Patch, step: int
) -> tuple[ImageArray, FloatArray]:
    """Return the face of ``frame`` blurred as a cell of light is large, and its ``points``."""
    box = Box.around(points, step, frame.shape[1::-1])
    size = np.ptp(points[list(OVAL)], axis=0).max() / np.ptp(patch.points[list(OVAL)], axis=0).max()
    wide = max(1, round(step * float(size)))
    return cv2.blur(frame[box.slices], (wide, wide)), points - (box.x, box.y)


def _skin(patch: Patch, step: int) -> FloatArray:
    """Return where (r, c) patch and frame both show skin that no mouth moves: its rim."""
    inside = _inside(patch.points, patch.box)
    skin = smoothstep(patch.cover, 0.9, 0.6) * smoothstep(patch.cover, 0.0, 0.1)
    return np.asarray((skin * smoothstep(inside, *SKIN_MM))[::step, ::step], np.float32)


def _inside(points: FloatArray, box: Box) -> FloatArray:
    """Return how far (h, w) inside the outline of the face each pixel of ``box`` lies, in mm."""
    oval = (polygon_mask(box, points[list(OVAL)]) > 127).astype(np.uint8)
    rimmed = cv2.copyMakeBorder(oval, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(rimmed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(distance / density_of(points), np.float32)


def relit(picture: ImageArray, factors: FloatArray) -> ImageArray:
    """Return ``picture`` (h, w, 3) under the ``factors`` (r, c, 3), one for each cell."""
    h, w = picture.shape[:2]
    field = cv2.resize(factors, (w, h), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(picture, field, dtype=cv2.CV_8U)
