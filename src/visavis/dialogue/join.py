"""From a name on the command line to a conversation: who answers, and who hears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from visavis.dialogue.base import Dialogue, Happened, Mouth
from visavis.errors import SessionError
from visavis.voice.base import Voice

PARTNERS = ("none", "echo", "scripted", "chat", "realtime")
"""Kinds of partners; ``partner_by`` says what follows the colon."""


@dataclass(frozen=True)
class Joined:
    """A kind of partner as it was named: each conversation gets one of its own."""

    kind: str
    address: str = ""


def partner_by(name: str, key: str | None = None) -> Joined:
    """Return the partner ``name``; ``key`` is for its server and is never logged.

    "none" (speaks only what ``say`` is given), "echo", "scripted" or "scripted:FILE",
    "chat:MODEL@URL", "realtime:MODEL@URL".

    Raises:
        InputError: there is no such kind, or the address is not one.
    """
    raise SessionError(f"{name!r} is not there yet.")


def converse(
    mouth: Mouth,
    partner: Joined,
    voice: Voice | None = None,
    tell: Callable[[Happened], None] | None = None,
) -> Dialogue:
    """Return a conversation of ``partner`` in session ``mouth``, spoken by ``voice``, not started.

    ``tell`` hears what happens. Usage::

        async with converse(session, partner_by("echo"), voice) as conversation:
            conversation.hear(samples, rate)        # as the microphone gives them
            await conversation.say("Hello.")
    """
    raise SessionError(f"{partner.kind!r} is not there yet.")
