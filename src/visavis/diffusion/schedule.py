"""How much signal and how much noise there is at time ``t``: 0 clean, 1 (almost) pure noise.

Everything in this folder takes NumPy arrays and torch tensors alike, without importing torch. A
time is a float or an array that broadcasts against the data, so every entry may have its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = Any
"""A NumPy array or a torch tensor; a result is of the kind that went in."""
Time = Any
"""A float, or an array of times in [0, 1] that broadcasts against the data."""

LEAST = 1e-3
"""Least signal at time 1, and least noise ever divided by: ratios stay within 1e-6 .. 1e6."""


class Schedule(Protocol):
    """How noisy data is: ``alpha(t) * x0 + sigma(t) * noise``, alpha^2 + sigma^2 = 1."""

    def alpha(self, t: Time) -> Any:
        """Return the share of signal at ``t``."""
        ...

    def sigma(self, t: Time) -> Any:
        """Return the share of noise at ``t``."""
        ...

    def add_noise(self, x0: Array, noise: Array, t: Time) -> Array:
        """Return what ``x0`` is at time ``t`` with ``noise`` (standard normal, of its shape)."""
        ...


@dataclass(frozen=True)
class CosineSchedule:
    """Cosine schedule of Nichol and Dhariwal (2021, eq. 17) in continuous time.

    Noisy data is ``alpha(t) * x0 + sigma(t) * noise`` with alpha^2 + sigma^2 = 1 and no noise at
    time 0. Times past the one at which alpha falls to ``LEAST`` count as that time: at time 1 alpha
    is 0.001, signal to noise 1e-6.
    """

    offset: float = 0.008

    def alpha(self, t: Time) -> Any:
        """Return the share of signal at ``t``."""
        first, turn = self._angles(t)
        return unary("cos", turn + first) / math.cos(first)

    def sigma(self, t: Time) -> Any:
        """Return the share of noise at ``t``; exact for small times, unlike sqrt(1 - alpha^2)."""
        first, turn = self._angles(t)
        square = unary("sin", turn) * unary("sin", turn + 2.0 * first)
        return unary("sqrt", square) / math.cos(first)

    def snr(self, t: Time) -> Any:
        """Return the ratio of the powers of signal and noise, between 1e-6 and 1e6."""
        return (self.alpha(t) / at_least(self.sigma(t))) ** 2

    def add_noise(self, x0: Array, noise: Array, t: Time) -> Array:
        """Return what ``x0`` is at time ``t`` with ``noise`` (standard normal, of its shape)."""
        return self.alpha(t) * x0 + self.sigma(t) * noise

    def _angles(self, t: Time) -> tuple[float, Any]:
        """Return the angle of time 0 and the turn from there to ``t``, both in radians."""
        unit = 0.5 * math.pi / (1.0 + self.offset)
        first = self.offset * unit
        last = math.acos(LEAST * math.cos(first)) - first
        turn = t * unit
        limited = turn.clip(0.0, last) if hasattr(turn, "clip") else min(max(turn, 0.0), last)
        return first, limited


@dataclass(frozen=True)
class SteppedSchedule:
    """The cosine schedule of Nichol and Dhariwal (2021, eq. 17) as they train it: whole steps.

    A time is a whole number (or a NumPy array of them) from 0 to ``steps`` - 1, the noisiest; -1 is
    clean data. Of each step's noise no more than 0.999 is new.
    """

    steps: int = 1000
    offset: float = 0.008

    def alpha(self, t: Time) -> Any:
        """Return the share of signal at step ``t``."""
        return _entry(_signal(self.steps, self.offset), t)

    def sigma(self, t: Time) -> Any:
        """Return the share of noise at step ``t``."""
        return _entry(np.sqrt(1.0 - _signal(self.steps, self.offset) ** 2), t)

    def add_noise(self, x0: Array, noise: Array, t: Time) -> Array:
        """Return what ``x0`` is at step ``t`` with ``noise`` (standard normal, of its shape)."""
        return self.alpha(t) * x0 + self.sigma(t) * noise


@cache
def _signal(steps: int, offset: float) -> NDArray[np.float64]:
    """Return the share of signal of clean data and of every step after it (steps + 1,)."""
    turn = (np.arange(steps + 1) / steps + offset) / (1.0 + offset) * 0.5 * math.pi
    power = np.cos(turn) ** 2
    kept = np.maximum(power[1:] / power[:-1], 1.0 - 0.999)
    return np.sqrt(np.concatenate([[1.0], np.cumprod(kept)]))


def _entry(table: NDArray[np.float64], t: Time) -> Any:
    """Return the entries of ``table``, which begins at step -1, for the steps ``t``."""
    found = table[np.asarray(t) + 1]
    return found if found.ndim else float(found)


def unary(name: str, x: Any) -> Any:
    """Return NumPy's function ``name`` of ``x``: a float, an array or a tensor as ``x`` is."""
    if hasattr(x, name):  # tensors carry these as methods, arrays do not
        return getattr(x, name)()
    y = getattr(np, name)(x)
    return y if isinstance(x, np.ndarray) else float(y)


def at_least(x: Any, least: float = LEAST) -> Any:
    """Return ``x`` (>= 0) raised to ``least``, fit to divide by."""
    return x.clip(least, None) if hasattr(x, "clip") else max(x, least)
