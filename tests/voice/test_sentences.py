import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.voice.sentences import LONGEST, LONGEST_TEXT, Sentences, plain, sentences


def streamed(text: str, size: int = 1) -> list[str]:
    found, whole = [], Sentences()
    for i in range(0, len(text), size):
        found += whole.push(text[i : i + size])
    return found + whole.finish()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("Dr. Smith met J. K. Rowling. They left.", ["Dr. Smith met J. K. Rowling.", "They left."]),
        ("It costs $3.50 at 9.30 a.m. today.", ["It costs $3.50 at 9.30 a.m. today."]),
        ("I said no. Then No. 5 came.", ["I said no.", "Then No. 5 came."]),
        ("That is I. Am here.", ["That is I.", "Am here."]),
        ("Wait... what? Really… Yes.", ["Wait... what?", "Really…", "Yes."]),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
        ("One\ntwo\n\nthree", ["One", "two", "three"]),
        ("你好。世界！", ["你好。", "世界！"]),  # noqa: RUF001
        ("", []),
        ("  \n\t ", []),
        ("... ?! --", []),
        ("**Bold**, `code` and _this_", ["Bold, code and this"]),
        ("# Title\n- one\n- two", ["Title", "one", "two"]),
        ("See [the page](https://a.b/c?d=e).", ["See the page."]),
        ("snake_case, 2*3 and 5°C 👍🏽", ["snake_case, 2*3 and 5°C"]),
        ("Null\x00 and \x1b[31mred", ["Null and [31mred"]),
    ],
)
def test_sentences_are_what_is_spoken_in_one_breath(text: str, found: list[str]) -> None:
    assert list(sentences(text)) == found
    assert streamed(text) == found


def test_a_sentence_is_given_out_as_soon_as_it_is_over() -> None:
    whole = Sentences()
    assert whole.push("Is it? I th") == ["Is it?"]
    assert whole.push("ink so") == []
    assert whole.push(". ") == [], "it may go on in lower case"
    assert whole.push("B") == ["I think so."]
    assert whole.finish() == ["B"]
    assert whole.finish() == []


def test_long_sentences_are_cut_at_pauses_then_at_spaces_then_anywhere() -> None:
    clause = "and so they went on and on and on through the long and quiet night, "
    pieces = list(sentences(clause * 20))
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert all(piece.endswith(",") for piece in pieces)
    assert " ".join(pieces) == (clause * 20).strip()
    words = list(sentences("word " * 300))
    assert " ".join(words).split() == ["word"] * 300
    assert [len(piece) for piece in sentences("a" * 500)] == [240, 240, 20]


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InputError, match=f"give {LONGEST_TEXT}"):
        list(sentences("a" * (LONGEST_TEXT + 1)))


@given(st.text("aB.?! \n\"',1é", max_size=400), st.integers(1, 30))
def test_nothing_is_lost_or_said_twice_however_the_text_is_cut(text: str, size: int) -> None:
    found = streamed(text, size)
    assert all(len(piece) <= LONGEST and plain(piece) == piece for piece in found)
    letters = re.findall(r"\w", text)
    assert re.findall(r"\w", "".join(found)) == letters


def test_text_without_any_end_takes_no_time() -> None:
    started = time.process_time()
    assert streamed("x" * 50_000, 7)
    assert streamed("([" * 20_000, 1000) == []
    assert time.process_time() - started < 2.0
