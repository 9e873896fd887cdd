"""What each message of the control protocol does to a session, on whatever channel it came."""

from __future__ import annotations

from typing import Any

from visavis.errors import InputError, MissingExtra, QueueFull, SessionClosed, VisavisError
from visavis.serve.keys import new_id
from visavis.serve.messages import (
    BadMessage,
    Message,
    Plain,
    Say,
    SetControl,
    SetState,
    Speak,
    UserAudio,
    UserText,
    pcm16,
    problem,
    read,
    sound_of,
)
from visavis.serve.person import Person
from visavis.serve.voices import Voices
from visavis.types import Phase

_KINDS = (
    (BadMessage, "bad_message"),
    (QueueFull, "queue_full"),
    (SessionClosed, "closed"),
    (MissingExtra, "not_available"),
    (InputError, "invalid"),
)


def say(person: Person, voices: Voices, text: str, event_id: str | None) -> str:
    """Have ``person`` speak ``text``; return the identifier that its events carry.

    Where a partner talks it is the partner who says it, under a name of its own.

    Raises:
        MissingExtra: there is no voice. SessionError: something else is being said.
    """
    name = event_id or new_id()
    pieces = voices.pieces(text)
    if not person.say_by_partner(name, text):
        person.say(name, pieces)
    return name


class Control:
    """One client's hold on one session."""

    def __init__(self, person: Person, voices: Voices, user_rate: int = 16_000) -> None:
        """Control ``person``; binary messages are the user's sound at ``user_rate``."""
        self._person = person
        self._voices = voices
        self._user_rate = user_rate

    def take(self, data: str | bytes) -> dict[str, Any] | None:
        """Do what message ``data`` asks; return what the client must be told of it, if anything.

        Text is a message of the protocol, bytes are sound of the user's microphone.
        """
        event_id: str | None = None
        try:
            if isinstance(data, bytes):
                self._person.hear(pcm16(data), self._user_rate)
                return None
            message = read(data)
            event_id = message.event_id
            return self._do(message)
        except VisavisError as error:
            code = next((name for kind, name in _KINDS if isinstance(error, kind)), "refused")
            return problem(code, str(error), event_id)

    def _do(self, message: Message) -> dict[str, Any] | None:
        """Do what ``message`` asks."""
        person = self._person
        if isinstance(message, Speak):
            person.speak(sound_of(message), message.sample_rate, message.event_id or new_id())
        elif isinstance(message, UserAudio):
            person.hear(sound_of(message), message.sample_rate)
        elif isinstance(message, Say):
            say(self._person, self._voices, message.text, message.event_id)
        elif isinstance(message, UserText):
            person.ask(message.text)
        elif isinstance(message, SetState):
            person.set_state(None if message.state == "auto" else Phase(message.state))
        elif isinstance(message, SetControl):
            person.set_control(message.fields())
        else:
            self._plain(message)
        return None

    def _plain(self, message: Plain) -> None:
        """Do what a verb without an object asks."""
        person = self._person
        verbs = {
            "agent.speak_end": person.end_speech,
            "agent.interrupt": person.interrupt,
            "agent.resume": person.resume,
            "agent.start_listening": lambda: person.set_state(Phase.LISTENING),
            "agent.stop_listening": lambda: person.set_state(None),
            "session.keep_alive": person.keep_alive,
        }
        verbs[message.type]()
