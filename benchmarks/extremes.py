"""Well-formed pictures and sounds at the edge of what exists, and headers that lie.

``extreme_pictures`` and ``extreme_sounds`` take intact files by suffix and yield (name, bytes).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms


def extreme_pictures(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield pictures of every mode and size, and headers of impossible ones."""
    yield from _modes(good["jpg"])
    yield from _sizes()
    yield from _headers(good)


def extreme_sounds(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield sounds, mostly WAV files with headers written by hand."""
    yield from _waves()
    yield from _lengths(good)


def _stored(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return ``image`` as the bytes of a file of ``kind``."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _modes(good: bytes) -> Iterator[tuple[str, bytes]]:
    """The portrait in every mode that a file can have."""
    face = Image.open(io.BytesIO(good))
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "LAB", "YCbCr"):
        yield f"{mode} tiff", _stored(face.convert(mode), "TIFF")
    grey = np.asarray(face.convert("L"))
    for kind in ("PNG", "TIFF"):
        yield f"grey16 {kind}", _stored(Image.fromarray(grey.astype(np.uint16) * 257), kind)
    for top in (1.0, 255.0, 1e30, np.nan):
        values = grey.astype(np.float32) / 255 * np.float32(top)
        yield f"float to {top} tiff", _stored(Image.fromarray(values), "TIFF")
    yield "cmyk jpg", _stored(face.convert("CMYK"), "JPEG")
    yield "palette png", _stored(face.convert("P"), "PNG", transparency=3)
    yield "clear png", _stored(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in (("noise", b"\x07" * 999), ("lab", lab), ("cut", lab[:200])):
        yield f"profile {name} jpg", _stored(face, "JPEG", icc_profile=profile)
    for orientation in (0, 3, 6, 9, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation {orientation} jpg", _stored(face, "JPEG", exif=exif)
    yield "broken exif jpg", _stored(face, "JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 90)
    animation = [face.rotate(n) for n in range(20)]
    for kind in ("GIF", "WEBP", "PNG"):
        yield f"moving {kind}", _stored(face, kind, save_all=True, append_images=animation)


def _sizes() -> Iterator[tuple[str, bytes]]:
    """From a single pixel to beyond the limit."""
    for width, height in (
        (1, 1), (2, 2), (199, 199), (200, 200), (1, 10_000), (20_000, 200), (200, 65_000),
        (7_140, 7_140), (7_200, 7_200), (20_000, 20_000), (30_000, 30_000),
    ):  # fmt: skip
        yield f"{width}x{height} png", _plain_png(width, height)


def _plain_png(width: int, height: int) -> bytes:
    """Return a white bilevel PNG, written by hand since large ones take long otherwise."""
    packed = zlib.compressobj(1)
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    data = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, part) for name, part in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _headers(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Headers that promise huge, empty or contradictory pictures."""
    start, rest = b"\x89PNG\r\n\x1a\n", good["png"][33:]
    for width, height in ((0, 0), (65_535, 65_535), (2**31 - 1, 2**31 - 1), (400, 2**31)):
        head = struct.pack(">IIBBBBB", width, height & 0xFFFFFFFF, 8, 2, 0, 0, 0)
        yield f"header {width}x{height} png", start + _chunk(b"IHDR", head) + rest
    bomb = zlib.compress(bytes(200_000_000), 9)
    head = good["png"][8:33]
    yield "text bomb png", start + head + _chunk(b"zTXt", b"a\0\0" + bomb) + rest
    yield "profile bomb png", start + head + _chunk(b"iCCP", b"a\0\0" + bomb) + rest
    for width, height in ((2**31 - 1, 2**31 - 1), (-400, -400), (0, 9), (400, -400)):
        size = struct.pack("<ii", width, height)
        yield f"header {width}x{height} bmp", good["bmp"][:18] + size + bytes(500_000)
    yield "header gif", b"GIF89a" + b"\xff" * 8 + good["gif"][14:]
    loop = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 1)
    loop += struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    yield "looping tiff", loop
    jpeg = bytearray(good["jpg"])
    frame = jpeg.index(b"\xff\xc0")
    for name, size in (("huge", b"\xff\xff\xff\xff"), ("flat", b"\0\0\x01\x90")):
        jpeg[frame + 5 : frame + 9] = size
        yield f"{name} header jpg", bytes(jpeg)


def _wave(
    data: bytes, *, code: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16,
    block: int | None = None, length: int | None = None,
) -> bytes:  # fmt: skip
    """Return a WAV file around ``data`` whose header says what is asked."""
    block = max(channels * bits // 8, 0) if block is None else block
    form = struct.pack(
        "<HHIIHH",
        code,
        channels,
        rate & 0xFFFFFFFF,
        rate * block & 0xFFFFFFFF,
        block & 0xFFFF,
        bits,
    )
    length = len(data) if length is None else length
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", min(len(body), 0xFFFFFFFF)) + body


def _waves() -> Iterator[tuple[str, bytes]]:
    """Sample values, rates, widths and channel counts at and beyond the edge."""
    noise = np.random.default_rng(5).integers(-9_000, 9_000, 8_000, np.int16).tobytes()
    for channels in (0, 2, 3, 8, 16, 64, 255, 65_535):
        yield f"{channels} channels", _wave(noise * 4, channels=channels)
    for rate in (0, 1, 7, 100, 1_999, 2_000, 8_000, 192_000, 384_000, 10**6, 2**31 - 1, 2**32 - 1):
        yield f"{rate} Hz", _wave(noise * 4, rate=rate)
    for bits in (0, 1, 4, 8, 12, 20, 24, 32, 33, 64, 255, 65_535):
        yield f"{bits} bits", _wave(noise, bits=bits)
    for code in (0, 2, 3, 6, 7, 0x11, 0x55, 0xFF, 0x161, 0xFFFE, 0xFFFF):
        yield f"code {code:x}", _wave(noise, code=code)
    for block in (0, 1, 3, 65_535):
        yield f"block {block}", _wave(noise, block=block)
    for value in (np.nan, np.inf, -np.inf, 3e38, 1e-42, 0.0, 1.0):
        flat = np.full(6_000, value, np.float32)
        yield f"all {value}", _wave(flat.tobytes(), code=3, bits=32)
    double = np.random.default_rng(6).standard_normal(6_000) * 1e300
    yield "huge doubles", _wave(double.tobytes(), code=3, bits=64)
    square = np.where(np.arange(8_000) % 40 < 20, 32_767, -32_768).astype(np.int16)
    yield "full-scale square", _wave(square.tobytes())


def _lengths(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Sounds that are shorter or longer than they say, and files without any."""
    noise = np.random.default_rng(8).integers(-9_000, 9_000, 6_400, np.int16).tobytes()
    for samples in (0, 1, 2, 10, 160, 639, 640, 641):
        yield f"{samples} samples", _wave(noise[: samples * 2])
    for length in (0, 1, 2**31, 2**32 - 1):
        yield f"says {length} bytes", _wave(noise, length=length)
    yield "odd byte", _wave(noise[:-1])
    yield "header only", _wave(b"")[:40]
    yield "no data chunk", _wave(noise)[:36]
    yield "riff in riff", _wave(_wave(noise))
    yield "no moov mp4", good["mp4"].replace(b"moov", b"free")
    yield "index only ogg", good["opus"][:100]
    yield "flac header", good["flac"][:42]
    yield "huge box mp4", b"\0\0\0\x18ftypisom" + bytes(12) + b"\xff\xff\xff\xffmoov" + bytes(99)
    yield "id3 of 256 MB", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + good["mp3"]
