"""The renderer protocol: a portrait is prepared once, then drawn for any motion frame."""

from __future__ import annotations

from typing import Any, Protocol

from visavis.types import ImageArray, Motion, Portrait


class Renderer(Protocol):
    """Draws one portrait in any pose and expression. Holds weights, never a conversation."""

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Any:
        """Return the appearance of ``portrait`` for pictures of ``size`` (width, height) pixels."""
        ...

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the picture (h, w, 3) RGB uint8 for the single motion frame in ``motion``."""
        ...
