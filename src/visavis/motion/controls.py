"""What a caller may ask of the motion, at one instant and over time.

``Controls`` is the state of every control at one instant, phase included (LLIA's class label is one
control among others). A ``Timeline`` gives the controls at any time, so that what a frame is asked
to do depends on its time alone and never on how the sound was cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from visavis.types import Phase

EMOTIONS: tuple[str, ...] = (
    "neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised",
)  # fmt: skip
"""The eight classes of MEAD and of Ditto's conditions."""


@dataclass(frozen=True)
class Controls:
    """Every control at one instant; the defaults ask for nothing in particular.

    ``emotion`` one of EMOTIONS, ``intensity`` 0..1. ``gaze`` (yaw, pitch) in degrees the eyes aim
    at, seen from the viewer (+ right, + up; (0, 0) looks at the viewer), None: free. ``blink_rate``
    blinks per minute, None: natural. ``head`` pitch, yaw, roll in degrees the head tends to, None:
    free; ``head_range`` scales its own movement. ``energy`` how lively, 1 = as usual, 0.5..1.5.
    ``gain`` and ``offset`` by name of motion/layout.py: value * gain + offset. ``freeze`` the
    regions ("brows", "lids", "gaze", "mouth", "head") held at rest.
    """

    phase: Phase = Phase.SPEAKING
    emotion: str = "neutral"
    intensity: float = 0.0
    gaze: tuple[float, float] | None = None
    blink_rate: float | None = None
    head: tuple[float, float, float] | None = None
    head_range: float = 1.0
    energy: float = 1.0
    gain: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    offset: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    freeze: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Timeline:
    """Controls over time: ``keys`` (seconds, Controls) in order; numbers run linearly between keys,
    names change at their key. Before the first key the first holds, after the last the last.
    """

    keys: tuple[tuple[float, Controls], ...] = ((0.0, Controls()),)

    def at(self, seconds: float) -> Controls:
        """Return the controls at ``seconds``."""
        before = [c for s, c in self.keys if s <= seconds]
        return before[-1] if before else self.keys[0][1]
