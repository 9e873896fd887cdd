"""What gives when the machine is too slow: pictures, in this order, and never the sound.

===== =====================================================================
level what is drawn
===== =====================================================================
0     as asked
1     roughly: mouth and eyes without the networks that paint them
2     roughly, every second frame
3     roughly, every fourth frame
===== =====================================================================

A level is left downwards after ``PATIENCE`` late frames within a second or so, and upwards after
ten seconds without one, twice as many after every relapse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LEVELS: tuple[tuple[bool, int], ...] = ((False, 1), (True, 1), (True, 2), (True, 4))
"""For each level: is it drawn roughly, and each how manieth frame."""
PATIENCE = 3
_FORGIVEN = 12
_CALM, _CALMEST = 250, 4000


@dataclass(frozen=True)
class Load:
    """``level`` now; ``strain`` counts late frames and fades; ``calm`` frames since the last late
    one, of ``needed`` before a better level is tried; ``has_risen``: one has been.
    """

    level: int = 0
    strain: float = 0.0
    calm: int = 0
    needed: int = _CALM
    has_risen: bool = False


def judged(load: Load, is_late: bool) -> Load:
    """Return the load after a frame was shown, on time or not."""
    if is_late:
        strain = load.strain + 1.0
        if strain < PATIENCE or load.level + 1 == len(LEVELS):
            return replace(load, strain=min(strain, PATIENCE), calm=0)
        needed = min(_CALMEST, 2 * load.needed) if load.has_risen else load.needed
        return Load(load.level + 1, needed=needed)
    strain, calm = max(0.0, load.strain - 1.0 / _FORGIVEN), load.calm + 1
    if calm >= load.needed and load.level:
        return Load(load.level - 1, needed=load.needed, has_risen=True)
    return replace(load, strain=strain, calm=calm)


def is_drawn(level: int, index: int) -> bool:
    """Return whether frame ``index`` is drawn at ``level``; else the one before stays."""
    return index % LEVELS[level][1] == 0
