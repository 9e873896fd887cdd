"""The voice that speaks written words, if there is one."""

from __future__ import annotations

from collections.abc import Iterator

from visavis.errors import MissingExtra
from visavis.types import FloatArray
from visavis.voice.base import Voice
from visavis.voice.speech import LOCAL, voice_by

NONE = "none"


class Voices:
    """The server's voice; without one it says what to install."""

    def __init__(self, voice: Voice | None) -> None:
        """Speak with ``voice``; None: there is none on this machine."""
        self.voice = voice

    @classmethod
    def named(cls, name: str, key: str | None = None) -> Voices:
        """Return the voice ``name`` of voice/speech.py, or "none"; none where its extra is missing.

        Raises:
            InputError: there is no voice of that name.
        """
        if name == NONE:
            return cls(None)
        try:
            return cls(voice_by(name, key))
        except MissingExtra:
            if name != LOCAL:
                raise
            return cls(None)

    def pieces(self, text: str) -> Iterator[tuple[FloatArray, int]]:
        """Return the sound of ``text``; nothing is computed before it is iterated, in a thread.

        Raises:
            MissingExtra: there is no voice on this machine.
        """
        if self.voice is None:
            raise MissingExtra('Speaking text needs a voice: pip install "visavis[voice]"')
        rate = self.voice.rate
        return ((samples, rate) for samples in self.voice.speak(text))
