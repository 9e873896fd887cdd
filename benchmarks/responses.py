"""The response of a motion model to one control: played at several settings, and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import players

from visavis.motion.base import MotionModel
from visavis.motion.controls import Controls
from visavis.types import Features, FloatArray

Measure = Callable[[FloatArray], float]


@dataclass(frozen=True)
class Response:
    """``measured`` in ``unit`` at each of ``asked``; ``scatter`` between sounds and seeds."""

    name: str
    unit: str
    asked: tuple[float, ...]
    measured: tuple[float, ...]
    scatter: tuple[float, ...]

    @property
    def rank_correlation(self) -> float:
        """Spearman's: 1 where more asked is always more measured."""
        if np.ptp(self.measured) == 0:
            return 0.0
        return float(np.corrcoef(_ranks(self.asked), _ranks(self.measured))[0, 1])

    def show(self) -> None:
        """Print it as one line."""
        pairs = zip(self.asked, self.measured, strict=True)
        numbers = "  ".join(f"{a:g}: {m:.3f}" for a, m in pairs)
        print(
            f"{self.name:22} rank {self.rank_correlation:6.3f}  {self.unit}:  {numbers}", flush=True
        )


def _ranks(values: Sequence[float]) -> FloatArray:
    """Return the place of each of ``values`` in order; equal ones share the mean of theirs."""
    v = np.array(values)
    return ((v[:, None] > v).sum(axis=1) + (v[:, None] >= v).sum(axis=1)) / 2


class Stage:
    """The model, the sounds and the seeds that every setting is played with."""

    def __init__(self, model: MotionModel, sounds: Sequence[Features], seeds: int) -> None:
        """Play each of ``sounds`` with seeds 0 up to but without ``seeds``."""
        self.model, self.sounds, self.seeds = model, sounds, range(seeds)

    def play(self, asked: Controls) -> list[FloatArray]:
        """Return the motion (t, 58) of each sound and seed, the first second left out."""
        return [
            players.play(self.model, s, seed, asked)[25:]
            for s in self.sounds
            for seed in self.seeds
        ]

    def respond(
        self, name: str, unit: str, settings: dict[float, Controls], measure: Measure
    ) -> Response:
        """Return the response to ``settings``, by the number that is asked for."""
        found = [[measure(m) for m in self.play(c)] for c in settings.values()]
        response = Response(name, unit, tuple(settings), *mean_and_scatter(found))
        response.show()
        return response


def mean_and_scatter(
    found: Sequence[Sequence[float]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each row."""
    values = np.array(found)
    return tuple(values.mean(axis=1)), tuple(values.std(axis=1))
