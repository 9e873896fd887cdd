"""What a thread makes ahead comes in order, with its errors, and no more of it than is wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.types import Frame, Motion
from visavis.video.pipeline import ahead, overlapped


def test_items_come_in_order() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([])) == []


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise InputError("no more")

    made = ahead(items())
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(InputError, match="no more"):
        next(made)


def test_motion_and_pictures_are_made_by_threads_of_their_own() -> None:
    where: dict[str, set[int]] = {"moves": set(), "draws": set()}

    def moves() -> Iterator[tuple[int, Motion]]:
        for first in range(0, 100, 5):
            where["moves"].add(threading.get_ident())
            yield first, Motion.rest(5)

    def draw(motion: Motion, index: int) -> list[Frame]:
        where["draws"].add(threading.get_ident())
        return [Frame(np.zeros((1, 1, 3), np.uint8), index, motion)]

    frames = overlapped(moves(), draw)
    assert [next(frames).index for _ in range(12)] == list(range(12))
    frames.close()  # type: ignore[attr-defined]
    names = {*where["moves"], *where["draws"], threading.get_ident()}
    assert len(names) == 3
    assert not [t for t in threading.enumerate() if t.name.startswith("visavis-ahead")]


def test_it_works_on_another_thread_one_item_ahead() -> None:
    begun: list[int] = []
    two_more = threading.Event()
    where: set[str] = set()

    def items() -> Iterator[int]:
        for i in range(10):
            begun.append(i)
            where.add(threading.current_thread().name)
            if i == 2:
                two_more.set()
            yield i

    made = ahead(items(), 1)
    assert next(made) == 0
    assert two_more.wait(10)
    made.close()  # type: ignore[attr-defined]
    assert len(where) == 1
    assert where != {threading.current_thread().name}
    assert max(begun) <= 2
    assert not [t for t in threading.enumerate() if t.name.startswith("visavis-ahead")]
