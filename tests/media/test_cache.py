"""What is remembered on disk: the same bits, nothing stale, nothing that can break a session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.faces.portrait import make_portrait
from visavis.media import cache
from visavis.media.cache import VARIABLE, cache_folder, entries, remembered
from visavis.types import Portrait


class Maker:
    """Makes arrays of every kind that is kept, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.made += 1
        return {
            "picture": np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
            "matte": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4).T,
            "count": np.array(3),
            "words": np.array(["a", "two words"], np.str_),
            "none": np.array([], np.str_),
        }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "deep" / "cache"
    monkeypatch.setenv(VARIABLE, str(place))
    return place


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)


def test_what_was_made_comes_back_bit_for_bit(folder: Path, image: np.ndarray) -> None:
    maker = Maker()
    first = remembered("kind", {"image": image, "face": None}, maker)
    again = remembered("kind", {"image": image.copy(), "face": None}, maker)
    assert maker.made == 1
    assert list(again) == list(first)
    for name, value in first.items():
        assert again[name].dtype == value.dtype
        assert np.array_equal(again[name], value)
    assert len(entries(folder)) == 1
    assert folder.stat().st_mode & 0o077 == 0


def test_anything_else_that_is_given_is_made_anew(
    folder: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, other = Maker(), image.copy()
    other[0, 0, 0] ^= 1
    given = [
        ("kind", {"image": image, "face": None}),
        ("sort", {"image": image, "face": None}),
        ("kind", {"image": image, "face": 1}),
        ("kind", {"image": other, "face": None}),
        ("kind", {"image": image.reshape(5, 6, 3), "face": None}),
        ("kind", {"image": image.view(np.int8), "face": None}),
    ]
    for kind, values in given:
        remembered(kind, values, maker)
    assert maker.made == len(given) == len(entries(folder))
    monkeypatch.setattr(cache, "_maker", lambda: "another version of the package")
    remembered(*given[0], maker)
    monkeypatch.setattr(cache, "runtime", lambda: "another device")
    remembered(*given[0], maker)
    assert maker.made == len(given) + 2


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_entry_is_made_anew(
    folder: Path, image: np.ndarray, damage: bytes | None
) -> None:
    maker = Maker()
    remembered("kind", {"image": image}, maker)
    path = entries(folder)[0]
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 3] ^= 255
    path.write_bytes(bytes(broken) if damage is None else damage)
    remembered("kind", {"image": image}, maker)
    assert maker.made == 2
    remembered("kind", {"image": image}, maker)
    assert maker.made == 2
    path.write_bytes(whole[: len(whole) // 2])
    remembered("kind", {"image": image}, maker)
    assert maker.made == 3


def test_damage_anywhere_is_seen(folder: Path, image: np.ndarray) -> None:
    maker = Maker()
    remembered("kind", {"image": image}, maker)
    path = entries(folder)[0]
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8  # zip's version, flags, method, names, number of entries
        path.write_bytes(bytes(broken))
        assert cache._read(path) is None
    path.write_bytes(whole)
    assert list(cache._read(path) or {}) == list(maker())


def test_an_entry_that_may_only_be_read_is_read(
    folder: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(path)

    maker = Maker()
    remembered("kind", {"image": image}, maker)
    monkeypatch.setattr(os, "utime", refused)
    remembered("kind", {"image": image}, maker)
    assert maker.made == 1


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no"])
def test_off_keeps_nothing(
    word: str, tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, word)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    maker = Maker()
    for _ in range(2):
        remembered("kind", {"image": image}, maker)
    assert maker.made == 2
    assert list(tmp_path.iterdir()) == []
    assert cache_folder() is None


def test_the_platform_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "visavis"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in (cache_folder() or Path()).parents


def test_a_folder_that_cannot_be_written_to_costs_only_time(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "cache"))
    maker = Maker()
    assert set(remembered("kind", {"image": image}, maker)) == set(maker())


def test_what_was_not_used_for_longest_goes_and_nothing_else(
    folder: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = Maker()
    for k in range(3):
        remembered("kind", {"image": image, "k": k}, maker)
        newest = entries(folder)[-1]
        os.utime(newest, (k, k))
    (folder / "letter.npz").write_bytes(b"of someone else")
    remembered("kind", {"image": image, "k": 0}, maker)  # now used last
    size = newest.stat().st_size
    monkeypatch.setattr(cache, "LIMIT", int(3.5 * size))
    monkeypatch.setattr(cache, "_write", _unlimited(cache._write, size))
    remembered("kind", {"image": image, "k": 3}, maker)
    assert len(entries(folder)) == 3
    assert (folder / "letter.npz").exists()
    made = maker.made
    for k in (0, 2, 3):
        remembered("kind", {"image": image, "k": k}, maker)
    assert maker.made == made


def _unlimited(write, size):  # noqa: ANN001, ANN202
    """Let single entries be as large as they are; their limit follows from the whole limit."""

    def written(path: Path, arrays: dict[str, np.ndarray]) -> None:
        limit, cache.LIMIT = cache.LIMIT, 100 * size
        write(path, arrays)
        cache.LIMIT = limit

    return written


def test_entries_that_are_too_large_are_not_kept(
    folder: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LIMIT", 64)
    remembered("kind", {"image": image}, Maker())
    assert entries(folder) == []
    monkeypatch.setattr(cache, "LIMIT", 1000)
    remembered("kind", {"image": image}, Maker())
    assert not folder.exists()


RACE = """
import sys
import numpy as np
from visavis.media.cache import remembered
for k in np.random.default_rng(int(sys.argv[1])).integers(0, 3, 60).tolist():
    got = remembered("race", {"k": k}, lambda: {"a": np.full((80, 80), k, np.float32)})
    assert (got["a"] == k).all(), k
"""


def test_processes_share_a_folder(folder: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", RACE, str(seed)]) for seed in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    assert len(entries(folder)) == 3
    assert not [p for p in folder.iterdir() if p.suffix == ".part"]


def test_a_portrait_from_the_cache_is_the_same(folder: Path, portrait: Portrait) -> None:
    image = np.ascontiguousarray(np.rot90(portrait.image[::2, ::2]))
    opened, again = make_portrait(image), make_portrait(image)
    assert len(entries(folder)) == 1
    assert opened.warnings == again.warnings
    assert "90 degrees" in opened.warnings[0]
    for name in ("image", "landmarks", "matte", "head_matte", "rotation"):
        first, second = getattr(opened, name), getattr(again, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)
