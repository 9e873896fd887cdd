"""The visible badge: a few words on a dark plate in a corner of the picture.

The plate is rendered once for a size of picture; a frame costs one multiplication and one sum over
the pixels it covers. White on a plate of 70 % black reads on any background (at least 7:1 against
white behind it, WCAG 2.2's AAA).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from visavis.errors import InputError
from visavis.media.kinds import regular_file, shown
from visavis.provenance.policy import Policy
from visavis.types import MOTION_FPS, ImageArray

SHOWN_S = 5
"""How long the badge is seen each time, where it comes and goes."""

_PLATE = 0.70  # opacity
_TEXT_SHARE = 0.036  # of the shorter side
_WIDEST_SHARE = 0.62  # of the picture's width
_SMALLEST, _LARGEST = 7, 96  # pixels of text
_MARGIN_SHARE = 0.025
_FINER = 4  # the plate's round corners are drawn this much larger
_LONGEST = 60  # characters


@dataclass(frozen=True)
class Badge:
    """A badge for pictures of one size: ``keep`` and ``add`` (h, w, 3) uint16 at ``top``, ``left``.

    A pixel x becomes (x * keep + add) / 256. ``every``: frames between the beginnings of its
    showings, of ``SHOWN_S`` each; 0: it is always there.
    """

    keep: NDArray[np.uint16]
    add: NDArray[np.uint16]
    top: int
    left: int
    every: int = 0

    def is_shown(self, index: int) -> bool:
        """Tell whether frame ``index`` carries the badge."""
        return not self.every or index % self.every < SHOWN_S * MOTION_FPS

    def draw(self, image: ImageArray, index: int = 0) -> ImageArray:
        """Return ``image`` (h, w, 3) uint8 of the badge's size with the badge; a copy."""
        if not self.is_shown(index):
            return image
        rows, columns = self.keep.shape[:2]
        drawn = image.copy()
        part = drawn[self.top : self.top + rows, self.left : self.left + columns]
        part[...] = (part * self.keep + self.add) >> 8
        return drawn


def make_badge(size: tuple[int, int], policy: Policy) -> Badge:
    """Return the badge of ``policy`` for pictures of ``size`` (width, height).

    Raises:
        InputError: the text or the font cannot be used.
    """
    text = policy.badge_text.strip()
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise InputError(f"provenance: badge_text must have 1 to {_LONGEST} printable characters.")
    if policy.badge_every_s and policy.badge_every_s <= SHOWN_S:
        raise InputError(f"provenance: badge_every_s must be 0 or more than {SHOWN_S}.")
    plate, letters = _plate(text, size, policy.badge_font)
    keep = np.round(256 * (1 - np.maximum(plate * _PLATE, letters)))
    add = np.round(256 * 255 * letters)
    rows, columns = plate.shape
    top, left = _place(size, (columns, rows), policy.badge_corner)
    return Badge(_coloured(keep), _coloured(add), top, left, policy.badge_every_s * MOTION_FPS)


def _coloured(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Return ``values`` (h, w) for each of three colours."""
    return np.repeat(values.astype(np.uint16)[..., None], 3, axis=2)


def _place(size: tuple[int, int], plate: tuple[int, int], corner: str) -> tuple[int, int]:
    """Return the plate's top and left in a picture; sizes are (width, height)."""
    margin = round(min(size) * _MARGIN_SHARE)
    left = margin if corner.endswith("left") else size[0] - plate[0] - margin
    top = margin if corner.startswith("top") else size[1] - plate[1] - margin
    return max(top, 0), max(left, 0)


def _plate(
    text: str, size: tuple[int, int], font: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coverage in [0, 1] of the plate and of the letters on it, (h, w) each."""
    letters = _font(text, size, font)
    box = letters.getbbox(text)
    pixels = letters.size
    width = min(round(box[2] - box[0] + 1.1 * pixels), size[0])
    height = min(round(1.7 * pixels), size[1])
    fine = Image.new("L", (width * _FINER, height * _FINER))
    ends = (width * _FINER - 1, height * _FINER - 1)
    ImageDraw.Draw(fine).rounded_rectangle((0, 0, *ends), 0.42 * height * _FINER, fill=255)
    ink = Image.new("L", (width, height))
    ImageDraw.Draw(ink).text((width / 2, height / 2), text, 255, letters, anchor="mm")
    plate = fine.resize((width, height), Image.Resampling.BOX)
    return np.asarray(plate) / 255, np.asarray(ink) / 255


def _font(text: str, size: tuple[int, int], font: str) -> ImageFont.FreeTypeFont:
    """Return the font in which ``text`` fits a picture of ``size`` (width, height).

    Raises:
        InputError: the font cannot be read, or has no letters for the text.
    """
    pixels = min(max(round(min(size) * _TEXT_SHARE), 11), _LARGEST)
    chosen = _opened(font, pixels)
    while chosen.getlength(text) > size[0] * _WIDEST_SHARE and pixels > _SMALLEST:
        pixels -= 1
        chosen = _opened(font, pixels)
    if not font and not text.isascii():
        raise InputError(
            f"provenance: the badge's own font is for plain Latin letters, not for {text!r}. "
            "Set badge_font to a TrueType file."
        )
    return chosen


def _opened(font: str, pixels: int) -> ImageFont.FreeTypeFont:
    """Return ``font`` (a file, or "" for the one Pillow brings) at ``pixels``.

    Raises:
        InputError: it cannot be read.
    """
    if not font:
        own = ImageFont.load_default(pixels)
        assert isinstance(own, ImageFont.FreeTypeFont), type(own)
        return own
    place = regular_file(Path(font).expanduser(), "a TrueType or OpenType font")
    try:
        return ImageFont.truetype(str(place), pixels)
    except OSError as error:
        raise InputError(f"{shown(font)} is no TrueType or OpenType font.") from error
