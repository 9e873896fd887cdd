"""What a caller may ask of the motion, at one instant and over time.

``Controls`` is the state of every control at one instant, phase included (LLIA's class label is one
control among others). A ``Timeline`` gives the controls at any time, so that what a frame is asked
to do depends on its time alone and never on how the sound was cut. motion/keyframes.py reads both
from words and files, motion/shaping.py applies those that are exact.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from visavis.errors import InputError
from visavis.motion.layout import INDEX
from visavis.types import Phase

EMOTIONS: tuple[str, ...] = (
    "neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised",
)  # fmt: skip
"""The eight classes of MEAD and of Ditto's conditions."""

REGIONS: dict[str, tuple[str, ...]] = {
    "brows": ("brows",), "lids": ("lids",), "gaze": ("gaze",), "mouth": ("jaw", "lips"),
    "head": ("head",),
}  # fmt: skip
"""The regions that can be frozen, in groups of motion/conditions.py."""

VIEWER = (0.0, 0.0)
AWAY = (22.0, -8.0)
"""Where the eyes aim when they look at the viewer, and away: yaw, pitch in degrees."""

RANGES: dict[str, tuple[float, float]] = {
    "intensity": (0, 1), "blink_rate": (0, 60), "head_range": (0, 2), "energy": (0.5, 1.5),
    "gaze": (-45, 45), "head": (-30, 30), "gain": (0, 3), "offset": (-1, 1), "hold": (0, 1),
}  # fmt: skip
"""What each number may be; ``offset`` and ``hold`` of a value of the head: -30..30 (degrees)."""
HEAD_LIMIT = 30.0


@dataclass(frozen=True)
class Controls:
    """Every control at one instant; the defaults ask for nothing in particular.

    ``emotion`` one of EMOTIONS, ``intensity`` 0..1. ``gaze`` (yaw, pitch) in degrees the eyes aim
    at, seen from the viewer (+ right, + up; (0, 0) looks at the viewer), None: free. ``blink_rate``
    blinks per minute, None: natural. ``head`` pitch, yaw, roll in degrees the head tends to, None:
    free; ``head_range`` scales its own movement. ``energy`` how lively, 1 = as usual, 0.5..1.5.
    ``gain`` and ``offset`` by name of motion/layout.py: value * gain + offset. ``freeze`` the
    regions ("brows", "lids", "gaze", "mouth", "head") held at rest; ``hold`` the value of single
    ones by name. What is held is told to the motion model, so that the rest goes with it.

    Raises:
        InputError: a name is unknown or a number out of range (RANGES).
    """

    phase: Phase = Phase.SPEAKING
    emotion: str = "neutral"
    intensity: float = 0.0
    gaze: tuple[float, float] | None = None
    blink_rate: float | None = None
    head: tuple[float, float, float] | None = None
    head_range: float = 1.0
    energy: float = 1.0
    gain: Mapping[str, float] = field(default_factory=dict)
    offset: Mapping[str, float] = field(default_factory=dict)
    freeze: frozenset[str] = frozenset()
    hold: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        _check_name("emotion", self.emotion, EMOTIONS)
        for region in self.freeze:
            _check_name("freeze", region, REGIONS)
        for name in ("intensity", "blink_rate", "head_range", "energy"):
            _check_numbers(name, getattr(self, name), 0)
        _check_numbers("gaze", self.gaze, 2)
        _check_numbers("head", self.head, 3)
        for name in ("gain", "offset", "hold"):
            _check_values(name, getattr(self, name))


def _check_name(field_name: str, name: str, known: Any) -> None:
    if name not in known:
        raise InputError(f"{field_name} {name!r} is unknown. Use one of: {', '.join(known)}.")


