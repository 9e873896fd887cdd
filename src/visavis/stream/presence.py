"""What a body does besides: it breathes, and listeners nod at the joints of what they hear.

Who listens nods where a phrase has ended, and now and then in the midst of a long one (Yngve 1970;
Ward and Tsukahara 2000 find such answers 0.2 to 0.7 s after a pause or a low pitch begins). The
motion model alone hardly answers, and knows no breath: both are added to it as offsets over time,
determined by the seed and by what is heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from visavis.motion.ambient import BREATH_DEG, BREATH_Y, EYE_RANGE_DEG, breath
from visavis.motion.controls import HEAD_LIMIT, Controls, Timeline
from visavis.motion.noise import uniform
from visavis.types import MOTION_FPS

_PHRASE_S, _PAUSE_S, _LONG_S = 1.2, 0.22, 5.0
_CHANNEL = 1700
_NOD_S, _BROW_S = 0.9, 1.1


@dataclass(frozen=True)
class Gesture:
    """A nod of ``degrees`` from frame ``start`` on, brows lifted by ``brows`` 0..1 with it."""

    start: int
    degrees: float
    brows: float

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.start + math.ceil(max(_NOD_S, _BROW_S) * MOTION_FPS)

    def offsets(self, frame: int) -> dict[str, float]:
        """Return what it adds to frame ``frame``."""
        seconds = (frame - self.start) / MOTION_FPS
        nod, brow = seconds / _NOD_S, seconds / _BROW_S
        out: dict[str, float] = {}
        if 0.0 < nod < 1.0:  # down, up a little, down again less: a swing that dies away
            swing = math.sin(2 * math.pi * 1.75 * nod) * (1 - nod) ** 1.5
            down = self.degrees * swing * math.sin(math.pi * min(1.0, 4 * nod) / 2)
            look = "eyeLookUp" if down > 0 else "eyeLookDown"  # eyes stay on the user
            held = abs(down) / EYE_RANGE_DEG
            out |= {"headPitch": -down, look + "Left": held, look + "Right": held}
        if 0.0 < brow < 1.0 and self.brows:
            lift = self.brows * math.sin(math.pi * brow) ** 2
            out |= dict.fromkeys(("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), lift)
        return out


@dataclass(frozen=True)
class Listener:
    """How long the user has spoken since the last answer, and paused; answers so far."""

    seed: int
    spoken_s: float = 0.0
    pause_s: float = 0.0
    answers: int = 0
    gesture: Gesture | None = None


def listened(
    listener: Listener, spoken: float, quiet: float, frame: int, is_listening: bool
) -> Listener:
    """Return the listener after the user was heard: seconds ``spoken`` and ``quiet``.

    An answer begins at ``frame``.
    """
    pause = listener.pause_s + quiet if spoken < quiet else 0.0
    after = replace(listener, spoken_s=listener.spoken_s + spoken, pause_s=pause)
    has_ended = after.spoken_s >= _PHRASE_S and pause >= _PAUSE_S
    is_busy = after.gesture is not None and frame < after.gesture.end
    if not is_listening or is_busy or not (has_ended or after.spoken_s >= _LONG_S):
        return after
    lot = [uniform(after.seed, _CHANNEL + k, after.answers) for k in range(2)]
    degrees = (3.0 if has_ended else 1.8) + 2.0 * lot[0]
    brows = 0.3 * lot[1] if has_ended and lot[1] > 0.4 else 0.0
    return Listener(after.seed, answers=after.answers + 1, gesture=Gesture(frame, degrees, brows))


def present(
    timeline: Timeline, seed: int, gesture: Gesture | None, first: int, frames: int
) -> Timeline:
    """Return ``timeline`` for ``frames`` frames from ``first`` on, with breath and ``gesture``."""
    keys = []
    for frame in range(first, first + frames):
        seconds = frame / MOTION_FPS
        rise = breath(seed, seconds)
        added = {"headY": BREATH_Y * rise, "headPitch": BREATH_DEG * rise}
        for name, value in ({} if gesture is None else gesture.offsets(frame)).items():
            added[name] = added.get(name, 0.0) + value
        keys.append((seconds, _offset(timeline.at(seconds), added)))
    return Timeline(tuple(keys))


def _offset(controls: Controls, added: dict[str, float]) -> Controls:
    """Return ``controls`` with the offsets ``added``."""
    offset = dict(controls.offset)
    for name, value in added.items():
        limit = HEAD_LIMIT if name.startswith("head") else 1.0
        offset[name] = min(limit, max(-limit, offset.get(name, 0.0) + value))
    return replace(controls, offset=offset)
