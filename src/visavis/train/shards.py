"""Samples in .tar files: members KEY.FIELD, those of one sample side by side, as WebDataset reads.

A shard is written whole or not at all and never compressed, so that any field of any sample is one
seek away and what a training step reads is a function of seed and step alone.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from visavis.errors import InputError, UnreadableMedia

Fields = Mapping[str, bytes]
"""What a sample holds, by field name: ``{"speech.npy": b"…", "0003.webp": b"…"}``."""

SHARD_BYTES = 60 * 2**20
"""A shard is closed before it grows beyond this, so that one fits where 64 MiB may travel."""
_BLOCK = 512


class ShardWriter:
    """Writes samples to ``folder/PREFIX-00000.tar`` and so on; goes on after those that exist."""

    def __init__(self, folder: Path, prefix: str = "clips", most: int = SHARD_BYTES) -> None:
        """Make ``folder`` if need be; a shard holds at most ``most`` bytes (or one sample)."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(p.stem.rpartition("-")[2]) for p in folder.glob(f"{prefix}-*.tar")]
        self._folder, self._prefix, self._most = folder, prefix, most
        self._number = max(numbers, default=-1) + 1
        self._tar: tarfile.TarFile | None = None
        self._bytes = 0

    def __enter__(self) -> ShardWriter:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the open shard; all samples written so far are whole, whatever happened."""
        self.close()

    def write(self, key: str, fields: Fields) -> None:
        """Append the sample ``key``.

        Raises:
            InputError: ``key`` has a dot or a slash, which would end it early, or is empty.
        """
        if not key or "." in key or "/" in key:
            raise InputError(f"The sample's key {key!r} must be a name without dots and slashes.")
        size = sum(_BLOCK + -(-len(value) // _BLOCK) * _BLOCK for value in fields.values())
        if self._tar is not None and self._bytes + size > self._most:
            self.close()
        if self._tar is None:
            self._tar = tarfile.open(self._part, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for name, value in fields.items():
            member = tarfile.TarInfo(f"{key}.{name}")
            member.size = len(value)
            self._tar.addfile(member, io.BytesIO(value))
        self._bytes += size

    def close(self) -> None:
        """Give the open shard its name; the next sample begins another."""
        if self._tar is None:
            return
        self._tar.close()
        self._part.replace(self._part.with_suffix(".tar"))
        self._tar, self._bytes, self._number = None, 0, self._number + 1

    @property
    def _part(self) -> Path:
        return self._folder / f"{self._prefix}-{self._number:05d}.part"


class Shards:
    """All samples of the shards in a folder, in order of their names; read by number."""

    def __init__(self, folder: Path) -> None:
        """Look through the shards in ``folder``.

        Raises:
            InputError: there is none.
            UnreadableMedia: one of them is damaged.
        """
        found: dict[str, dict[str, tuple[Path, int, int]]] = {}
        paths = sorted(folder.glob("*.tar"))
        if not paths:
            raise InputError(
                f"There is no shard (.tar) in {folder}. Make some: recipes/make_video_clips.py"
            )
        for path in paths:
            for name, start, size in _members(path):
                key, _, field = name.partition(".")
                found.setdefault(key, {})[field] = (path, start, size)
        self.keys = tuple(found)
        self._places = tuple(found.values())

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.keys)

    def fields(self, number: int) -> tuple[str, ...]:
        """Return the names of what sample ``number`` holds."""
        return tuple(self._places[number])

    def read(self, number: int, field: str) -> bytes:
        """Return one field of sample ``number``."""
        path, start, size = self._places[number][field]
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def sample(self, number: int) -> dict[str, bytes]:
        """Return all fields of sample ``number``."""
        return {field: self.read(number, field) for field in self.fields(number)}


def _members(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, first byte and size of all files in a shard."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield from [(m.name, m.offset_data, m.size) for m in tar]
            file.seek(-2 * _BLOCK, io.SEEK_END)
            is_whole = not any(file.read())  # an archive ends with two empty blocks
    except tarfile.TarError as error:
        raise UnreadableMedia(_damaged(path, str(error))) from error
    if not is_whole:
        raise UnreadableMedia(_damaged(path, "its end is missing"))


def _damaged(path: Path, reason: str) -> str:
    return f"The shard {path} is damaged ({reason}). Delete it and make it again."


def order(count: int, seed: int, position: int = 0) -> Iterator[int]:
    """Yield without end which of ``count`` samples comes next, from ``position`` on.

    Each run through all of them is shuffled anew by ``seed``; a reader that was stopped after n
    samples goes on with ``position`` n.
    """
    while True:
        turn, first = divmod(position, count)
        yield from np.random.default_rng([seed, turn]).permutation(count)[first:].tolist()
        position = (turn + 1) * count
