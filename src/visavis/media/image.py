"""Pictures in and out: any common kind becomes upright RGB uint8 in sRGB.

Orientation tags are applied, transparency lies on light grey, embedded colour profiles (ICC) are
converted to sRGB, 16-bit and floating-point values are scaled to 8 bits, animations give their
first picture.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from visavis.errors import InputError, OutputError, UnreadableMedia
from visavis.media.kinds import kind_of, regular_file, shown
from visavis.media.place import whole_file
from visavis.types import ImageArray

MIN_SIDE = 200
"""Fewest pixels on the smaller side of a portrait."""

MAX_PIXELS = 51_000_000
"""Most pixels of a picture ("50 megapixel" cameras make a little more); JPEG may have more."""

MAX_BYTES = 512 * 2**20
"""Largest picture file."""

PICTURES = "a JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF picture"

_FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM"]
_BACKGROUND = (224, 224, 224)
_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError,
    RuntimeError, AttributeError, struct.error, zlib.error,
)  # fmt: skip  # what Pillow and its plugins raise on damaged files


def read_image(source: str | Path | bytes, min_side: int = MIN_SIDE) -> ImageArray:
    """Return the picture in ``source`` as (h, w, 3) RGB uint8, upright, sRGB.

    Args:
        source: a file, or the bytes of one.
        min_side: fewest pixels accepted on the smaller side.

    Raises:
        UnreadableMedia: missing, of another kind, or damaged.
        InputError: too small or too large.
    """
    name, data = _bytes_of(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # oddities of the file that Pillow survives
        image = _opened(name, data)
        _check_size(name, image, min_side)
        try:
            return np.array(_to_srgb(_upright(image)))
        except MemoryError as error:
            raise _too_large(name, image.size) from error
        except _BROKEN as error:
            raise UnreadableMedia(
                f"{name} is a damaged or cut off {image.format} picture. "
                f"Save it again or give another: {PICTURES}."
            ) from error


def _bytes_of(source: str | Path | bytes) -> tuple[str, bytes]:
    """Return a name for messages and the contents of ``source``."""
    if isinstance(source, bytes):
        return "The picture", source
    place = regular_file(source, PICTURES)
    size = place.stat().st_size
    if size > MAX_BYTES:
        raise InputError(
            f"{shown(source)} has {size >> 20} MB; a picture may have {MAX_BYTES >> 20}. "
            f"Give {PICTURES}."
        )
    try:
        return shown(source), place.read_bytes()
    except OSError as error:
        raise UnreadableMedia(f"{shown(source)} cannot be read ({error.strerror}).") from error


def _opened(name: str, data: bytes) -> Image.Image:
    """Return the picture whose header was read; nothing is decoded yet."""
    kind = kind_of(data[:512])
    formats = _FORMATS
    if kind == "a HEIC picture":
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats = ["HEIF"]
    Image.init()
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise _too_large(name, None) from error
    except (UnidentifiedImageError, *_BROKEN) as error:
        damaged = " and damaged" if kind.endswith("picture") else ""
        raise UnreadableMedia(
            f"{name} cannot be read (it seems to be {kind}{damaged}). Give {PICTURES}."
        ) from error


def _too_large(name: str, size: tuple[int, int] | None) -> InputError:
    """Return the error for a picture of too many pixels."""
    pixels = f"{size[0]}x{size[1]} pixels" if size else "too many pixels"
    return InputError(
        f"{name} has {pixels}; up to {MAX_PIXELS // 1_000_000} megapixels are read. Scale it down."
    )


def _check_size(name: str, image: Image.Image, min_side: int) -> None:
    """Refuse pictures that are too small or too large; let large JPEGs decode at a fraction."""
    width, height = image.size
    if min(width, height) < min_side:
        raise InputError(
            f"{name} has {width}x{height} pixels; the smaller side needs at least {min_side}. "
            "Give a larger picture."
        )
    if width * height <= MAX_PIXELS:
        return
    scale = next((s for s in (2, 4, 8) if width * height <= MAX_PIXELS * s * s), 8)
    image.draft(image.mode, (width // scale, height // scale))
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name, (width, height))


def _upright(image: Image.Image) -> Image.Image:
    """Return ``image`` turned as its orientation tag says; a broken tag is ignored."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except _BROKEN:
        return image


def _to_srgb(image: Image.Image) -> Image.Image:
    """Return ``image`` of any mode as opaque RGB in sRGB."""
    profile = image.info.get("icc_profile")
    colours, alpha = _parts(image)
    rgb = _through_profile(colours, profile).convert("RGB")
    if alpha is None:
        return rgb
    return Image.composite(rgb, Image.new("RGB", rgb.size, _BACKGROUND), alpha)


def _parts(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split ``image`` into its colours (L, RGB, CMYK or LAB) and its transparency, if any."""
    if image.mode[0] in "IF":
        return _scaled(image), None
    if image.mode in ("L", "RGB", "CMYK", "LAB") and not image.has_transparency_data:
        return image, None
    if image.mode == "1":
        return image.convert("L"), None
    if not image.has_transparency_data:
        return image.convert("RGB"), None
    full = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
    return full.convert(full.mode[:-1]), full.getchannel("A")


def _scaled(image: Image.Image) -> Image.Image:
    """Return a picture of large integers or floating-point values (modes I, I;16, F) as L."""
    values = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max())
    if image.mode.startswith("I;16"):
        white = 65_535.0
    else:
        white = next((w for w in (1.0, 255.0, 65_535.0) if top <= w), top)
    if image.mode == "I" and top <= 1.0:
        white = 255.0
    return Image.fromarray(np.clip(values * (255.0 / white) + 0.5, 0, 255).astype(np.uint8))


def _through_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return ``image`` as sRGB if ``profile`` fits it; an unusable profile is ignored."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, *_BROKEN):
        return image
    return converted if converted is not None else image


def write_image(path: str | Path, image: ImageArray) -> None:
    """Write ``image`` (h, w, 3) RGB uint8 as PNG, JPEG or WebP; it appears whole or not at all.

    Raises:
        OutputError: another kind, or the place cannot be written to.
    """
    kind = _SUFFIXES.get(Path(path).suffix.lower())
    if kind is None:
        raise OutputError(f"{shown(path)} has an unknown ending. Use {', '.join(_SUFFIXES)}.")
    with whole_file(path) as file:
        Image.fromarray(image).save(file, kind, quality=95)
