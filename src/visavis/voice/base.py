"""What every voice offers: text in, sound out, in pieces so that the first sound comes early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from visavis.types import FloatArray


class Voice(Protocol):
    """Speaks text. Holds weights or an address, never a conversation."""

    @property
    def rate(self) -> int:
        """Samples per second of what it speaks."""
        ...

    def speak(self, text: str) -> Iterator[FloatArray]:
        """Yield ``text`` as pieces of sound (n,) float32 in [-1, 1], a sentence or less each.

        Text without a word yields nothing. Blocks while it computes or waits for a server: ask for
        the pieces off the event loop.

        Raises:
            InputError: the text cannot be spoken; the message says which part and why.
            ModelError: the server of the voice does not answer as it should.
        """
        ...
