"""What a thread makes ahead comes in order, with its errors, and no more of it than is wanted."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from visavis.errors import InputError
from visavis.video.pipeline import ahead


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
    assert where == {"visavis-ahead"}
    assert max(begun) <= 3
    assert "visavis-ahead" not in {thread.name for thread in threading.enumerate()}
