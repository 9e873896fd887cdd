import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.dialogue.turns import Turn, Turned, TurnRules, after
from visavis.errors import InputError

RULES = TurnRules(start_ms=90, barge_in_ms=210, end_ms=300, on=0.5, off=0.3)
S, E = Turned.STARTED, Turned.ENDED


def told(
    shape: str, is_speaking: bool = False, rules: TurnRules = RULES
) -> list[tuple[int, Turned]]:
    """When something became known, in steps of 30 ms: "#" speech, "+" unsure, "." none."""
    turn, found = Turn(), []
    for i, mark in enumerate(shape):
        probability = {"#": 0.9, "+": 0.4, ".": 0.1}[mark]
        turn, turned = after(turn, probability, 30.0, rules, is_speaking)
        if turned is not None:
            found.append((i, turned))
    return found


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("......", []),
        ("###", [(2, S)]),
        ("##...###", [(7, S)]),  # a click and then speech: counted anew
        ("##.#", [(3, S)]),  # a gap shorter than start_ms does not begin anew
        ("#.#.#", [(4, S)]),
        ("##......", []),  # too short
        ("+++++", []),  # not sure enough to begin
        ("#++", [(2, S)]),  # sure enough to go on
        ("###..........", [(2, S), (12, E)]),
        ("###.........#..........", [(2, S), (22, E)]),  # a pause within the turn
        ("###+++++++++++", [(2, S)]),
        ("###..+.......", [(2, S), (12, E)]),  # after a gap it must be sure again
        ("###..........###", [(2, S), (12, E), (15, S)]),
        ("###..........##..........", [(2, S), (12, E)]),
    ],
)
def test_turns(shape: str, found: list[tuple[int, Turned]]) -> None:
    assert told(shape) == found


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("######", []),  # a cough
        ("#######", [(6, S)]),
        ("###...######", []),
        ("#######..........", [(6, S), (16, E)]),
    ],
)
def test_interrupting_takes_longer(shape: str, found: list[tuple[int, Turned]]) -> None:
    assert told(shape, is_speaking=True) == found


def test_who_falls_silent_meanwhile_is_answered_at_once() -> None:
    turn = Turn()
    for _ in range(4):
        turn, turned = after(turn, 0.9, 30.0, RULES, is_speaking=True)
        assert turned is None
    turn, turned = after(turn, 0.9, 30.0, RULES, is_speaking=False)
    assert turned is S
    assert turn.speech_ms == 150.0


@given(st.text("#+.", max_size=200), st.booleans())
def test_turns_begin_and_end_in_turn(shape: str, is_speaking: bool) -> None:
    kinds = [turned for _, turned in told(shape, is_speaking)]
    assert kinds == [S, E] * (len(kinds) // 2) + [S] * (len(kinds) % 2)


@pytest.mark.parametrize(
    "rules",
    [
        {"start_ms": 0},
        {"start_ms": 300, "barge_in_ms": 200},
        {"end_ms": 0},
        {"on": 0.3, "off": 0.5},
        {"off": 0.0},
        {"on": 1.5},
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give"):
        TurnRules(**rules)  # type: ignore[arg-type]
