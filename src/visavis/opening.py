"""What is to be animated, opened: a photograph or clip, checked, and the part of it to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.errors import InputError, check_whole
from visavis.faces.film import FilmPortrait, asked, check_words, framed
from visavis.faces.framing import Region, cut, fitted, head_and_shoulders
from visavis.faces.portrait import make_portrait
from visavis.faces.watch import read_film
from visavis.hub import ASSETS
from visavis.media.given import Sound, seconds_of
from visavis.media.image import read_image
from visavis.media.kinds import is_video
from visavis.media.read import Trim
from visavis.render.background import Background, is_photo
from visavis.render.renderers import clip_refused
from visavis.types import ImageArray, Portrait

DEMO_PORTRAIT = ASSETS / "demo_portrait.webp"
DEMO_SPEECH = ASSETS / "demo_speech.flac"

CROP_SIZE = 512
"""Side in pixels of a head-and-shoulders picture unless ``size`` says otherwise."""
LONGEST = 1920
"""Longest side of a whole photograph unless ``size`` says otherwise."""

Picture = str | Path | ImageArray | Portrait


def open_portrait(
    picture: Picture,
    face: int | None = None,
    loop: str | None = None,
    redrive: str | None = None,
    needed_s: float | None = None,
) -> Portrait:
    """Return the checked portrait in ``picture``: a path, an (h, w, 3) RGB uint8 array.

    A video becomes a portrait that keeps its own head motion, eyes and background and is given new
    words. ``face`` chooses one of several, counted from 1, left to right; by default the best.
    ``loop`` is what a clip does when it is over: "pingpong", "repeat" or "hold"; ``redrive`` what
    of it is moved anew: the "mouth" or the "face", brows and cheeks too (by default the first of
    these, and what a clip already opened was opened with); ``needed_s`` how many seconds will be
    shown, so that a long clip is not read to its end.

    Raises:
        UnreadableMedia: not a picture or video.
        NoFaceFound: it shows no face that can be animated.
        InputError: there is no such ``loop`` or ``redrive``, or no face with that number.
    """
    check_words(loop, redrive)
    if isinstance(picture, FilmPortrait):
        return asked(picture, loop, redrive)
    if isinstance(picture, Portrait):
        return picture
    if not isinstance(picture, np.ndarray):
        if is_video(picture):
            return asked(read_film(picture, face, needed_s), loop, redrive)
        return make_portrait(read_image(picture), face)
    if picture.dtype != np.uint8 or picture.shape[2:] != (3,) or not picture.size:
        raise InputError(
            f"The portrait is an array of {picture.dtype} with shape {picture.shape}. "
            "Give (height, width, 3) RGB uint8."
        )
    return make_portrait(picture, face)


def opened(
    picture: Picture,
    face: int | None,
    loop: str | None,
    redrive: str | None,
    background: Background,
    shown: tuple[Sound | None, Trim | None] = (None, None),
) -> Portrait:
    """Return ``open_portrait``, and refuse another ``background`` for a clip.

    ``shown`` is the sound that decides how much of a clip is shown.
    """
    is_path = isinstance(picture, (str, Path))
    is_clip = isinstance(picture, FilmPortrait) or (is_path and is_video(str(picture)))
    if is_clip and not is_photo(background):
        raise clip_refused()
    needed_s = seconds_of(*shown) if is_clip else None
    return open_portrait(picture, face, loop, redrive, needed_s)


def framed_to(
    portrait: Portrait, size: int | None, crop: bool | None
) -> tuple[Portrait, tuple[int, int]]:
    """Return the part of ``portrait`` to show and its (width, height) in pixels."""
    if size is not None:
        check_size(size)
    film = portrait if isinstance(portrait, FilmPortrait) else None
    height, width = portrait.image.shape[:2]
    region, shape = Region(0, 0, width, height), fitted(width, height, size or LONGEST)
    if crop or (crop is None and film is None):
        region, shape = head_and_shoulders(portrait), (size or CROP_SIZE, size or CROP_SIZE)
    return cut(portrait, region) if film is None else framed(film, region, shape), shape


def check_size(size: int) -> None:
    """Refuse anything but an even number from 64 to 4096."""
    check_whole("size", size, 64, 4096)
    if size % 2:
        raise InputError(f"size {size} is odd; video needs even sides. Use {size + 1}.")
