"""Who the person talks with: nobody (sound comes from outside), or one who answers."""

from __future__ import annotations

from visavis.dialogue.base import Happened
from visavis.dialogue.join import Chosen, converse, partner_by
from visavis.errors import InputError
from visavis.serve.live import LiveSession
from visavis.serve.messages import problem
from visavis.serve.settings import ServerSettings
from visavis.serve.voices import Voices
from visavis.stream.session import Session

_TOLD = {
    "user_started": "user.speech_started",
    "user_ended": "user.speech_ended",
    "user_said": "user.said",
    "reply_started": "agent.reply_started",
    "reply_text": "agent.said",
    "reply_ended": "agent.reply_ended",
}


class UnknownPartner(InputError):  # noqa: N818 - reads as what happened
    """No partner has that name here."""


class Partners:
    """The partners that a session can have, by the kind that a client names."""

    def __init__(self, settings: ServerSettings, voices: Voices) -> None:
        """Offer those that need nothing, and the one that the operator set up.

        Raises:
            InputError: the partner of ``settings`` is not known.
        """
        self._voice = voices.voice
        own = partner_by(settings.agent, settings.agent_key, settings.agent_prompt)
        free = [partner_by(kind) for kind in ("none", "echo", "scripted")]
        self._chosen = {
            chosen.kind: chosen
            for chosen in (*free, own)
            if chosen.speaks_itself or self._voice is not None
        }
        self.default = own.kind
        self._chosen_or_raise(own.kind)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the kinds that ``join`` takes."""
        return tuple(self._chosen)

    def check(self, kind: str | None) -> str:
        """Return ``kind``, or the operator's if it is None.

        Raises:
            InputError: there is no such partner; names those that there are.
        """
        return self._chosen_or_raise(kind or self.default).kind

    def _chosen_or_raise(self, kind: str) -> Chosen:
        """Return the partner of that kind."""
        if kind not in self._chosen:
            known = ", ".join(self.names)
            raise UnknownPartner(f"There is no agent {kind!r}. Use one of: {known}.")
        return self._chosen[kind]

    async def join(self, kind: str, live: LiveSession, session: Session) -> None:
        """Let the partner ``kind`` talk in ``live``.

        Raises:
            MissingExtra: a package that it needs is not installed.
        """

        def tell(event: Happened) -> None:
            _pass_on(live, event)

        await live.join(converse(session, self._chosen[kind], self._voice, tell), kind)


def _pass_on(live: LiveSession, event: Happened) -> None:
    """Tell the listeners of ``live`` what happened in its conversation."""
    if event.kind == "user_started":
        live.person.give_way()
    if event.kind == "failed":
        live.tell(problem("agent_failed", event.text, event.speech_id))
    if event.kind in _TOLD:
        message = {"type": _TOLD[event.kind], "event_id": event.speech_id}
        live.tell({**message, "text": event.text} if event.text else message)
