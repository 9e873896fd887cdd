"""Text -> what is spoken in one breath: sentences without the marks that only eyes read.

Text may come whole or in pieces cut anywhere (a language model's). A sentence is given out as soon
as it is known to be over; one longer than ``LONGEST`` is cut where a reader would pause.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from visavis.errors import InputError

LONGEST_TEXT = 100_000
"""Characters of one text at most: two hours of speech."""
LONGEST = 240
"""Characters of a piece at most: some 15 seconds of speech."""

_BREAK = re.compile(r"\n+|(?<=[.!?…])[\"”’')\]*_]*[ \t\r]+|(?<=[。！？])")  # noqa: RUF001
_PAUSE = re.compile(r"(?<=[,;:—–、，])\s*|\s+[—–-]\s+")  # noqa: RUF001
_SHORTENED = re.compile(
    r"(mr|mrs|ms|dr|prof|st|sr|jr|rev|gen|col|capt|lt|sgt|vs|etc|approx|e\.g|i\.e|cf"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|[^\W\d_]|(?P<counted>no|nos|fig|vol|pp?|ch))",
    re.IGNORECASE,
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_MARKS = re.compile(
    r"^\s*(?:#{1,6}\s|>\s|[-*+]\s)|(?<!\w)[*_~]{1,3}(?=\S)|(?<=\S)[*_~]{1,3}(?!\w)|[`|]+"
)


class Sentences:
    """Text that comes in pieces on its way to be spoken."""

    def __init__(self) -> None:
        """Begin with no text."""
        self._rest = ""

    def push(self, text: str) -> list[str]:
        """Take the next piece; return the sentences that are now complete."""
        found, self._rest = _cut(self._rest + text)
        return found

    def finish(self) -> list[str]:
        """Return what is left, as if the text ended here."""
        rest, self._rest = self._rest, ""
        return _speakable(rest)


def sentences(text: str) -> Iterator[str]:
    """Yield what is spoken of ``text``, a sentence at a time; nothing if it has no word.

    Raises:
        InputError: it has more than ``LONGEST_TEXT`` characters.
    """
    if len(text) > LONGEST_TEXT:
        raise InputError(f"A text of {len(text)} characters is too long; give {LONGEST_TEXT}.")
    whole = Sentences()
    yield from whole.push(text)
    yield from whole.finish()


def _cut(text: str) -> tuple[list[str], str]:
    """Return the sentences of ``text`` that are over, and the rest."""
    found: list[str] = []
    start = 0
    for gap in _BREAK.finditer(text):
        is_over = _is_over(text[start : gap.start()], text[gap.end() : gap.end() + 1], gap[0])
        if is_over:
            found += _speakable(text[start : gap.end()])
            start = gap.end()
    rest = text[start:]
    while len(rest) > 2 * LONGEST:
        at = _pause(rest)
        found += _speakable(rest[:at])
        rest = rest[at:]
    return found, rest


def _is_over(sentence: str, following: str, gap: str) -> bool:
    """Tell whether ``sentence`` ends here, ``following`` being the next character, if it is known.

    "Dr. Smith", "J. K. Rowling" and "e.g. this" go on; so does what continues in lower case.
    """
    if "\n" in gap or not gap:
        return True
    if not following:
        return not sentence.endswith((".", "…"))
    if following.islower():
        return False
    word = sentence.rsplit(None, 1)[-1].lstrip("(\"“'‘[") if sentence.strip() else ""
    short = _SHORTENED.fullmatch(word.removesuffix(".")) if word.endswith(".") else None
    if short is None or word == "I.":
        return True
    return bool(short["counted"]) and not following.isdigit()


def _speakable(text: str) -> list[str]:
    """Return the pieces of one sentence: clean, at most ``LONGEST`` long, with a word in each."""
    rest = plain(text)
    found = []
    while len(rest) > LONGEST:
        at = _pause(rest)
        found.append(rest[:at].strip())
        rest = rest[at:]
    found.append(rest.strip())
    return [piece for piece in found if any(map(str.isalnum, piece))]


def _pause(text: str) -> int:
    """Return where to cut ``text``: at the last pause, else space, of its first ``LONGEST``."""
    marks = [gap.end() for gap in _PAUSE.finditer(text, LONGEST // 3, LONGEST)]
    if marks:
        return marks[-1]
    space = text.rfind(" ", 1, LONGEST)
    return space + 1 if space > 0 else LONGEST


def plain(text: str) -> str:
    """Return ``text`` without the marks of Markdown, pictures and characters that have no sound."""
    text = _MARKS.sub("", _LINK.sub(r"\1", text))
    kept = "".join(c if _is_sounding(c) else " " for c in text)
    return " ".join(kept.split())


def _is_sounding(character: str) -> bool:
    """Tell whether ``character`` is neither a control character nor a picture."""
    kind = unicodedata.category(character)
    return kind[0] != "C" and (kind != "So" or character in "°©®™") and kind != "Sk"
