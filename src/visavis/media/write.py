"""The result, in the kind that its name asks for; it appears whole or not at all.

=====================  ==============================================================
name                   what is written
=====================  ==============================================================
``.mp4 .mov .mkv``     H.264 (yuv420p, BT.709) + AAC
``.webm``              VP9 + Opus
``.gif``               animated GIF, no sound
``folder/``            PNG pictures ``folder/00000.png`` …, never over others
``folder/x%04d.png``   PNG pictures under names of your own, never over others
``.rgb`` or ``-``      raw RGB bytes, to a file or to standard output; no sound
=====================  ==============================================================

Pictures with a share of coverage (RGBA) go to ``.webm`` (VP9 with alpha), ``.mov`` (ProRes 4444),
``.gif`` (seen or not), PNG pictures, and ``-`` (raw RGBA bytes).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from av.error import FFmpegError

from visavis.errors import OutputError
from visavis.media.encode import ALPHA_RECIPES, RECIPES, Recipe, VideoEncoder, even
from visavis.media.frames import GifFrames, PngFrames, RawFrames
from visavis.media.kinds import shown
from visavis.media.place import (
    output_error,
    polite_endings,
    refuse_sources,
    whole_file,
    whole_folder,
)
from visavis.media.read import Trim, open_sounds
from visavis.types import ImageArray

ALPHA_KINDS = ".webm, .mov, .gif, a folder/ for PNG pictures, or - for raw RGBA bytes"
KINDS = ".mp4, .mov, .mkv, .webm, .gif, .rgb, a folder/ for PNG pictures, or - for raw RGB bytes"


class _Sink(Protocol):
    """Where pictures go."""

    def write(self, image: ImageArray) -> None:
        """Append one picture."""

    def finish(self) -> None:
        """Complete the result."""

    def abandon(self) -> None:
        """Let go of everything without completing the result."""


class FrameWriter:
    """What ``open_writer`` gives: takes the pictures of one result, one at a time.

    ``size`` (width, height) is what the result has: for videos, odd sizes grow by one pixel.
    """

    def __init__(
        self,
        path: str | Path,
        sink: _Sink,
        given: tuple[int, int],
        is_even: bool,
        has_alpha: bool = False,
    ) -> None:
        """Write pictures of ``given`` (width, height), RGBA if ``has_alpha``, to ``sink``."""
        self._path = path
        self._sink = sink
        self._given = given
        self._channels = 4 if has_alpha else 3
        self._is_even = is_even
        self.size = (given[0] + given[0] % 2, given[1] + given[1] % 2) if is_even else given
        self.frames = 0

    def tag(self, tags: Mapping[str, str]) -> None:
        """Put ``tags`` into a video's own metadata; before any picture. Other kinds have none."""
        if isinstance(self._sink, VideoEncoder):
            self._sink.tag(tags)

    def write(self, image: ImageArray) -> None:
        """Append ``image`` (h, w, 3 or 4) RGB or RGBA uint8, shown at ``frames / fps`` seconds.

        Raises:
            OutputError: it cannot be written (disk full, pipe closed).
        """
        due = (*self._given[::-1], self._channels)
        assert image.shape == due, (image.shape, due)
        try:
            self._sink.write(even(image) if self._is_even else image)
        except (FFmpegError, OSError) as error:
            raise output_error(self._path, error) from error
        self.frames += 1


def _kind(path: str | Path) -> str:
    """Return the suffix in ``RECIPES``, or ``.gif``, ``.rgb``, ``-``, ``folder`` or ``pattern``.

    Raises:
        OutputError: the name does not say what to write.
    """
    text = str(path)
    if text == "-":
        return "-"
    suffix = Path(path).suffix.lower()
    if text.endswith("/"):
        return "folder"
    if not suffix and os.path.isdir(path):  # noqa: PTH112 - never raises
        raise OutputError(
            f"{shown(path)} is a folder. Name a file in it, as {shown(path)}/out.mp4, "
            f"or end with / for PNG pictures."
        )
    if suffix == ".png":
        _check_pattern(path)
        return "pattern"
    if suffix in RECIPES or suffix in (".gif", ".rgb"):
        return suffix
    named = f"has the unknown ending {suffix!r}" if suffix else "has no ending"
    raise OutputError(f"{shown(path)} {named}. Use {KINDS}.")


def _check_pattern(path: str | Path) -> None:
    """Refuse PNG names that would put all pictures into one file."""
    name = Path(path).name
    try:
        differs = name % 1 != name % 2 and "/" not in name % 1
    except (TypeError, ValueError):
        differs = False
    if not differs:
        raise OutputError(
            f"{shown(path)} names one picture. Use a pattern such as frames/%05d.png, or {KINDS}."
        )


