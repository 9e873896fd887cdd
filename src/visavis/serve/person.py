"""The person of a session as those see it who talk to it: speak, listen, be still, be different.

Three may speak through it: whoever sends sound piece by piece, files and texts in turn, and a
partner that answers. They do not speak at once: who is refused is told who speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from visavis.dialogue.base import Dialogue
from visavis.errors import InputError, SessionClosed, SessionError
from visavis.motion.keyframes import FIELDS
from visavis.serve.messages import problem
from visavis.serve.spoken import Pieces, Speaker
from visavis.stream.moments import Interrupted
from visavis.stream.session import Session
from visavis.timing import Stopwatch
from visavis.types import FloatArray, Phase

Tell = Callable[[dict[str, Any]], None]


class Person:
    """What can be asked of one session; ``was_asked`` is set by everything but being spoken to.

    ``silence`` runs from an interruption until somebody takes it away.
    """

    def __init__(self, session: Session, tell: Tell) -> None:
        """Play in ``session``; ``tell`` hears what could not be said."""
        self.was_asked = False
        self.silence: Stopwatch | None = None
        self._session = session
        self._tell = tell
        self._speaker = Speaker(session, lambda: session.queue_s, self._could_not_say)
        self._dialogue: Dialogue | None = None
        self._is_answered = False
        self._speech_id: str | None = None
        self._is_over = False

    def join(self, dialogue: Dialogue, kind: str) -> None:
        """Let ``dialogue`` hear the user and speak; the ``kind`` "none" only hears."""
        self._dialogue = dialogue
        self._is_answered = kind != "none"

    def end(self) -> None:
        """Say nothing more, and do nothing that is asked."""
        self._is_over = True
        self._speaker.clear()

    def speak(self, samples: FloatArray, rate: int, speech_id: str | None = None) -> None:
        """Take the next piece of an utterance; the first piece's ``speech_id`` names all of it.

        Raises:
            SessionError: a file or a text is being spoken, the queue is full, or it is over.
        """
        self._note()
        if self._speaker.is_busy:
            raise SessionError("A file or a text is being spoken; interrupt it or wait.")
        self._speech_id = self._speech_id or speech_id
        self._session.push_audio(samples, rate, speech_id=self._speech_id)

    def end_speech(self) -> None:
        """The utterance of ``speak`` is complete."""
        self._note()
        self._speech_id = None
        self._session.end_audio()

    def say(self, event_id: str, pieces: Pieces) -> None:
        """Speak what an iterator gives, after what is being said.

        Raises:
            SessionError: an utterance of ``speak`` has not ended, or too many wait.
        """
        self._note()
        if self._speech_id is not None:
            raise SessionError("An utterance has not ended; send agent.speak_end first.")
        self._speaker.say(event_id, pieces)

    def say_by_partner(self, event_id: str, text: str) -> bool:
        """Let the partner say ``text``; False if there is none that talks."""
        self._note()
        if self._dialogue is None or not self._is_answered:
            return False
        self._speaker.call(event_id, self._dialogue.say(text))
        return True

    def ask(self, text: str) -> None:
        """Take ``text`` as what the user says to the partner.

        Raises:
            SessionError: nobody answers here.
        """
        self._note()
        if self._dialogue is None or not self._is_answered:
            raise SessionError("Nobody answers in this session; open one with an agent.")
        self._dialogue.ask(text)

    def interrupt(self) -> Interrupted:
        """Stop speaking at once; say how far it came."""
        self._note()
        self._speaker.clear()
        self._speech_id = None
        self.silence = Stopwatch()
        waiting_s = self._session.queue_s
        said = None if self._dialogue is None else self._dialogue.interrupt()
        if said is None:
            return self._session.interrupt()
        return Interrupted(said.speech_id, said.position_s, waiting_s)

    def give_way(self) -> None:
        """Stop what was sent to be spoken, for the user speaks to the partner."""
        if self._is_answered and self._speaker.is_busy:
            self._speaker.clear()
            self._session.interrupt()

    def resume(self) -> float:
        """Say what the last interruption dropped; return the seconds queued again."""
        self._note()
        return self._session.resume()

    def set_state(self, phase: Phase | None) -> None:
        """Set what the person does; None: as the sound has it."""
        self._note()
        self._session.set_state(phase)

    def set_control(self, controls: Mapping[str, Any]) -> None:
        """Change ``controls``, words or values of motion/keyframes.py by name.

        Raises:
            InputError: a control or its value is not known.
        """
        self._note()
        unknown = sorted(set(controls) - set(FIELDS))
        if unknown:
            known = ", ".join(FIELDS)
            raise InputError(f"No control is called {unknown[0][:40]!r}. Known: {known}.")
        try:
            self._session.set_control(**controls)
        except OverflowError as error:
            raise InputError("A number is too large for a control.") from error

    def hear(self, samples: FloatArray, rate: int) -> None:
        """Take what the user says, (n,) float32; it keeps no session open by itself."""
        self._check()
        if self._dialogue is not None:
            self._dialogue.hear(samples, rate)
        else:
            self._session.push_user_audio(samples, rate)

    def keep_alive(self) -> None:
        """Count as asked."""
        self._note()

    def _check(self) -> None:
        """Refuse what comes after the end."""
        if self._is_over:
            raise SessionClosed("The session is over; open another one.")

    def _note(self) -> None:
        """Note that something was asked."""
        self._check()
        self.was_asked = True

    def _could_not_say(self, event_id: str, why: str) -> None:
        """Tell that an utterance could not be spoken."""
        self._tell(problem("not_spoken", why, event_id))
