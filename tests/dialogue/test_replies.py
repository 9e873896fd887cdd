import pytest

from visavis.dialogue.base import Said
from visavis.dialogue.replies import Reply, settled
from visavis.stream.moments import Interrupted


def reply(name: str, *spans: tuple[str, float], is_ended: bool = True) -> Reply:
    made = Reply(name)
    for text, seconds in spans:
        made.began(text)
        made.pushed(seconds / 2)
        made.pushed(seconds / 2)
    made.is_ended = is_ended
    return made


@pytest.mark.parametrize(
    ("position_s", "text"),
    [
        (0.0, ""),
        (0.2, ""),
        (1.0, "Hello my"),
        (1.95, "Hello my good friends."),
        (2.4, "Hello my good friends."),
        (3.0, "Hello my good friends. How"),
        (4.0, "Hello my good friends. How are you?"),
        (99.0, "Hello my good friends. How are you?"),
    ],
)
def test_words_heard_until_a_position(position_s: float, text: str) -> None:
    said = reply("r", ("Hello my good friends.", 2.0), ("How are you?", 2.0))
    assert said.text_until(position_s) == text


def test_sound_without_text_has_a_position() -> None:
    echo = reply("r")
    echo.pushed(3.0)
    assert echo.said(1.2, is_whole=False) == Said("r", "", 1.2, False)
    assert echo.said(9.0, is_whole=False).position_s == 3.0
    assert echo.said(0.0, is_whole=True) == Said("r", "", 3.0, True)


def test_before_it_whole_after_it_nothing() -> None:
    three = [reply(name, (f"{name} one two three.", 2.0)) for name in "abc"]
    heard = settled(three, Interrupted("b", 1.0, 3.0))
    assert heard == [
        Said("a", "a one two three.", 2.0, True),
        Said("b", "b one", 1.0, False),
        Said("c", "", 0.0, False),
    ]


def test_the_last_one_at_its_end_is_whole_but_not_if_more_was_to_come() -> None:
    assert settled([reply("a", ("Yes.", 1.0))], Interrupted("a", 0.96, 0.04))[0].is_whole
    thinking = reply("a", ("Yes.", 1.0), is_ended=False)
    assert settled([thinking], Interrupted("a", 1.0, 0.0)) == [Said("a", "Yes.", 1.0, False)]


def test_nothing_was_being_heard() -> None:
    pair = [reply("a", ("One.", 1.0)), reply("b", ("Two.", 1.0))]
    all_over = settled(pair, Interrupted(None, 0.0, 0.0))
    assert [said.is_whole for said in all_over] == [True, True]
    waiting = settled(pair, Interrupted(None, 0.0, 1.0))
    assert waiting == [Said("a", "One.", 1.0, True), Said("b", "", 0.0, False)]
    both = settled(pair, Interrupted(None, 0.0, 2.0))
    assert [said.position_s for said in both] == [0.0, 0.0]


def test_an_answer_that_was_not_yet_there() -> None:
    thinking = Reply("a")
    assert settled([thinking], Interrupted(None, 0.0, 0.0)) == [Said("a", "", 0.0, False)]
