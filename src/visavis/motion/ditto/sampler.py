"""From noise to a window of Ditto's motion: its denoiser, asked step after step.

The published way is DDIM (Song, Meng and Ermon 2021) with eta 1, guided (Ho and Salimans 2021), on
a schedule of a thousand steps. Where upstream takes the root of a number just below 0 and returns
NaN (5 steps, for one), ours takes 0 (ditto-spec 8, B3). A student distilled by
train/tasks/ditto_distill.py is asked by consistency sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import sample_consistency, sample_ddim, stepped_times
from visavis.diffusion.schedule import SteppedSchedule
from visavis.errors import check_whole
from visavis.motion.ditto.config import LmdmConfig
from visavis.types import FloatArray

SCHEDULE = SteppedSchedule()
MOST_STEPS = 50


class Denoiser(Protocol):
    """A denoiser wherever it runs; all arrays float32."""

    @property
    def config(self) -> LmdmConfig:
        """Its sizes."""
        ...

    def prepare(self, before: FloatArray, told: FloatArray) -> Any:
        """Return what does not change from step to step, for a window told ``told`` (n, c) that
        follows the frame ``before`` (265,).
        """
        ...

    def guess(self, prepared: Any, motion: FloatArray, time: int) -> FloatArray:
        """Return clean motion (b, n, 265) for noisy ``motion`` (n, 265) of step ``time``: as told
        and, unless it is a student (b = 1), as if nothing were told.
        """
        ...


@dataclass(frozen=True)
class Sampling:
    """``steps`` calls of the denoiser, and how many times what is told is taken (1: once).

    Raises:
        InputError: the steps are not 1 to MOST_STEPS.
    """

    steps: int = 10
    guidance: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        check_whole("steps", self.steps, 1, MOST_STEPS)


def sampled(
    denoiser: Denoiser,
    sampling: Sampling,
    before: FloatArray,
    told: FloatArray,
    noises: Sequence[FloatArray],
) -> FloatArray:
    """Return a window of motion (n, 265) that follows the frame ``before`` (265,).

    ``told`` (n, c); ``noises`` as many (n, 265) as there are steps: what it starts from, then what
    is added after every step but the last.
    """
    prepared = denoiser.prepare(before, told)

    def denoise(motion: FloatArray, time: int) -> FloatArray:
        guesses = denoiser.guess(prepared, motion, time)
        if denoiser.config.is_student:
            return guesses[0]
        return guide(guesses[1], [guesses[0]], [sampling.guidance])

    times = stepped_times(sampling.steps)
    if denoiser.config.is_student:
        return sample_consistency(denoise, noises, times, SCHEDULE)
    fresh = [*noises[1:], None]
    return sample_ddim(denoise, noises[0], times, SCHEDULE, eta=1.0, noises=fresh)
