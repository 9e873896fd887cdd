"""Partners that need no account: silence, an echo, a script."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from visavis.dialogue.base import Piece, Said, Sound
from visavis.errors import InputError

SCRIPT = (
    "Hello! I am a computer-generated person, and I run on this very machine.",
    "I hear when you begin to speak, and I stop when you interrupt me. Try it!",
    "While you speak I listen. While nobody speaks I breathe, blink and look around.",
    "What I say here is a short script. Connect me to a language model, and I will answer you.",
)
"""What the scripted partner says unless it is given lines."""


class SilentPartner:
    """Has no answers: the person says what ``say`` is given."""

    async def reply(self, turn: Sound) -> AsyncGenerator[Piece, None]:
        """Yield nothing."""
        if turn.rate < 0:  # never: what makes this a generator
            yield turn

    def heard(self, said: Said) -> None:
        """Take no note."""

    async def close(self) -> None:
        """Hold nothing."""


class EchoPartner(SilentPartner):
    """Says back what the user said, in the user's own voice."""

    async def reply(self, turn: Sound) -> AsyncGenerator[Piece, None]:
        """Yield ``turn``."""
        yield turn if len(turn.samples) else turn.text


class ScriptedPartner(SilentPartner):
    """Answers with its lines in turn, again from the first after the last."""

    def __init__(self, lines: Sequence[str] = SCRIPT) -> None:
        """Answer with ``lines``.

        Raises:
            InputError: there is none.
        """
        self._lines = [line.strip() for line in lines if line.strip()]
        if not self._lines:
            raise InputError("The script is empty. Give it one answer a line.")
        self._next = 0

    async def reply(self, turn: Sound) -> AsyncGenerator[Piece, None]:
        """Yield the next line."""
        line = self._lines[self._next % len(self._lines)]
        self._next += 1
        yield line
