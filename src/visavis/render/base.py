"""The renderer protocol: a portrait is prepared once, then drawn for any motion frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from visavis.types import ImageArray, Motion, Portrait


@dataclass(frozen=True)
class Instant:
    """An appearance that moves of itself, as it is in frame ``index`` of the result."""

    appearance: Moving
    index: int


class Moving:
    """Base of appearances that are not the same in every frame: clips."""

    def at(self, index: int) -> Instant:
        """Return what is drawn in frame ``index``."""
        return Instant(self, index)


def shown(appearance: Any, index: int) -> Any:
    """Return what a renderer draws of ``appearance`` in frame ``index``: itself, if it is still."""
    return appearance.at(index) if isinstance(appearance, Moving) else appearance


class Renderer(Protocol):
    """Draws one portrait in any pose and expression. Holds weights, never a conversation."""

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Any:
        """Return the appearance of ``portrait`` for pictures of ``size`` (width, height) pixels."""
        ...

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the picture (h, w, 3) RGB uint8 for the single motion frame in ``motion``."""
        ...

    def rough(self, appearance: Any) -> Any:
        """Return ``appearance`` to be drawn with the least work, for machines that are too slow."""
        ...
