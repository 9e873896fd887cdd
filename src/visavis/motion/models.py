"""Motion models by name."""

from __future__ import annotations

from visavis.errors import InputError
from visavis.hub import manifest
from visavis.motion.base import MotionModel
from visavis.motion.chunks import LIVE, ChunkPlan
from visavis.motion.diffused import FEW, NETWORK, STEPS, DiffusedMotion, Sampling
from visavis.motion.rules import RuleMotion

MOTION_MODELS = ("diffused", "rules")


def motion_by(name: str | None = None, steps: int = 1, live: bool = False) -> MotionModel:
    """Return the motion model ``name`` of MOTION_MODELS; by default the first that is packaged.

    ``live`` keeps its chunks short, for sound that comes as it is spoken.

    Raises:
        InputError: there is no such model, or it cannot take so many ``steps``.
        UnknownModel: this package is without its network.
    """
    if name not in (None, *MOTION_MODELS):
        known = ", ".join(MOTION_MODELS)
        raise InputError(f"No motion model is called {name!r}. Use one of: {known}.")
    chosen = name or MOTION_MODELS[NETWORK not in manifest()]
    possible = [n for n in STEPS if n <= FEW] if chosen == "diffused" else [1]
    if steps not in possible:
        accepted = ", ".join(map(str, possible))
        raise InputError(f"steps {steps!r} is not possible with motion by {chosen}: {accepted}.")
    if chosen == "rules":
        return RuleMotion()
    return DiffusedMotion(sampling=Sampling(steps), plan=LIVE if live else ChunkPlan())
