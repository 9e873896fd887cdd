"""What the person says, while it says it: which words are in which second of sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from visavis.dialogue.base import Said
from visavis.stream.moments import Interrupted

_NEARLY_S = 0.08


@dataclass
class Reply:
    """One utterance: ``spans`` of text with start and end in its sound, ``pushed_s`` of it so far,
    all at one ``rate``.
    """

    speech_id: str
    rate: int | None = None
    pushed_s: float = 0.0
    is_ended: bool = False
    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def began(self, text: str) -> None:
        """``text`` begins where the sound ends now."""
        self.spans.append((text, self.pushed_s, self.pushed_s))

    def pushed(self, seconds: float) -> None:
        """More sound, of the text that began last."""
        self.pushed_s += seconds
        if self.spans:
            text, start, _ = self.spans[-1]
            self.spans[-1] = (text, start, self.pushed_s)

    def text_until(self, position_s: float) -> str:
        """Return the words heard in the first ``position_s`` seconds.

        Within a sentence words are taken to be spoken as evenly as their letters.
        """
        heard = []
        for text, start, end in self.spans:
            if position_s >= end - _NEARLY_S:
                heard.append(text)
            elif position_s > start:
                heard.append(_first_words(text, (position_s - start) / (end - start)))
        return " ".join(filter(None, heard))

    def said(self, position_s: float, is_whole: bool) -> Said:
        """Return what was heard of it."""
        position_s = self.pushed_s if is_whole else min(position_s, self.pushed_s)
        text = self.text_until(position_s)
        return Said(self.speech_id, text, position_s, is_whole)


def _first_words(text: str, share: float) -> str:
    """Return the words that end in the first ``share`` of ``text``."""
    end = int(share * len(text))
    if text[end : end + 1].isspace():
        return text[:end]
    return text[: text.rfind(" ", 0, end) + 1].rstrip()


def settled(replies: list[Reply], stopped: Interrupted) -> list[Said]:
    """Return what was heard of ``replies``, oldest first, when speech was ``stopped``.

    Those before the one that was being heard were heard whole, those after it not at all. If none
    was being heard, sound that was dropped was still waiting: of the last ones, so far as it goes.
    """
    ids = [reply.speech_id for reply in replies]
    if stopped.speech_id in ids:
        at = ids.index(stopped.speech_id)
        place = replies[at]
        is_over = place.is_ended and stopped.position_s >= place.pushed_s - _NEARLY_S
        return [
            *(reply.said(0.0, is_whole=True) for reply in replies[:at]),
            place.said(stopped.position_s, is_over),
            *(reply.said(0.0, is_whole=False) for reply in replies[at + 1 :]),
        ]
    waiting_s, found = stopped.dropped_s, []
    for reply in reversed(replies):
        is_waiting = waiting_s > _NEARLY_S and reply.pushed_s > 0
        waiting_s -= reply.pushed_s
        is_whole = reply.is_ended and not is_waiting
        found.append(reply.said(0.0 if is_waiting else reply.pushed_s, is_whole))
    return found[::-1]
