"""From noise to data, with a function ``denoise(x, t)`` that guesses the clean data.

``times`` falls from 1 to 0, one entry more than there are calls of ``denoise``; each is a float or
an array of the entries' own times. An entry whose time stays what it is keeps its value: that is
how known entries (past frames, imposed values) pass through ``sample_ddim`` untouched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from visavis.diffusion.schedule import Array, CosineSchedule, Schedule, Time, at_least, unary

Denoise = Callable[[Array, Time], Array]


def spaced_times(steps: int) -> tuple[float, ...]:
    """Return ``steps`` + 1 evenly spaced times, 1 first and 0 last; ``steps`` >= 1."""
    return tuple((steps - i) / steps for i in range(steps + 1))


def stepped_times(steps: int, last: int = 999) -> tuple[int, ...]:
    """Return ``steps`` + 1 evenly spaced steps of a SteppedSchedule, ``last`` first and -1 last."""
    return tuple(int(t) for t in np.linspace(-1, last, steps + 1))[::-1]


def cosine_times(steps: int) -> tuple[float, ...]:
    """Return ``steps`` + 1 times from 1 to 0, dense at both ends, where the path bends most."""
    return tuple(0.5 + 0.5 * math.cos(math.pi * i / steps) for i in range(steps)) + (0.0,)


def ddim_step(
    x: Array,
    x0: Array,
    t: Time,
    s: Time,
    schedule: Schedule,
    eta: float = 0.0,
    noise: Array | None = None,
) -> Array:
    """Return ``x`` of time ``t`` carried to the earlier time ``s``, given the clean guess ``x0``.

    Song, Meng and Ermon (2021), eq. 12 and 16: deterministic with ``eta`` 0; with 1 as random as
    the training noise, ``noise`` (standard normal, of the shape of ``x``) taking its place.
    """
    noisy = at_least(schedule.sigma(t))
    alpha, left = schedule.alpha(s), schedule.sigma(s)
    gone = unary("sqrt", at_least(1.0 - (schedule.alpha(t) / alpha) ** 2, 0.0))
    fresh = eta * left / noisy * gone
    ratio = unary("sqrt", at_least(left**2 - fresh**2, 0.0)) / noisy
    ratio = ratio + (t == s) * (1.0 - ratio)  # also at time 0, where it is 0 / 0
    moved = ratio * x + (alpha - schedule.alpha(t) * ratio) * x0
    return moved if noise is None else moved + fresh * noise


def sample_ddim(
    denoise: Denoise,
    x: Array,
    times: Sequence[Time],
    schedule: Schedule,
    eta: float = 0.0,
    noises: Sequence[Array | None] | None = None,
) -> Array:
    """Return ``x`` (noise, known entries in place) carried from ``times[0]`` to ``times[-1]``.

    ``eta`` above 0 needs ``noises``: one array for each step, else ValueError; the step to clean
    data may have None.
    """
    if eta > 0.0 and noises is None:
        raise ValueError(f"eta {eta} was given without noises; pass one array for each step")
    each = [None] * (len(times) - 1) if noises is None else noises
    for (t, s), noise in zip(pairwise(times), each, strict=True):
        x = ddim_step(x, denoise(x, t), t, s, schedule, eta, noise)
    return x


def sample_multistep(
    denoise: Denoise, x: Array, times: Sequence[Time], schedule: CosineSchedule
) -> Array:
    """Return what ``sample_ddim`` does with eta 0, more exactly for the same number of calls.

    DPM-Solver++(2M) of Lu et al. (2022): DDIM steps with ``extrapolated`` guesses.
    """
    guess = denoise(x, times[0])
    x = ddim_step(x, guess, times[0], times[1], schedule)
    for r, t, s in zip(times, times[1:], times[2:], strict=False):
        before, guess = guess, denoise(x, t)
        x = ddim_step(x, extrapolated(guess, before, (r, t, s), schedule), t, s, schedule)
    return x


def extrapolated(
    x0: Array, before: Array, times: tuple[Time, Time, Time], schedule: CosineSchedule
) -> Array:
    """Return the clean guess as it will be halfway through the step between the last two times.

    ``before`` was guessed at the first of ``times``, ``x0`` at the second. Straight on in the
    logarithm of signal to noise; a step to time 0, where that has no end, takes ``x0`` as it is.
    """
    r, t, s = (0.5 * unary("log", schedule.snr(time)) for time in times)
    share = (times[2] > 0) * 0.5 * (s - t) / at_least(t - r, 1e-6)
    return x0 + share * (x0 - before)


def sample_consistency(
    denoise: Denoise, noises: Sequence[Array], times: Sequence[Time], schedule: Schedule
) -> Array:
    """Return data from a network that guesses well in one call: Song et al. (2023), algorithm 1.

    The first of ``noises`` is what it starts from (known entries in place); before every further
    call the last guess is made noisy again with the next. There is a call for each of ``noises``;
    ``times[-1]`` is only where it ends. ``denoise`` writes what is known over its guess itself.
    """
    x0 = denoise(noises[0], times[0])
    for t, noise in zip(times[1:-1], noises[1:], strict=True):
        x0 = denoise(schedule.add_noise(x0, noise, t), t)
    return x0
