"""Results appear whole or not at all: written beside their place, then moved there in one step.

The hidden temporary file or folder lives in the target's own folder, so that the move is atomic.
It goes away on every exception, on Ctrl-C, and on the signals that end a program politely.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from visavis.errors import OutputError
from visavis.media.kinds import shown

_POLITE_SIGNALS = ("SIGTERM", "SIGHUP")


def refuse_sources(path: str | Path, *sources: object) -> None:
    """Refuse to write over a file that is being read.

    Raises:
        OutputError: ``path`` is one of those ``sources`` that are paths.
    """
    for source in sources:
        if isinstance(source, (str, Path)) and _is_same_file(path, source):
            raise OutputError(f"{shown(path)} is what is being read. Choose another name.")


def _is_same_file(path: str | Path, other: str | Path) -> bool:
    try:
        return Path(path).samefile(other)
    except (OSError, ValueError):
        return False


def output_error(path: str | Path, error: BaseException) -> OutputError:
    """Return the one-line error for ``path`` that could not be written because of ``error``."""
    if isinstance(error, BrokenPipeError):
        return OutputError(f"{shown(path)} was closed by its reader before the end.")
    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return OutputError(
        f"{shown(path)} cannot be written ({reason}). "
        "Check the folder, its permissions and the free space, or choose another place."
    )


def _stop(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that everything is cleaned up on the way out."""
    raise SystemExit(128 + number)


@contextmanager
def polite_endings() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack instead of ending the process on the spot.

    Only in the main thread, and only where nobody else has taken care of the signal.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _POLITE_SIGNALS if hasattr(signal, name)]
        taken = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _target(path: str | Path) -> Path:
    """Return ``path`` as an absolute Path without links: a possible name in an existing folder."""
    try:
        place = Path(path).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            place.lstat()
        folder_exists = place.parent.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise output_error(path, error) from error
    if not folder_exists:
        raise OutputError(
            f"{shown(path)} cannot be written: the folder {shown(place.parent)} does not exist. "
            "Create it or choose another place."
        )
    return place


def _hidden_beside(place: Path) -> Path:
    """Return a fresh hidden name beside ``place`` with the same suffix."""
    return place.parent / f".visavis-{secrets.token_hex(6)}{place.suffix.lower()}"


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path; what the caller wrote there is moved to ``path`` on success.

    Raises:
        OutputError: the place cannot be written to.
    """
    place = _target(path)
    if place.exists() and not place.is_file():
        raise OutputError(f"{shown(path)} is a folder or device. Give the name of a file.")
    hidden = _hidden_beside(place)
    with polite_endings():
        try:
            hidden.touch(exist_ok=False)
            yield hidden
            _flush(hidden)
            hidden.replace(place)
        except OSError as error:
            raise output_error(path, error) from error
        finally:
            with suppress(OSError):
                hidden.unlink()


def _flush(file: Path) -> None:
    """Wait until the contents of ``file`` are on the disk."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_folder(path: str | Path, pattern: str) -> Iterator[Path]:
    """Give a temporary folder whose files are in the folder ``path`` on success.

    ``path`` is made when it does not exist. ``pattern`` is what the files will be called; none
    that is there may be replaced.

    Raises:
        OutputError: the place cannot be written to, or holds such files already.
    """
    place = _target(path)
    if place.exists() and not place.is_dir():
        raise OutputError(f"{shown(path)} is a file. Give the name of a folder.")
    if os.path.lexists(place / (pattern % 0)):
        raise OutputError(f"{shown(path)} holds {pattern % 0} already. Choose another folder.")
    hidden = _hidden_beside(place / "x" if place.exists() else place)
    with polite_endings():
        try:
            hidden.mkdir()
            yield hidden
            if place.exists():
                _move_all(hidden, place)
            else:
                hidden.replace(place)
        except OSError as error:
            raise output_error(path, error) from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _move_all(source: Path, target: Path) -> None:
    """Move all files of ``source`` to ``target``; on failure those that were moved are removed."""
    moved: list[Path] = []
    try:
        for file in sorted(source.iterdir()):
            moved.append(file.replace(target / file.name))
    except BaseException:
        for file in moved:
            file.unlink(missing_ok=True)
        raise
