"""Patches: mouth and eyes of one portrait at a fixed scale, as the mesh warp draws them.

A patch is a box of fixed size in millimetres (pupils 63 mm apart) of the picture before the head is
turned. It stands still with the skull, whatever the head does, so that what a network paints on it
does not flicker with head motion; and it has the same number of pixels for every portrait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from visavis.faces.topology import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from visavis.render.eyes import Eye, make_eye
from visavis.render.geometry import Box
from visavis.render.mesh_warp import LEFT_LIDS, RIGHT_LIDS, Moment, Skin, skin_only
from visavis.render.mouth import Mouth, make_mouth
from visavis.render.topology import density_of
from visavis.types import FloatArray, ImageArray


@dataclass(frozen=True)
class Kind:
    """A kind of patch: its size in mm, and how far its top lies above its origin."""

    name: str
    width_mm: float
    height_mm: float
    above_mm: float

    def size(self, density: float) -> tuple[int, int]:
        """Return (width, height) in pixels at ``density`` pixels per mm."""
        return round(self.width_mm * density), round(self.height_mm * density)


MOUTH = Kind("mouth", 72, 56, 16)
"""Origin: the middle of the closed lips."""
EYE = Kind("eye", 48, 40, 24)
"""Origin: between the corners; the left eye is mirrored and looks like a right one."""


@dataclass(frozen=True)
class View:
    """Where one patch lies: ``place`` (2, 3) leads from its pixels to those of the picture."""

    kind: Kind
    place: FloatArray
    size: tuple[int, int]

    def of(self, image: ImageArray) -> ImageArray:
        """Return the patch (h, w, 3) cut out of ``image`` (H, W, 3)."""
        return cv2.warpAffine(
            image, self.place, self.size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip

    def out_of(self, box: Box, part: Any, edge: int = cv2.BORDER_CONSTANT) -> Any:
        """Return the patch (h, w[, c]) of what lies over ``box`` of the picture only."""
        place = self.place.copy()
        place[:, 2] -= (box.x, box.y)
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(part, place, self.size, flags=how, borderMode=edge)

    def nodes(self) -> FloatArray:
        """Return where each pixel of the patch lies in the picture (h, w, 2)."""
        w, h = self.size
        x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
        flat = np.stack([x, y, np.ones_like(x)], -1) @ self.place.T
        return flat.astype(np.float32)

    def into(self, points: FloatArray) -> FloatArray:
        """Return ``points`` (k, 2) of the picture in pixels of the patch."""
        inverse = np.linalg.inv(self.place[:, :2])
        return ((points - self.place[:, 2]) @ inverse.T).astype(np.float32)


@dataclass(frozen=True)
class Drawn:
    """One patch as the warp draws it: ``picture`` (h, w, 3) uint8, ``cover`` (h, w) in [0, 1] what
    is not skin (the opening of lips or lids), ``shift`` (h, w, 2) mm by which the skin was moved,
    ``tongue`` (h, w) in [0, 1] where the raised tongue shows, None where it does not.
    """

    picture: ImageArray
    cover: FloatArray
    shift: FloatArray
    tongue: FloatArray | None = None


@dataclass(frozen=True)
class Sketch:
    """One portrait at the scale of its patches, ready to be drawn.

    ``scale`` leads from the picture's pixels to those of ``skin``, the picture without eyeballs and
    inside of the mouth. ``views``: mouth, right eye, left eye.
    """

    skin: ImageArray
    scale: float
    density: float
    mouth: Mouth
    eyes: tuple[Eye, Eye]
    views: tuple[View, ...]
    nodes: tuple[FloatArray, ...]
    rest: tuple[ImageArray, ...]

    def draw(self, mesh: Skin, moment: Moment) -> Iterator[Drawn]:
        """Yield each patch at ``moment``, in the order of ``views``; what is not asked for costs
        nothing.
        """
        points = moment.points * self.scale
        h, w = self.skin.shape[:2]
        inner = self._inside(points, moment.tongue)
        for view, nodes, overlay in zip(self.views, self.nodes, inner, strict=True):
            drawn = self._patch(view, nodes, overlay, mesh, moment.expression)
            if view.kind is MOUTH and moment.tongue > 0:
                box, shown = self.mouth.tongue_in_sight(points, moment.tongue, (w, h))
                drawn = replace(drawn, tongue=view.out_of(box, shown))
            yield drawn

    def _inside(
        self, points: FloatArray, tongue: float
    ) -> Iterator[tuple[Box, ImageArray, FloatArray]]:
        """Yield what lies in the openings of lips and lids, each drawn only when asked for."""
        yield self.mouth.draw(points, tongue, self.skin.shape[1::-1])
        for eye in self.eyes:
            yield eye.draw(points)

    def _patch(
        self,
        view: View,
        nodes: FloatArray,
        overlay: tuple[Box, ImageArray, FloatArray],
        mesh: Skin,
        expression: FloatArray,
    ) -> Drawn:
        """Return one patch: the skin moved by ``expression``, ``overlay`` over it."""
        at = (nodes / self.scale - (mesh.mesh.box.x, mesh.mesh.box.y)) / mesh.mesh.step
        shift = cv2.remap(
            expression, at.astype(np.float32), None, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )  # fmt: skip
        shift = shift * np.float32(self.scale)
        skin = cv2.remap(
            self.skin, nodes + shift, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        box, picture, cover = overlay
        inside, cover = view.out_of(box, picture, cv2.BORDER_REPLICATE), view.out_of(box, cover)
        drawn = cv2.blendLinear(inside, skin, cover, 1 - cover)
        return Drawn(drawn, cover, shift @ view.place[:, :2] / self.density)


def make_sketch(image: ImageArray, points: FloatArray, rest: FloatArray, density: float) -> Sketch:
    """Return the patches of ``image`` (h, w, 3) at ``density`` pixels per mm.

    ``points`` (478, 2+) are its landmarks, ``rest`` (478, 2) the same with the mouth closed.
    """
    scale = density / density_of(points)
    h, w = image.shape[:2]
    size = (max(2, round(w * scale)), max(2, round(h * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = image if abs(scale - 1) < 0.02 else cv2.resize(image, size, interpolation=how)
    scale = small.shape[1] / w
    points, rest = points[:, :2] * scale, rest * scale
    views = make_views(points, rest, density)
    return Sketch(
        skin=skin_only(small, points),
        scale=scale,
        density=density,
        mouth=make_mouth(small, points, rest),
        eyes=(
            make_eye(small, points, *RIGHT_LIDS, RIGHT_IRIS),
            make_eye(small, points, *LEFT_LIDS, LEFT_IRIS),
        ),
        views=views,
        nodes=tuple(view.nodes() for view in views),
        rest=tuple(view.of(small) for view in views),
    )


def make_views(points: FloatArray, rest: FloatArray, density: float) -> tuple[View, ...]:
    """Return where mouth, right eye and left eye lie; ``points`` and ``rest`` as in a sketch."""
    pupils = points[[RIGHT_IRIS[0], LEFT_IRIS[0]], :2]
    along = (pupils[1] - pupils[0]) / np.linalg.norm(pupils[1] - pupils[0])
    lips = rest[[13, 14]].mean(0)
    right, left = (points[[ring[0], ring[8]], :2].mean(0) for ring in (RIGHT_EYE, LEFT_EYE))
    exact = density_of(points) / density
    return (
        _view(MOUTH, lips, along, density, exact),
        _view(EYE, right, along, density, exact),
        _view(EYE, left, along, density, exact, mirrored=True),
    )


def _view(
    kind: Kind,
    origin: FloatArray,
    along: FloatArray,
    density: float,
    exact: float,
    *,
    mirrored: bool = False,
) -> View:
    """Return the patch of ``kind`` at ``origin`` (2,) whose rows run ``along`` (2,).

    ``exact`` is picture pixels per patch pixel, near 1.
    """
    w, h = kind.size(density)
    down = np.array([-along[1], along[0]])
    across = -along if mirrored else along
    corner = origin - across * exact * (w - 1) / 2 - down * exact * kind.above_mm * density
    place = np.stack([across * exact, down * exact, corner], axis=1)
    return View(kind, place.astype(np.float32), (w, h))
