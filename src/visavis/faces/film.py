"""A portrait that moves: the pictures of a clip, and where the face is in each.

Pictures are held as JPEG (quality 95, no chroma subsampling: 48 to 51 dB), each decoded when it is
drawn, so that a minute of video needs little memory. ``faces/watch.py`` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.faces.framing import Region
from visavis.types import FloatArray, ImageArray, Portrait

LOOPS = ("pingpong", "repeat", "hold")
"""What a clip does at its end: turn back, begin again, or stand still on its last picture."""
REDRIVES = ("mouth", "face")
"""What is moved anew: the mouth, or brows and cheeks as well, on top of the clip's own."""
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]


@dataclass(frozen=True, eq=False)
class Film:
    """The pictures of one clip at ``rate`` per second.

    ``pictures`` (t) JPEG files, ``points`` (t, 478, 3) px as in ``Portrait``, ``strength`` (t,) 0
    where the face is not in sight, 1 where it is, ``shots`` (t,) which shot each belongs to.
    ``keys`` are frames with closed lips in different poses, the portrait's own first; ``loop`` is
    one of ``LOOPS``, ``redrive`` one of ``REDRIVES``.
    """

    pictures: tuple[NDArray[np.uint8], ...]
    rate: Fraction
    points: FloatArray
    strength: FloatArray
    shots: NDArray[np.int64]
    keys: tuple[int, ...]
    loop: str = "pingpong"
    redrive: str = "mouth"

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    def at(self, index: int, fps: int) -> int:
        """Return which picture is shown as frame ``index`` of a video with ``fps``."""
        place, last = round(index * self.rate / fps), len(self) - 1
        if self.loop == "hold":
            return min(place, last)
        if self.loop == "repeat":
            return place % len(self)
        turned = place % max(1, 2 * last)
        return min(turned, 2 * last - turned)

    def picture(self, index: int) -> ImageArray:
        """Return picture ``index`` (h, w, 3) RGB uint8."""
        bgr = cv2.imdecode(self.pictures[index], cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True)
class FilmPortrait(Portrait):
    """A portrait that is one frame, ``film.keys[0]``, of a clip."""

    film: Film = field(kw_only=True)


def check_words(loop: str | None, redrive: str | None) -> None:
    """Refuse a ``loop`` that is none of ``LOOPS``, a ``redrive`` that is none of ``REDRIVES``.

    Raises:
        InputError: another word; None is none.
    """
    for name, word, known in (("loop", loop, LOOPS), ("redrive", redrive, REDRIVES)):
        if word is not None and word not in known:
            raise InputError(f"{name} {word!r} is not known. Give one of {', '.join(known)}.")


def asked(portrait: FilmPortrait, loop: str | None, redrive: str | None) -> FilmPortrait:
    """Return ``portrait`` with another ``loop`` and ``redrive``; None: as it is.

    Raises:
        InputError: another word than those of ``LOOPS`` and ``REDRIVES``.
    """
    check_words(loop, redrive)
    film = portrait.film
    film = replace(film, loop=loop or film.loop, redrive=redrive or film.redrive)
    return replace(portrait, film=film)


def framed(portrait: FilmPortrait, region: Region, size: tuple[int, int]) -> FilmPortrait:
    """Return the part of ``portrait`` in ``region`` at ``size`` (width, height), every picture."""
    h, w = portrait.image.shape[:2]
    if (w, h) == size == (region.width, region.height):
        return portrait
    film = portrait.film
    factor = np.array([size[0] / region.width, size[1] / region.height, 0], np.float32)
    factor[2] = factor[0]
    shift = np.array([region.left, region.top, 0], np.float32)

    def part(image: Any) -> Any:
        how = cv2.INTER_AREA if size[0] < region.width else cv2.INTER_CUBIC
        return cv2.resize(np.ascontiguousarray(image[region.slices]), size, interpolation=how)

    pictures = tuple(packed(part(film.picture(i))) for i in range(len(film)))
    return replace(
        portrait,
        image=part(portrait.image),
        landmarks=(portrait.landmarks - shift) * factor,
        matte=np.clip(part(portrait.matte), 0, 1),
        head_matte=np.clip(part(portrait.head_matte), 0, 1),
        film=replace(film, pictures=pictures, points=(film.points - shift) * factor),
    )


def packed(image: ImageArray) -> NDArray[np.uint8]:
    """Return ``image`` (h, w, 3) RGB as a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY)
    return np.asarray(data, np.uint8).ravel()
