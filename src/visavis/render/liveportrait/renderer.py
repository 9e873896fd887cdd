"""The neural renderer: a portrait drawn anew by LivePortrait's networks, put back where it was.

Motion with keypoints (Ditto, a driving video) is drawn as it is; other motion goes through a bridge
from ARKit coefficients, with the head turning about the neck as the mesh warp's does. Everything
here is NumPy; an ``Engine`` runs the networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from visavis.errors import ModelError
from visavis.faces.film import FilmPortrait, framed
from visavis.faces.framing import Region
from visavis.faces.implicit import POINTS, head_rotations, placed
from visavis.render.base import Instant
from visavis.render.liveportrait.bridge import Bridge
from visavis.render.liveportrait.clip import ClipLooks, clip_looks
from visavis.render.liveportrait.crop import cut_out, face_square, network_input
from visavis.render.liveportrait.driving import Driver
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.looks import Looks, looks_of
from visavis.render.liveportrait.paste import Paste, paste_at
from visavis.render.liveportrait.retarget import LIPS, exp_mask
from visavis.render.liveportrait.transfer import DrivingOptions
from visavis.render.mesh_warp import MeshWarpRenderer, resized
from visavis.types import FloatArray, ImageArray, Motion, Portrait


@dataclass(frozen=True, eq=False)
class StillLooks(Looks):
    """The person in a photograph: ``picture`` at its final size, ``paste`` where the crop goes,
    ``volume`` the engine's own.
    """

    picture: ImageArray
    paste: Paste
    volume: Any


class LivePortraitRenderer:
    """Draws portraits, still or moving, with LivePortrait's networks (render.base.Renderer)."""

    def __init__(
        self, engine: Engine, bridge: Bridge | None = None, *, stitching: bool = True
    ) -> None:
        """Run the networks by ``engine``.

        ``bridge`` draws motion that has no keypoints. ``stitching`` moves keypoints so that the
        shoulders fit; those of a driving video (``follower``) are final without.
        """
        self._engine = engine
        self._bridge = bridge
        self._stitching = stitching

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Looks:
        """Return the looks of ``portrait`` for pictures of ``size`` (width, height) pixels.

        Its ``sitter`` is what motion models ask for.
        """
        if isinstance(portrait, FilmPortrait):
            height, width = portrait.image.shape[:2]
            looks: Looks = clip_looks(
                self._engine, framed(portrait, Region(0, 0, width, height), size)
            )
        else:
            looks = self._still(portrait, size)
        return replace(looks, rest=looks.rest + self._relaxed(portrait))

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the picture (h, w, 3) RGB uint8 for the single motion frame in ``motion``.

        Raises:
            ModelError: the motion has no keypoints and there is no bridge.
        """
        return next(self.draw_many([appearance], motion))

    def draw_many(self, appearances: Sequence[Any], motion: Motion) -> Iterator[ImageArray]:
        """Yield the pictures for the frames of ``motion``, each of the appearance beside it.

        Frames of one photograph go to the engine together, which may work on several at once.

        Raises:
            ModelError: the motion has no keypoints and there is no bridge.
        """
        order = zip(range(len(motion)), appearances, strict=True)
        for _, group in groupby(order, key=lambda pair: id(pair[1])):
            (first, appearance), *others = group
            moments = motion[first : first + 1 + len(others)]
            if isinstance(appearance, Instant) and isinstance(appearance.appearance, ClipLooks):
                yield from self._clip(appearance.appearance, appearance.index, moments)
            else:
                yield from self._photograph(appearance, moments)

    def rough(self, appearance: Any) -> Any:
        """Return ``appearance``: these networks know no cheaper way to draw."""
        return appearance

    def follower(
        self, options: DrivingOptions | None = None
    ) -> tuple[Driver, LivePortraitRenderer]:
        """Return what makes motion of a driving video with these networks, and what draws it."""
        drawer = LivePortraitRenderer(self._engine, self._bridge, stitching=False)
        return Driver(self._engine, options), drawer

    def _still(self, portrait: Portrait, size: tuple[int, int]) -> StillLooks:
        """Return the looks of a photograph."""
        square = face_square(portrait.landmarks)
        seen = network_input(cut_out(portrait.image, square))
        looks = looks_of(self._engine.read(seen[None]), portrait.landmarks[None], [square])
        paste = paste_at(square, (portrait.image.shape[1], portrait.image.shape[0]), size)
        picture, volume = resized(portrait, size).image, self._engine.volume(seen)
        return StillLooks(**vars(looks), picture=picture, paste=paste, volume=volume)

    def _relaxed(self, portrait: Portrait) -> FloatArray:
        """Return what (21, 3) takes the photograph's expression to the one motion begins at.

        That is a relaxed face which keeps of the photograph's mood what the mesh warp keeps.
        """
        if self._bridge is None:
            return np.zeros((POINTS, 3), np.float32)
        face = MeshWarpRenderer().prepare_face(portrait)
        return self._bridge.expression((face.mood - face.rig.source_coefficients)[None])[0]

    def _photograph(self, looks: StillLooks, motion: Motion) -> Iterator[ImageArray]:
        """Yield the frames of a photograph under ``motion``."""
        source = looks.source.points
        points = self._stitched(source, self._points(looks, 0, motion))
        for crop in self._engine.draw(looks.volume, source[0], points):
            yield looks.paste.apply(looks.picture, crop)

    def _clip(self, looks: ClipLooks, index: int, motion: Motion) -> Iterator[ImageArray]:
        """Yield the frames of a clip at frame ``index``, one for each of ``motion``."""
        row = looks.sitter.row(index, motion.fps)
        film, square, shown = looks.film, looks.squares[row], int(looks.picks[row])
        frame, strength = film.picture(shown), float(film.strength[shown])
        if strength == 0:
            yield from [frame] * len(motion)
            return
        size = (frame.shape[1], frame.shape[0])
        paste = paste_at(square, size, size)
        if strength < 1:
            paste = replace(paste, mask=paste.mask * strength)
        volume = self._engine.volume(network_input(cut_out(frame, square)))
        source = looks.source[row : row + 1].points
        points = self._stitched(source, self._points(looks, row, motion))
        for crop in self._engine.draw(volume, source[0], points):
            yield paste.apply(frame, crop)

    def _stitched(self, source: FloatArray, points: FloatArray) -> FloatArray:
        """Return ``points`` (t, 21, 3) as they are drawn."""
        return self._engine.stitch(source, points) if self._stitching else points

    def _points(self, looks: Looks, row: int, motion: Motion) -> FloatArray:
        """Return where the points of picture ``row`` go (t, 21, 3) under ``motion``."""
        if motion.keypoints is not None:
            return motion.keypoints
        if self._bridge is None:
            raise ModelError(
                "This motion has no keypoints, and the neural renderer no bridge from ARKit "
                "coefficients. Fit one (render.liveportrait.bridge.fit_bridge) and give it."
            )
        expression = looks.rest + self._bridge.expression(motion.coefficients)
        if isinstance(looks, ClipLooks):
            return _dubbed(looks, row, expression)
        return _turned(looks, expression, motion)


def _dubbed(looks: ClipLooks, row: int, expression: FloatArray) -> FloatArray:
    """Return the points (t, 21, 3) of a clip's picture with ``expression`` (t, 21, 3) on its lips,
    or on all of its face if the clip asks for that.
    """
    own = looks.source[row : row + 1]
    mask = exp_mask(LIPS) if looks.film.redrive == "mouth" else np.ones((1, 1), np.float32)
    mixed = own.exp + mask * (expression - own.exp)
    return placed(own.kp, own.rotation, mixed, own.t, own.scale)


def _turned(looks: Looks, expression: FloatArray, motion: Motion) -> FloatArray:
    """Return the points (t, 21, 3) of a photograph with ``expression`` (t, 21, 3) and the head of
    ``motion``, which turns about the neck.
    """
    own, turn = looks.source, head_rotations(motion.rotation)
    pivot = np.append(looks.pivot[0], 0).astype(np.float32)
    start = own.t * np.array([1, 1, 0], np.float32) - pivot
    grown = motion.scale[:, None]
    shift = grown * (start[:, None] @ turn)[:, 0] + pivot
    shift[:, :2] += motion.translation * looks.unit[0]
    return placed(own.kp, own.rotation @ turn, expression, shift, own.scale * grown)
