"""What each message of the control protocol does to a session, on whatever channel it came."""

from __future__ import annotations

from typing import Any

from visavis.errors import InputError, MissingExtra, QueueFull, SessionClosed, VisavisError
from visavis.serve.keys import new_id
from visavis.serve.live import LiveSession
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
from visavis.serve.voices import Voices
from visavis.types import Phase

_KINDS = (
    (BadMessage, "bad_message"),
    (QueueFull, "queue_full"),
    (SessionClosed, "closed"),
    (MissingExtra, "not_available"),
    (InputError, "invalid"),
)


def say(live: LiveSession, voices: Voices, text: str, event_id: str | None) -> str:
    """Speak ``text`` in ``live``; return the identifier that its events carry.

    Where a partner talks it is the partner who says it, under a name of its own.

    Raises:
        MissingExtra: there is no voice. SessionError: something else is being said.
    """
    name = event_id or new_id()
    pieces = voices.pieces(text)
    if not live.say_by_partner(text):
        live.say(name, pieces)
    return name


class Control:
    """One client's hold on one session."""

    def __init__(self, live: LiveSession, voices: Voices, user_rate: int = 16_000) -> None:
        """Control ``live``; binary messages are the user's sound at ``user_rate``."""
        self._live = live
        self._voices = voices
        self._user_rate = user_rate

    def take(self, data: str | bytes) -> dict[str, Any] | None:
        """Do what message ``data`` asks; return what the client must be told of it, if anything.

        Text is a message of the protocol, bytes are sound of the user's microphone.
        """
        event_id: str | None = None
        try:
            if isinstance(data, bytes):
                self._live.hear(pcm16(data), self._user_rate)
                return None
            message = read(data)
            event_id = message.event_id
            return self._do(message)
        except VisavisError as error:
            code = next((name for kind, name in _KINDS if isinstance(error, kind)), "refused")
            return problem(code, str(error), event_id)

    def _do(self, message: Message) -> dict[str, Any] | None:
        """Do what ``message`` asks."""
        live = self._live
        if isinstance(message, Speak):
            live.speak(sound_of(message), message.sample_rate, message.event_id or new_id())
        elif isinstance(message, UserAudio):
            live.hear(sound_of(message), message.sample_rate)
        elif isinstance(message, Say):
            say(live, self._voices, message.text, message.event_id)
        elif isinstance(message, UserText):
            live.ask(message.text)
        elif isinstance(message, SetState):
            live.set_state(None if message.state == "auto" else Phase(message.state))
        elif isinstance(message, SetControl):
            live.set_control(message.fields())
        else:
            self._plain(message)
        return None

    def _plain(self, message: Plain) -> None:
        """Do what a verb without an object asks."""
        live = self._live
        verbs = {
            "agent.speak_end": live.end_speech,
            "agent.interrupt": live.interrupt,
            "agent.resume": live.resume,
            "agent.start_listening": lambda: live.set_state(Phase.LISTENING),
            "agent.stop_listening": lambda: live.set_state(None),
            "session.keep_alive": live.keep_alive,
        }
        verbs[message.type]()
