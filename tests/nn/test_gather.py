"""Calls of many threads: each gets its own results, together when they wait, one call at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from visavis.nn.gather import Gathered


def test_everybody_gets_the_results_of_his_own_items() -> None:
    sizes, at_work = [], []

    def double(items: list[int]) -> list[int]:
        assert not at_work, "two at a time"
        at_work.append(1)
        sizes.append(len(items))
        time.sleep(0.001)
        at_work.pop()
        return [2 * item for item in items]

    gathered = Gathered(double, most=8)
    with ThreadPoolExecutor(12) as pool:
        given = [list(range(n, n + n % 4)) for n in range(200)]
        results = list(pool.map(gathered, given))
    assert results == [[2 * x for x in items] for items in given]
    assert max(sizes) <= 8
    assert max(sizes) > 3, "nobody was put together"


def test_who_has_more_than_goes_together_is_served_alone() -> None:
    sizes = []

    def same(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return items

    assert Gathered(same, most=2)([1, 2, 3]) == [1, 2, 3]
    assert sizes == [3]


def test_those_who_wait_go_together_and_nobody_waits_for_company() -> None:
    begun, go_on, sizes = threading.Event(), threading.Event(), []

    def slow(items: list[int]) -> list[int]:
        sizes.append(len(items))
        begun.set()
        assert go_on.wait(10)
        return items

    gathered = Gathered(slow)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(gathered, [0])
        assert begun.wait(10)
        others = [pool.submit(gathered, [n]) for n in (1, 2, 3)]
        while len(gathered._waiting) < 3:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == [0]
        assert [other.result(10) for other in others] == [[1], [2], [3]]
    assert sizes == [1, 3]


def test_an_error_reaches_those_who_asked_and_the_next_call_works() -> None:
    def picky(items: list[int]) -> list[int]:
        if 0 in items:
            raise ValueError("zero")
        return items

    gathered = Gathered(picky)
    with pytest.raises(ValueError, match="zero"):
        gathered([0])
    assert gathered([1]) == [1]
