"""What is made of a portrait, once: what the denoiser looks up, what the decoder moves.

The portrait is looked up as a square of head and shoulders, as in training. LLIA's control of the
expression is here, too: the portrait is drawn anew by the mesh warp with the expression wanted, and
the denoiser looks that up instead. What the decoder moves stays the photograph, so that nothing
jumps when the wish changes: latents are shifted from one portrait's changes to the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.faces.film import FilmPortrait
from visavis.faces.framing import Region, cut, head_and_shoulders
from visavis.render.mesh_warp import Appearance, MeshWarpRenderer, expression_points, resized
from visavis.render.quality import DEFAULT_QUALITY, touch_for
from visavis.types import FloatArray, ImageArray, Motion, Portrait
from visavis.video.canvas import Canvas, canvas_of
from visavis.video.expressions import LEVELS, expression
from visavis.video.face_map import face_map
from visavis.video.places import FACE, boxes_of, coverage
from visavis.video.settings import LatentSettings

MARGIN = 0.1
"""By how much the place of the face is widened, in shares of the side: heads move."""
WHOLE = 0.97
"""A square that is this share of a square portrait, or more, is taken for all of it."""


class Net(Protocol):
    """What a network looks like: nn.session.Network, or anything with its call."""

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run it."""
        ...


@dataclass(frozen=True, eq=False)
class Reference:
    """A portrait as the denoiser looks it up, edited ``level`` strong to show ``emotion``.

    ``shift`` (c, h, w) is its change from the photograph's latents; ``known`` what the denoiser's
    file takes besides the clip, by name.
    """

    emotion: str
    level: int
    shift: FloatArray
    known: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class LatentLooks:
    """A portrait made ready.

    ``guide`` is what the decoder's file takes besides the changes, by name; ``face`` (1, 1, h, w)
    where the face is; ``reference`` the photograph looked up as it is; ``actor`` draws it with
    other expressions; ``canvas`` is where drawn squares go.
    """

    guide: Mapping[str, FloatArray]
    face: FloatArray
    reference: Reference
    actor: Appearance
    canvas: Canvas


class Studio:
    """Makes portraits ready. Holds weights, never a conversation."""

    def __init__(self, networks: Mapping[str, Net], settings: LatentSettings) -> None:
        """Use the networks "guide" and "reference"."""
        self._networks = networks
        self._settings = settings
        self._ratio = np.array(settings.ratio, np.float32)[:, None, None]
        self._editor = MeshWarpRenderer(touch=touch_for(DEFAULT_QUALITY))

    def looks(self, portrait: Portrait, size: tuple[int, int]) -> LatentLooks:
        """Return ``portrait`` ready to be drawn in pictures of ``size`` (width, height) px.

        Raises:
            InputError: it is a clip.
        """
        if isinstance(portrait, FilmPortrait):
            raise InputError(
                "Latent models move photographs, not clips. Give a photograph, or leave the model "
                "out."
            )
        side, region = self._settings.side, square(portrait)
        seen = resized(cut(portrait, region), (side, side))
        guide = self._guide(seen.image, seen.landmarks)
        latents = guide["latents"]
        box = boxes_of(seen.landmarks[None], side)[0, FACE]
        box = box + np.array([-MARGIN, -MARGIN, MARGIN, MARGIN], np.float32)
        return LatentLooks(
            guide=guide,
            face=coverage(box, self._settings.cells)[None, None],
            reference=self._reference("neutral", 0, latents, latents),
            actor=self._editor.prepare(seen, (side, side)),
            canvas=canvas_of(portrait, region, seen.image, size),
        )

    def reference(self, looks: LatentLooks, emotion: str, level: int) -> Reference:
        """Return the portrait edited to show ``emotion`` as strongly as ``level``, 0..LEVELS."""
        if level == 0:
            return looks.reference
        edited, points = self.edited(looks, emotion, level)
        latents = self._guide(edited, points)["latents"]
        return self._reference(emotion, level, latents, looks.guide["latents"])

    def _guide(self, image: ImageArray, points: FloatArray) -> dict[str, FloatArray]:
        """Return what the decoder's file takes of ``image`` (s, s, 3) with landmarks ``points``."""
        side = len(image)
        seen = {
            "picture": as_input(image),
            "face": face_map(points[:, :2] / np.float32(side), side // 2)[None],
        }
        latents, fine, middle = self._networks["guide"](seen)
        return {"latents": latents, "fine": fine, "middle": middle, "picture": seen["picture"]}

    def edited(self, looks: LatentLooks, emotion: str, level: int) -> tuple[ImageArray, FloatArray]:
        """Return the picture (side, side, 3) of the portrait showing ``emotion``, and its landmarks
        (478, 2) px.
        """
        share, actor = level / LEVELS, looks.actor
        own = actor.rig.source_coefficients - actor.mood
        asked = (1.0 - share) * own + share * expression(emotion)
        motion = replace(Motion.rest(1), coefficients=asked[None].astype(np.float32))
        return self._editor.draw(actor, motion), expression_points(actor.rig, asked + actor.mood)

    def _reference(
        self, emotion: str, level: int, latents: FloatArray, own: FloatArray
    ) -> Reference:
        """Return what is looked up of a portrait with ``latents`` (1, c, h, w)."""
        names = self._names
        found = self._networks["reference"]({"portrait": latents})
        known = dict(zip(names, found, strict=True))
        return Reference(emotion, level, (latents - own)[0] * self._ratio, known)

    @property
    def _names(self) -> tuple[str, ...]:
        """The names of what the reference network gives."""
        network: Any = self._networks["reference"]
        return tuple(network.outputs)


def square(portrait: Portrait) -> Region:
    """Return the square of ``portrait`` that is drawn: all of it if that is hardly more."""
    region = head_and_shoulders(portrait)
    height, width = portrait.image.shape[:2]
    if width == height and region.width >= WHOLE * width:
        return Region(0, 0, width, height)
    return region


def as_input(picture: ImageArray) -> FloatArray:
    """Return ``picture`` (h, w, 3) as networks take it: (1, 3, h, w) in [-1, 1]."""
    rows = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    return rows / np.float32(127.5) - np.float32(1)
