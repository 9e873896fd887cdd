"""What meets in a conversation: the session that speaks, a partner that thinks, who joins them.

::

    microphone -> Conversation.hear -> voice activity -> turns -> Partner.reply -> Voice -> Mouth
                                            |                                               ^
                                            +---- the user speaks over it: interrupt -------+
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from visavis.stream.moments import Interrupted
from visavis.types import SAMPLE_RATE, FloatArray


class Mouth(Protocol):
    """What a conversation needs of ``stream.session.Session``; all on the event loop's thread."""

    @property
    def queue_s(self) -> float:
        """Seconds of sound that wait to be heard."""
        ...

    def push_audio(self, samples: FloatArray, rate: int, speech_id: str | None = None) -> object:
        """Take the next piece of what is said."""
        ...

    def end_audio(self) -> None:
        """End the utterance."""
        ...

    def push_user_audio(self, samples: FloatArray, rate: int) -> None:
        """Take what the user says."""
        ...

    def interrupt(self) -> Interrupted:
        """Stop speaking; say how far it came."""
        ...

    def user_started(self) -> None:
        """The user began to speak."""
        ...

    def user_ended(self) -> None:
        """The user has finished."""
        ...


@dataclass(frozen=True)
class Sound:
    """A piece of sound: ``samples`` (n,) float32 in [-1, 1] at ``rate``; ``text`` what it says.

    As a turn of the user: what was heard, or, if it was typed, no samples and the text.
    """

    samples: FloatArray
    rate: int = SAMPLE_RATE
    text: str = ""


@dataclass(frozen=True)
class Understood:
    """The words that the user said, as the partner understood them."""

    text: str


Piece = str | Sound | Understood
"""What an answer is made of: text to be spoken, sound, or what was understood before it."""


@dataclass(frozen=True)
class Said:
    """How much of reply ``speech_id`` was heard: its first ``position_s`` seconds, about ``text``.

    ``is_whole`` is False if it was interrupted.
    """

    speech_id: str
    text: str
    position_s: float
    is_whole: bool


@dataclass(frozen=True)
class Happened:
    """Something that happened in a conversation, to be shown or logged.

    ``kind``: "user_started", "user_ended", "user_said" (``text``, if the partner understood words),
    "reply_started" (its first piece has come), "reply_text" (``text``, a sentence that will be
    spoken), "reply_ended" (its sound is complete in the session), "interrupted" (``text`` was
    heard, ``position_s``), "failed" (``text`` why; nothing, or no more, is spoken).
    """

    kind: str
    speech_id: str | None = None
    text: str = ""
    position_s: float = 0.0


class Partner(Protocol):
    """Thinks of answers. Belongs to one conversation."""

    def reply(self, turn: Sound) -> AsyncGenerator[Piece, None]:
        """Yield the answer to what the user said, ``turn``; nothing if there is none.

        Text comes in pieces of any size that are joined as they are. It is closed (``aclose``) when
        the user interrupts.

        Raises:
            VisavisError: there is no answer; the message says why, for people.
        """
        ...

    def heard(self, said: Said) -> None:
        """Take note of what was heard, of its answers and of what ``say`` was given, in turn.

        Called before the next ``reply``.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Dialogue(Protocol):
    """A conversation in progress; ``async with`` starts and closes it. On the event loop's thread.

    Nothing it meets ends the session: what goes wrong is told as ``Happened("failed")``.
    """

    def hear(self, samples: FloatArray, rate: int) -> None:
        """Take what the microphone hears, (n,) float32 of any length; returns at once."""
        ...

    async def say(self, text: str) -> str:
        """Speak ``text`` after what is being said; return its speech id once its sound is queued.

        Raises:
            SessionError: there is no voice, or the conversation is over.
        """
        ...

    def ask(self, text: str) -> None:
        """Take ``text`` as the user's turn, as if it had been spoken; returns at once."""
        ...

    def interrupt(self) -> Said | None:
        """Stop speaking and thinking; return what was heard, None if nothing was being said."""
        ...

    async def close(self) -> None:
        """End it: no more is heard or said. The session goes on."""
        ...

    async def __aenter__(self) -> Dialogue:
        """Start."""
        ...

    async def __aexit__(self, *reason: object) -> None:
        """Close."""
        ...