def _check_numbers(name: str, value: Any, count: int) -> None:
    """Refuse anything but ``count`` numbers (0: one, alone) within RANGES."""
    if value is None and name in ("gaze", "head", "blink_rate"):
        return
    low, high = RANGES[name]
    numbers = value if count else (value,)
    is_fit = isinstance(numbers, (tuple, list)) and len(numbers) == (count or 1)
    if not is_fit or not all(_is_within(x, low, high) for x in numbers):
        what = f"{count} numbers" if count else "a number"
        raise InputError(f"{name} {value!r} is not {what} from {low:g} to {high:g}.")


def _check_values(field_name: str, values: Mapping[str, float]) -> None:
    """Refuse a name that is not in the motion layout, or a number out of range."""
    for name, value in values.items():
        if name not in INDEX:
            raise InputError(
                f"{field_name} of {name!r}: no such value. Use an ARKit name (jawOpen, "
                "mouthSmileLeft, ...) or headPitch, headYaw, headRoll, headX, headY, headScale."
            )
        low, high = RANGES[field_name]
        if name.startswith("head") and field_name != "gain":
            low, high = -HEAD_LIMIT, HEAD_LIMIT
        if not _is_within(value, low, high):
            raise InputError(
                f"{field_name} of {name} is {value!r}; {low:g} to {high:g} is possible."
            )


def _is_within(value: Any, low: float, high: float) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and low <= value <= high


@dataclass(frozen=True)
class Timeline:
    """Controls over time: ``keys`` (seconds, Controls) in order; numbers run linearly between keys,
    names change at their key. Before the first key the first holds, after the last the last.

    Seconds count from the start of the session. A name is also whether there is a gaze, a head, a
    rate at all, and which values are held.

    Raises:
        InputError: there is no key, or their times do not rise.
    """

    keys: tuple[tuple[float, Controls], ...] = ((0.0, Controls()),)

    def __post_init__(self) -> None:
        """Refuse keys that are not in order."""
        times = [seconds for seconds, _ in self.keys]
        if not times:
            raise InputError("A timeline needs at least one key: (seconds, Controls).")
        for before, after in zip(times, times[1:], strict=False):
            if not before < after:
                raise InputError(
                    f"The key at {after} s follows one at {before} s; times must rise."
                )

    @staticmethod
    def steady(controls: Controls) -> Timeline:
        """Return the timeline on which ``controls`` hold all the time."""
        return Timeline(((0.0, controls),))

    def at(self, seconds: float) -> Controls:
        """Return the controls at ``seconds``."""
        after = bisect_right(self.keys, seconds, key=lambda key: key[0])
        if after in (0, len(self.keys)):
            return self.keys[max(0, after - 1)][1]
        (start, a), (end, b) = self.keys[after - 1], self.keys[after]
        return mixed(a, b, (seconds - start) / (end - start))


def as_timeline(controls: Controls | Timeline | None) -> Timeline:
    """Return ``controls`` as a timeline: itself, a steady one, or the default."""
    if isinstance(controls, Timeline):
        return controls
    return Timeline() if controls is None else Timeline.steady(controls)


def mixed(a: Controls, b: Controls, share: float) -> Controls:
    """Return ``a`` with its numbers moved by ``share`` 0..1 towards those of ``b``."""
    if a == b or share <= 0.0:
        return a

    def mix(x: Any, y: Any) -> Any:
        if x is None or y is None:
            return x
        return tuple(map(mix, x, y)) if isinstance(x, tuple) else x + share * (y - x)

    def named(x: Mapping[str, float], y: Mapping[str, float], usual: float) -> dict[str, float]:
        return {n: mix(x.get(n, usual), y.get(n, usual)) for n in {**x, **y}}

    return replace(
        a,
        intensity=mix(a.intensity, b.intensity),
        gaze=mix(a.gaze, b.gaze),
        blink_rate=mix(a.blink_rate, b.blink_rate),
        head=mix(a.head, b.head),
        head_range=mix(a.head_range, b.head_range),
        energy=mix(a.energy, b.energy),
        gain=named(a.gain, b.gain, 1.0),
        offset=named(a.offset, b.offset, 0.0),
        hold={n: mix(x, b.hold.get(n, x)) for n, x in a.hold.items()},
    )
