"""Who is learnt from and who is kept for judging: a split by person, never by clip."""

from __future__ import annotations

import zlib

TEST_PERSONS = frozenset(
    {
        "hdtf/WDA_AndyKim", "hdtf/RD_Radio2", "latentsync/demo3", "voxceleb/00067",
        "voxceleb/517600055", "grid/lwbsza", "mead-emotion/W011", "expressive/d12",
        "expressive/d19", "silent/b", "ditto-trainset/Clip+eynXzhySluI",
    }
)  # fmt: skip
"""Persons of the shared clips that no network of this package was trained on."""

_FOLDERS = ("hdtf/", "latentsync/", "voxceleb/", "grid/", "mead-emotion/", "expressive/", "silent/",
            "ditto-trainset/", "synctalk/", "video-retalking/", "arkit_takes/")  # fmt: skip


def split_of(person: str) -> str:
    """Return "train", "validation" or "test" for ``person``.

    The shared persons are listed; of a user's own about one in twenty validates and one in twenty
    tests, by a hash of the name.
    """
    if person in TEST_PERSONS:
        return "test"
    if person.startswith(_FOLDERS):
        return "train"
    share = zlib.crc32(person.encode()) % 20
    return {0: "validation", 1: "test"}.get(share, "train")
