"""From a name on the command line to a conversation: who answers, who hears, who speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from visavis.audio.vad import VoiceActivity, activity_by
from visavis.dialogue.base import Dialogue, Happened, Mouth, Partner
from visavis.dialogue.chat import ChatPartner, ChatSettings
from visavis.dialogue.conversation import Conversation
from visavis.dialogue.partners import SCRIPT, EchoPartner, ScriptedPartner, SilentPartner
from visavis.dialogue.realtime import RealtimeConversation
from visavis.dialogue.realtime_messages import RealtimeSettings
from visavis.dialogue.turns import TurnRules
from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import regular_file
from visavis.voice.base import Voice
from visavis.voice.endpoint import Endpoint, endpoint, split_name

PARTNERS = ("none", "echo", "scripted[:FILE]", "chat:MODEL@URL", "realtime:MODEL@URL")
"""How partners are named; for servers the URL ends with their version: ``https://HOST/v1``."""
_LONGEST_SCRIPT = 1_000_000
RULES = TurnRules()


@dataclass(frozen=True)
class Chosen:
    """A partner as it was named; ``converse`` makes one of its own for each conversation.

    ``prompt`` replaces the instructions a language model is given. ``hearing`` is the model that
    turns speech into text. ``voice`` and ``rate`` are a Realtime server's.
    """

    kind: str
    lines: tuple[str, ...] = SCRIPT
    model: str = ""
    endpoint: Endpoint | None = None
    prompt: str | None = None
    hearing: str | None = None
    voice: str | None = None
    rate: int = 24_000

    @property
    def speaks_itself(self) -> bool:
        """Whether its answers are sound already, so that it needs no voice."""
        return self.kind in ("none", "echo", "realtime")


def partner_by(name: str, key: str | None = None, prompt: str | None = None) -> Chosen:
    """Return the partner ``name``, as in ``PARTNERS``; ``key`` is for its server.

    ``dataclasses.replace`` changes the rest.

    Raises:
        InputError: there is no such partner, or its address is none.
        UnreadableMedia: its file cannot be read.
    """
    kind, colon, rest = name.partition(":")
    if name in ("none", "echo", "scripted"):
        return Chosen(name)
    if kind == "scripted" and rest:
        return Chosen(kind, lines=_lines(Path(rest)))
    if kind == "chat" and colon:
        model, address = split_name(rest, "chat:MODEL@URL")
        return Chosen(
            kind, model=model, endpoint=endpoint(address, key), prompt=prompt, hearing="whisper-1"
        )
    if kind == "realtime" and colon:
        model, address = split_name(rest, "realtime:MODEL@URL")
        at = endpoint(address, key, ("ws", "wss", "http", "https"))
        at = replace(at, url=at.url.replace("http", "ws", 1))
        return Chosen(kind, model=model, endpoint=at, prompt=prompt)
    raise InputError(f"There is no partner {name!r}. Use one of: {', '.join(PARTNERS)}.")


def converse(
    mouth: Mouth,
    chosen: Chosen,
    voice: Voice | None = None,
    tell: Callable[[Happened], None] | None = None,
    activity: VoiceActivity | None = None,
    rules: TurnRules = RULES,
) -> Dialogue:
    """Return a conversation with the partner ``chosen`` in session ``mouth``, not started.

    ``voice`` speaks texts, ``tell`` hears what happens, ``activity`` tells speech from noise (by
    default ``listening()``). Usage::

        async with converse(session, partner_by("echo"), voice) as conversation:
            conversation.hear(samples, rate)        # as the microphone gives them
            await conversation.say("Hello.")

    Raises:
        MissingExtra: a package it needs is not installed.
        InputError: the partner answers in words, and there is no voice.
    """
    if chosen.kind == "realtime" and chosen.endpoint is not None:
        settings = RealtimeSettings(
            chosen.model, chosen.voice, chosen.prompt, chosen.rate, chosen.hearing
        )
        return RealtimeConversation(mouth, chosen.endpoint, settings, tell)
    if voice is None and not chosen.speaks_itself:
        raise InputError(f"The partner {chosen.kind!r} answers in words; it needs a voice.")
    return Conversation(mouth, _partner(chosen), activity or listening(), voice, rules, tell)


@cache
def listening() -> VoiceActivity:
    """Return the best voice activity that is installed, loaded once for all conversations."""
    return activity_by("auto")


def _partner(chosen: Chosen) -> Partner:
    """Return a partner for one conversation."""
    if chosen.kind == "scripted":
        return ScriptedPartner(chosen.lines)
    if chosen.kind == "chat" and chosen.endpoint is not None:
        settings = ChatSettings(chosen.model, chosen.hearing)
        if chosen.prompt is not None:
            settings = replace(settings, prompt=chosen.prompt)
        return ChatPartner(chosen.endpoint, settings)
    return EchoPartner() if chosen.kind == "echo" else SilentPartner()


def _lines(path: Path) -> tuple[str, ...]:
    """Return the lines of the script at ``path`` that have words."""
    place = regular_file(path, "a text with one answer a line")
    try:
        with place.open(encoding="utf-8-sig") as file:
            text = file.read(_LONGEST_SCRIPT)
    except UnicodeDecodeError as error:
        raise UnreadableMedia(
            f"{path.name} is no text in UTF-8. Give one answer a line."
        ) from error
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise InputError(f"{path.name} has no line in it. Give one answer a line.")
    return lines
