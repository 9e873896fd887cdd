"""Who is let in: counts, rates, and when to come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.serve.admission import LATEST_S, SOONEST_S, Admission, Limits, Refused

SECOND = 10**9


def admission(sessions: int = 2, each: int = 2, starts: int = 100) -> Admission:
    return Admission(Limits(sessions, each, starts, longest_s=30))


def test_a_full_server_says_when_the_oldest_session_must_be_over() -> None:
    door = admission()
    door.admit("a", "ann", 0)
    door.admit("b", "bob", 5 * SECOND)
    with pytest.raises(Refused) as refused:
        door.admit("c", "cec", 10 * SECOND)
    assert (refused.value.code, refused.value.retry_s) == ("busy", 20)
    door.release("a")
    door.admit("c", "cec", 11 * SECOND)
    assert len(door) == 2


def test_one_caller_cannot_take_every_place() -> None:
    door = admission(sessions=10, each=2)
    door.admit("a", "ann", 0)
    door.admit("b", "ann", 0)
    with pytest.raises(Refused) as refused:
        door.admit("c", "ann", 0)
    assert refused.value.code == "too_many"
    door.admit("d", "bob", 0)


def test_asking_too_often_is_slowed_down_and_forgiven_within_a_minute() -> None:
    door = admission(starts=3)
    for _ in range(3):
        door.count("ann", 0)
    with pytest.raises(Refused) as refused:
        door.count("ann", 10 * SECOND)
    assert refused.value.retry_s == 50
    door.count("bob", 10 * SECOND)
    door.count("ann", 60 * SECOND)


def test_who_is_refused_holds_no_place_and_is_counted_all_the_same() -> None:
    door = admission(sessions=1, starts=4)
    door.admit("a", "ann", 0)
    for _ in range(3):
        with pytest.raises(Refused, match="places are taken"):
            door.admit("b", "bob", 0)
    door.release("a")
    door.admit("b", "bob", 0)
    with pytest.raises(Refused, match="too often"):
        door.admit("c", "bob", 0)


def test_a_draining_server_lets_nobody_in() -> None:
    door = admission()
    door.drain()
    with pytest.raises(Refused) as refused:
        door.admit("a", "ann", 0)
    assert refused.value.code == "draining"
    assert door.is_draining


def test_releasing_what_is_not_there_is_no_error() -> None:
    admission().release("nobody")


def test_memory_of_callers_is_bounded() -> None:
    door = admission(starts=1)
    for caller in range(10_000):
        door.count(str(caller), 0)
    assert len(door._starts) <= 4_096


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=60))
def test_never_more_than_the_limits_whatever_comes(
    steps: list[tuple[int, int, bool]],
) -> None:
    door = admission(sessions=3, each=2)
    inside: dict[str, str] = {}
    for instant, (session, caller, leaves) in enumerate(steps):
        name, who = f"s{session}", f"c{caller}"
        if leaves:
            door.release(name)
            inside.pop(name, None)
            continue
        if name in inside:
            continue
        if len(inside) == 3 or list(inside.values()).count(who) == 2:
            with pytest.raises(Refused) as refused:
                door.admit(name, who, instant * SECOND)
            assert SOONEST_S <= refused.value.retry_s <= LATEST_S
        else:
            door.admit(name, who, instant * SECOND)
            inside[name] = who
        assert len(door) == len(inside) <= 3
