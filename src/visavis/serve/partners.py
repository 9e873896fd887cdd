"""Who the person talks with: nobody (sound comes from outside), or one who answers."""

from __future__ import annotations

from visavis.errors import InputError
from visavis.serve.live import LiveSession
from visavis.serve.voices import Voices

NOBODY = "none"


class Partners:
    """The agents that a session can have, by name."""

    def __init__(self, voices: Voices) -> None:
        """Let partners speak with ``voices``."""
        self._voices = voices

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that ``attach`` takes."""
        return (NOBODY,)

    def check(self, name: str) -> None:
        """Refuse a name that is not known.

        Raises:
            InputError: names those that are.
        """
        if name not in self.names:
            raise InputError(f"There is no agent {name!r}. Use one of: {', '.join(self.names)}.")

    def attach(self, name: str, live: LiveSession) -> None:
        """Let ``name`` talk in ``live``."""
        self.check(name)
