"""What stands behind the person: the photograph's own background, or another one, or nothing.

A cut-out person is drawn (RGBA, colours without the light behind them) and laid over the backdrop,
which is made once per portrait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from visavis.errors import InputError
from visavis.media.image import read_image
from visavis.render.base import Renderer
from visavis.render.composite import over
from visavis.render.geometry import fill_outside
from visavis.render.mesh_warp import resized
from visavis.types import ImageArray, Motion, Portrait

Background = str | Path | ImageArray
"""``photo``, ``blur``, ``green``, ``transparent``, ``#RRGGBB``, a picture's path, or (h, w, 3)."""

WORDS = "photo, blur, green, transparent, #RRGGBB or a picture file"
GREEN = (0, 177, 64)
"""The green of studio walls."""
_BLUR = 0.03  # of the longer side
_BLUR_AT = 256  # px of the longer side: blurred pictures need no more
_NOBODY = 0.02  # mattes below this show nothing of the person


class Backdrop(Protocol):
    """Makes what is shown behind a portrait."""

    def __call__(self, portrait: Portrait) -> ImageArray:
        """Return a picture (h, w, 3) as large as that of ``portrait``."""
        ...


def backdrop_by(background: Background) -> Backdrop | None:
    """Return what makes the backdrop; None for ``photo`` and ``transparent``, which need none.

    Raises:
        InputError: not one of ``WORDS``; UnreadableMedia, if it is no picture, is among these.
    """
    if isinstance(background, np.ndarray):
        return _pictured(background)
    words = str(background)
    if words in ("photo", "transparent"):
        return None
    if words == "blur":
        return blurred
    if words == "green":
        return _plain(GREEN)
    if re.fullmatch("#[0-9a-fA-F]{6}", words):
        return _plain(tuple(bytes.fromhex(words[1:])))
    if not Path(words).suffix and not Path(words).exists():
        raise InputError(f"There is no background {words!r}. Give {WORDS}.")
    return _pictured(read_image(background))


def is_transparent(background: Background) -> bool:
    """Return whether frames get a fourth channel: the share of coverage."""
    return isinstance(background, str) and background == "transparent"


def is_photo(background: Background) -> bool:
    """Return whether the photograph keeps its own background."""
    return isinstance(background, str) and background == "photo"


def _plain(colour: tuple[int, ...]) -> Backdrop:
    """Return a backdrop of one RGB ``colour``."""

    def painted(portrait: Portrait) -> ImageArray:
        return np.full(portrait.image.shape, colour, np.uint8)

    return painted


def _pictured(picture: ImageArray) -> Backdrop:
    """Return ``picture`` (h, w, 3) as a backdrop: as large as it must be, cut evenly."""
    if picture.dtype != np.uint8 or picture.shape[2:] != (3,) or not picture.size:
        raise InputError(
            f"The background is an array of {picture.dtype} with shape {picture.shape}. "
            "Give (height, width, 3) RGB uint8."
        )

    def fitted(portrait: Portrait) -> ImageArray:
        h, w = portrait.image.shape[:2]
        rows, columns = picture.shape[:2]
        scale = max(h / rows, w / columns)
        size = (max(w, round(columns * scale)), max(h, round(rows * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        large = cv2.resize(picture, size, interpolation=how)
        top, left = (size[1] - h) // 2, (size[0] - w) // 2
        return np.ascontiguousarray(large[top : top + h, left : left + w])

    return fitted


def blurred(portrait: Portrait) -> ImageArray:
    """Return the background of ``portrait`` out of focus (h, w, 3), continued behind the person."""
    h, w = portrait.image.shape[:2]
    shrink = min(1.0, _BLUR_AT / max(h, w))
    size = (max(8, round(w * shrink)), max(8, round(h * shrink)))
    image = cv2.resize(portrait.image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    matte = cv2.resize(portrait.matte, size, interpolation=cv2.INTER_AREA)
    free = cv2.erode((matte < _NOBODY).astype(np.float32), np.ones((5, 5), np.uint8))
    filled = fill_outside(image, free if free.any() else np.ones_like(free))
    soft = cv2.GaussianBlur(filled, (0, 0), _BLUR * max(size), borderType=cv2.BORDER_REFLECT)
    large = cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.round(large), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Staged:
    """``inner`` draws the person cut out; ``backdrop`` (h, w, 3) stands behind."""

    inner: Any
    backdrop: ImageArray


class BackgroundRenderer:
    """A renderer that puts the cut-out person of another one before a backdrop."""

    def __init__(self, cutout: Renderer, backdrop: Backdrop) -> None:
        """Draw the person with ``cutout``, whose frames are RGBA."""
        self._cutout = cutout
        self._backdrop = backdrop

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Staged:
        """Return the appearance of ``portrait`` for frames of ``size`` (width, height) pixels."""
        portrait = resized(portrait, size)
        return Staged(self._cutout.prepare(portrait, size), self._backdrop(portrait))

    def draw(self, appearance: Staged, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3) RGB uint8 for the single motion frame in ``motion``."""
        person = self._cutout.draw(appearance.inner, motion)
        alpha = cv2.extractChannel(person, 3) * np.float32(1 / 255)
        return over(cv2.cvtColor(person, cv2.COLOR_RGBA2RGB), appearance.backdrop, alpha)

    def rough(self, appearance: Staged) -> Staged:
        """Return ``appearance`` to be drawn with the least work."""
        return replace(appearance, inner=self._cutout.rough(appearance.inner))
