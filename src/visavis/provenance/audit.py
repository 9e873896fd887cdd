"""A log that only grows: one JSON object a line, each with the hash of the line before.

Altering, removing or inserting a line breaks the chain at that place, and ``check_log`` says where.
What it cannot see is that whole lines were cut off the end; keep ``append``'s answer elsewhere (a
mail, another machine) to see that too. Any number of processes may write to one log.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

_FIRST = "0" * 64
_BLOCK = 64 * 1024  # an entry is shorter
_LONGEST = 16 * 1024


@dataclass(frozen=True)
class LogReport:
    """``entries`` whole lines; ``broken_at``: the first that does not fit, from 1, or None.

    ``head``: the hash of the last line that fits.
    """

    entries: int
    broken_at: int | None
    head: str


def append(path: Path, event: str, at: datetime, details: Mapping[str, str]) -> str:
    """Add ``event`` to the log ``path``; return the entry's hash once it is on the disk.

    ``details`` are digests and numbers; nobody's name belongs into a log.

    Raises:
        OSError: it cannot be written.
        ValueError: the entry is too long.
    """
    with _locked(path) as file:
        previous = _last_hash(file)
        entry = {"at": at.isoformat(), "event": event, **details, "previous": previous}
        digest = _digest(entry)
        line = json.dumps({**entry, "hash": digest}, sort_keys=True).encode() + b"\n"
        if len(line) > _LONGEST:
            raise ValueError(f"An entry of {len(line)} bytes is too long for the log.")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return digest


def check_log(path: Path) -> LogReport:
    """Return whether every line of the log ``path`` follows from the line before.

    Raises:
        OSError: it cannot be read.
    """
    head, count = _FIRST, 0
    with path.open("rb") as file:
        for line in file:
            count += 1
            digest = _hash_in(line)
            if digest is None or _previous_in(line) != head:
                return LogReport(count, count, head)
            head = digest
    return LogReport(count, None, head)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the log for reading and appending; nobody else writes meanwhile."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _last_hash(file: BinaryIO) -> str:
    """Return the hash that the next entry builds on; a torn last line (power cut) is cut off."""
    size = file.seek(0, os.SEEK_END)
    start = max(size - _BLOCK, 0)
    file.seek(start)
    whole, _, torn = file.read().rpartition(b"\n")
    if torn:
        file.truncate(size - len(torn))
    last = whole.rpartition(b"\n")[2]
    if not last:
        return _FIRST
    return _hash_in(last) or hashlib.sha256(last).hexdigest()


def _hash_in(line: bytes) -> str | None:
    """Return the hash an entry carries if it is its own, None otherwise."""
    try:
        entry = json.loads(line)
        digest = entry.pop("hash")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None
    return digest if digest == _digest(entry) else None


def _previous_in(line: bytes) -> str:
    """Return the hash an entry builds on."""
    previous: str = json.loads(line).get("previous", "")
    return previous


def _digest(entry: Mapping[str, str]) -> str:
    """Return the hash of an entry without its own."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
