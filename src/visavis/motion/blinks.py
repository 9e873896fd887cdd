"""When to blink: a clock that any rate can drive, and that a changing rate keeps in step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from visavis.motion.ambient import BLINKS_PER_MIN, DOUBLE_BLINK_S, MEDIAN_WAIT, blink_wait
from visavis.motion.controls import Controls
from visavis.motion.noise import uniform

_START = 1400


@dataclass(frozen=True)
class BlinkClock:
    """``passed`` mean intervals and ``frames`` since the last blink; ``count`` blinks so far."""

    passed: float
    frames: int = 1000
    count: int = 0


def start(seed: int) -> BlinkClock:
    """Return the clock of a fresh session, somewhere between two blinks."""
    return BlinkClock(0.8 * uniform(seed, _START, 0))


def tick(clock: BlinkClock, seed: int, controls: Controls, fps: int) -> tuple[BlinkClock, bool]:
    """Return the clock one frame on, and whether the lids meet in that frame.

    The rate is ``controls.blink_rate`` a minute, or the natural one of the phase; 0: never.
    """
    rate = controls.blink_rate
    rate = BLINKS_PER_MIN[controls.phase] if rate is None else rate
    clock = replace(clock, passed=clock.passed + rate / 60.0 / fps, frames=clock.frames + 1)
    is_ready = rate > 0.0 and clock.frames >= DOUBLE_BLINK_S * fps
    if not is_ready or clock.passed < MEDIAN_WAIT * blink_wait(seed, clock.count):
        return clock, False
    return BlinkClock(0.0, 0, clock.count + 1), True