def check_alpha(path: str | Path, has_badge: bool = False) -> None:
    """Refuse a result that cannot be transparent.

    Raises:
        OutputError: what ``path`` names has no place for alpha, or a badge is asked for.
    """
    if has_badge:
        raise OutputError("A transparent video has no place for a badge. Leave one of them out.")
    kind = _kind(path)
    if kind == ".rgb" or (kind in RECIPES and kind not in ALPHA_RECIPES):
        raise OutputError(f"{shown(path)} cannot be transparent. Use {ALPHA_KINDS}.")


def _check_size(size: tuple[int, int], fps: Fraction) -> None:
    """Refuse sizes and rates that no encoder takes."""
    if not all(16 <= side <= 16_384 for side in size):
        raise OutputError(f"A video of {size[0]}x{size[1]} pixels cannot be made; use 16 to 16384.")
    if not 1 <= fps <= 1000:
        raise OutputError(f"A video of {float(fps):g} frames/s cannot be made; use 1 to 1000.")


@contextmanager
def open_writer(
    path: str | Path,
    size: tuple[int, int],
    fps: int | Fraction,
    sound: str | Path | None = None,
    trim: Trim | None = None,
    quality: int | None = None,
    has_alpha: bool = False,
    seal: Callable[[Path], None] | None = None,
) -> Iterator[FrameWriter]:
    """Open ``path`` for pictures of ``size`` (width, height); see the table above for kinds.

    The result appears when the ``with`` block ends without an exception; otherwise nothing is left.
    ``sound`` is heard from sample 0 (or the trim's start) at picture 0 to the end of the last
    picture, decoded at its own rate and channels (three or more become stereo). Equal pictures and
    sound give equal bytes; H.264 keeps this where the width is a multiple of 128 (elsewhere x264's
    vector code for its macroblock tree differs in a few bits from run to run).

    Args:
        path: what to write and where.
        size: width and height of every picture.
        fps: pictures per second.
        sound: a recording or video whose sound goes with the pictures.
        trim: the part of ``sound`` to use, (start, end) in seconds.
        quality: constant rate factor of the video encoder, lower is better.
        has_alpha: the pictures are RGBA, colours not multiplied by alpha.
        seal: called with the finished file, still under a hidden name, before it appears.

    Raises:
        OutputError: unknown kind, one without alpha, or the place cannot be written to.
        InputError: ``sound`` cannot be used.
    """
    fps = Fraction(fps)
    kind = _kind(path)
    if has_alpha:
        check_alpha(path)
    recipe = (ALPHA_RECIPES if has_alpha else RECIPES).get(kind)
    _check_size(size, fps)
    refuse_sources(path, sound)
    with ExitStack() as stack:
        sink = _open_sink(stack, path, kind, recipe, size, fps, quality, seal)
        if isinstance(sink, VideoEncoder) and sound is not None:
            opened = stack.enter_context(open_sounds(sound, trim, []))
            sink.add_sound(opened.sounds, opened.first)
        writer = FrameWriter(path, sink, size, recipe is not None, has_alpha)
        try:
            yield writer
            if not writer.frames:
                raise OutputError(f"{shown(path)} would hold no picture. Give a longer recording.")
            _finish(path, sink)
        except BaseException:
            with suppress(FFmpegError, OSError):
                sink.abandon()
            raise


def _finish(path: str | Path, sink: _Sink) -> None:
    """Complete the result at ``path``."""
    try:
        sink.finish()
    except (FFmpegError, OSError) as error:
        raise output_error(path, error) from error


def _open_sink(  # noqa: PLR0913 - one call
    stack: ExitStack,
    path: str | Path,
    kind: str,
    recipe: Recipe | None,
    size: tuple[int, int],
    fps: Fraction,
    quality: int | None,
    seal: Callable[[Path], None] | None,
) -> _Sink:
    """Open the sink of ``kind``; ``stack`` closes and places what it opens."""
    if kind == "-":
        if sys.stdout.isatty():
            raise OutputError("Raw pictures would fill this terminal. Send them on: … -o - | tool.")
        stack.enter_context(polite_endings())
        return RawFrames(sys.stdout.buffer)
    if kind == "folder":
        return PngFrames(stack.enter_context(whole_folder(path, "%05d.png")), "%05d.png")
    if kind == "pattern":
        name = Path(path).name
        return PngFrames(stack.enter_context(whole_folder(Path(path).parent, name)), name)
    file = stack.enter_context(whole_file(path))
    if seal is not None:
        stack.push(lambda kind, *_: seal(file) if kind is None else None)
    try:
        if kind == ".rgb":
            return RawFrames(stack.enter_context(file.open("wb")))
        if recipe is None:
            return GifFrames(file, size, fps)
        even_size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        return VideoEncoder(file, recipe, even_size, fps, quality)
    except FFmpegError as error:
        raise output_error(path, error) from error
