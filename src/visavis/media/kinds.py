"""What a file given by the user seems to be, told from its first bytes and never from its name.

``regular_file`` is the gate that every path named by the user passes before it is opened: pipes,
devices, folders and empty files stop here, so that ``/dev/zero`` cannot hang a reader.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from visavis.errors import UnreadableMedia

_HEAD_BYTES = 512
_ADDRESS = re.compile(r"(https?|ftp|rtsp|rtmp|tcp|udp|s3|file):/", re.IGNORECASE)

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\x00", "a TIFF picture"),
    (0, b"MM\x00*", "a TIFF picture"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a WAV recording"),
    (8, b"AVI ", "an AVI video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"\xff\xfb", "an MP3 recording"),
    (0, b"fLaC", "a FLAC recording"),
    (0, b"OggS", "an Ogg recording"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"PK\x03\x04", "a zip archive or office document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"ffconcat", "a playlist"),
    (0, b"<?xml", "an XML document"),
)

_ISO_PICTURES = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ISO_SOUNDS = {b"M4A ", b"M4B "}


def _iso_kind(brand: bytes) -> str:
    """Return the kind of an ISO base media file from its four-byte major brand."""
    if brand in _ISO_PICTURES:
        return "a HEIC picture"
    if brand in (b"avif", b"avis"):
        return "an AVIF picture"
    return "an M4A recording" if brand in _ISO_SOUNDS else "an MP4 or QuickTime video"


def _is_text(head: bytes) -> bool:
    """Tell whether ``head`` reads as UTF-8 text without control characters."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else "\0"
    return bool(text) and all(c.isprintable() or c in "\t\r\n\f" for c in text)


def kind_of(head: bytes) -> str:
    """Return what a file that begins with ``head`` seems to be, such as ``"a PNG picture"``."""
    if head[4:8] == b"ftyp":
        return _iso_kind(head[8:12])
    for offset, signature, name in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return name
    if not head.strip(b"\0"):
        return "empty"
    if not _is_text(head):
        return "of an unknown kind"
    return "a web page" if b"<html" in head.lower() or b"<!doctype" in head.lower() else "text"


def is_video(path: str | Path) -> bool:
    """Tell whether the file ``path`` begins as a video does; what cannot be read is none."""
    try:
        place = regular_file(path, "a video")
        return kind_of(head_of(place)).endswith(" video")
    except (UnreadableMedia, OSError):
        return False


def head_of(path: Path) -> bytes:
    """Return the first bytes of ``path``."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def shown(path: Path | str) -> str:
    """Return ``path`` for a one-line message: printable, quoted when odd, at most 80 characters."""
    text = os.fspath(path)
    if not text.strip() or not text.isprintable():
        text = ascii(text)
    return text if len(text) <= 80 else f"{text[:38]}…{text[-38:]}"


def regular_file(path: str | Path, accepted: str) -> Path:
    """Return ``path`` as an absolute Path once it is known to be a readable, non-empty file.

    Args:
        path: as given by the user.
        accepted: what the caller can use, for messages, such as ``"a JPEG, PNG or WebP picture"``.

    Raises:
        UnreadableMedia: missing, unreadable, empty, or not a regular file.
    """
    if _ADDRESS.match(str(path)):
        raise UnreadableMedia(f"{shown(path)} is an address. Download it first; give {accepted}.")
    try:
        place = Path(path).absolute()
        status = place.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableMedia(
            f"{shown(path)} cannot be opened ({reason.lower()}). Give the path of {accepted}."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise UnreadableMedia(f"{shown(path)} is {what}, not a file. Give {accepted}.")
    if not os.access(place, os.R_OK):
        raise UnreadableMedia(f"{shown(path)} may not be read. Change its permissions (chmod +r).")
    if status.st_size == 0:
        raise UnreadableMedia(f"{shown(path)} is an empty file. Give {accepted}.")
    return place
