"""The voice that speaks written words, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from visavis.errors import MissingExtra
from visavis.types import FloatArray
from visavis.voice.base import Voice
from visavis.voice.speech import LOCAL, voice_by


class Voices:
    """A voice that is made on first use; without the extra it says so."""

    def __init__(self, make: Callable[[], Voice] | None) -> None:
        """Speak with what ``make`` returns; None: there is no voice on this machine."""
        self._make = make

    @classmethod
    def local(cls) -> Voices:
        """Return the packaged voice, or none where its extra is not installed."""
        try:
            voice = voice_by(LOCAL)
        except MissingExtra:
            return cls(None)
        return cls(lambda: voice)

    @property
    def are_there(self) -> bool:
        """Tell whether text can be spoken."""
        return self._make is not None

    @cached_property
    def _voice(self) -> Voice:
        """Make the voice."""
        if self._make is None:
            raise _missing()
        return self._make()

    def pieces(self, text: str) -> Iterator[tuple[FloatArray, int]]:
        """Return the sound of ``text``; nothing is computed before it is iterated, in a thread.

        Raises:
            MissingExtra: there is no voice on this machine.
        """
        if self._make is None:
            raise _missing()
        return self._spoken(text)

    def _spoken(self, text: str) -> Iterator[tuple[FloatArray, int]]:
        """Yield the sound of ``text``."""
        for samples in self._voice.speak(text):
            yield samples, self._voice.rate


def _missing() -> MissingExtra:
    """Return the error for a machine without a voice."""
    return MissingExtra('Speaking text needs a voice: pip install "visavis[voice]"')
