"""What was computed of a picture, kept on disk for the next time it is opened.

An entry is named after the content that it was computed from, and after what computed it: the
package's own files, the libraries that calculate, processor and device. So it can never be stale,
and what comes out of the cache is bit for bit what would be computed again.

Entries lie in ``visavis`` in the platform's cache folder (``XDG_CACHE_HOME``, ``~/.cache``,
``~/Library/Caches`` or ``%LOCALAPPDATA%``), readable by their owner alone, for they hold outlines
of faces and backgrounds of photographs. The environment variable ``VISAVIS_CACHE`` names another
folder, or says ``off``. When there is more than ``LIMIT`` bytes, what was not used for longest
goes. Entries appear whole or not at all, so any number of processes may share a folder; a damaged
entry, a full disk or a folder that cannot be written to only costs the time to compute again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.hub import ASSETS
from visavis.machine import cpu_name
from visavis.nn.session import runtime

VARIABLE = "VISAVIS_CACHE"
LIMIT = 512 * 2**20
"""Bytes that all entries may take together; one alone may take an eighth."""
_OFF = ("off", "0", "no", "none")
_PREFIX, _SUFFIX = "visavis-", ".npz"
_SEAL = 16  # bytes at the end of an entry: a digest of all before

Arrays = dict[str, NDArray[Any]]


def remembered(
    kind: str, given: Mapping[str, NDArray[Any] | int | None], make: Callable[[], Arrays]
) -> Arrays:
    """Return ``make()``, or what it returned before for the same ``given``.

    ``make`` must depend on ``given`` alone; ``kind`` names what it makes. Arrays hold numbers or
    text, no objects.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    path = folder / f"{_PREFIX}{_digest(kind, given)}{_SUFFIX}"
    found = _read(path)
    if found is not None:
        return found
    made = make()
    with suppress(OSError):
        _write(path, made)
        _tidy(folder)
    return made


def cache_folder() -> Path | None:
    """Return where entries lie, or None if nothing is to be kept."""
    asked = os.environ.get(VARIABLE, "").strip()
    if asked.lower() in _OFF:
        return None
    if asked:
        return Path(asked).expanduser()
    with suppress(RuntimeError):  # no home
        return _platform_folder() / "visavis"
    return None


@contextmanager
def kept_in(folder: str) -> Iterator[None]:
    """Keep entries in ``folder``, or say ``off``, for as long as the block runs: measurements."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = folder
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        os.environ |= {} if before is None else {VARIABLE: before}


def entries(folder: Path) -> list[Path]:
    """Return the entries in ``folder``, those used last at the end."""
    with suppress(OSError):
        found = [p for p in folder.iterdir() if p.name.startswith(_PREFIX)]
        return sorted(found, key=lambda p: p.stat().st_mtime_ns)
    return []


def _platform_folder() -> Path:
    """Return where this platform's programs keep what they can make again."""
    given = os.environ.get("XDG_CACHE_HOME" if os.name != "nt" else "LOCALAPPDATA")
    if given:
        return Path(given)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return home / ("AppData/Local" if os.name == "nt" else ".cache")


def _digest(kind: str, given: Mapping[str, NDArray[Any] | int | None]) -> str:
    """Return the name of the entry for ``given``."""
    digest = hashlib.sha256(f"{kind} {_maker()} {runtime()}".encode())
    for name, value in given.items():
        if isinstance(value, np.ndarray):
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(f"{name} {value!r}".encode())
    return digest.hexdigest()[:40]


@cache
def _maker() -> str:
    """Return a digest of what computes here: this package, its libraries, the processor."""
    digest = hashlib.sha256(f"{np.__version__} {cv2.__version__} {cpu_name()}".encode())
    package = ASSETS.parent
    for path in [ASSETS / "manifest.json", *sorted(package.rglob("*.py"))]:
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> Arrays | None:
    """Return the entry at ``path``, None if there is none or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    packed = data[:-_SEAL]
    if _seal(packed) != data[-_SEAL:]:
        return None
    with suppress(OSError):  # an entry that may only be read
        os.utime(path)
    with np.load(BytesIO(packed), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _write(path: Path, arrays: Arrays) -> None:
    """Put ``arrays`` at ``path`` in one step, unless they are too large to keep."""
    if sum(array.nbytes for array in arrays.values()) > LIMIT // 2:
        return
    packed = _packed(arrays)
    if len(packed) + _SEAL > LIMIT // 8:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(packed + _seal(packed))
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _seal(data: bytes) -> bytes:
    """Return the digest that tells whether ``data`` is whole."""
    return hashlib.blake2b(data, digest_size=_SEAL).digest()


def _packed(arrays: Arrays) -> bytes:
    """Return ``arrays`` as an .npz; only numbers of pictures stay unpacked."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", compresslevel=1) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            is_picture = array.dtype == np.uint8
            entry.compress_type = zipfile.ZIP_STORED if is_picture else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asarray(array, order="C"), allow_pickle=False)
    return file.getvalue()


def _tidy(folder: Path) -> None:
    """Delete what was not used for longest until the rest is within ``LIMIT``."""
    found = entries(folder)
    total = sum(path.stat().st_size for path in found)
    for path in found:
        if total <= LIMIT:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
