"""Smooth random curves that are pure functions of (seed, channel, time): nothing to store."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.random import Generator, Philox  # now: a Ctrl-C in the midst of this import is lost

from visavis.types import FloatArray

_MASK = (1 << 64) - 1


def _mix(x: int) -> int:
    """Return the splitmix64 hash of ``x``."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def uniform(seed: int, channel: int, index: int) -> float:
    """Return a number in [0, 1) that depends on all three arguments."""
    return (_mix(_mix(_mix(seed & _MASK) ^ (channel & _MASK)) ^ (index & _MASK)) >> 11) * 2.0**-53


@lru_cache(maxsize=4096)  # a curve asks for the same knots frame after frame
def normal(seed: int, channel: int, index: int) -> float:
    """Return a standard normal number (Box & Muller 1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(seed, channel, 2 * index)))
    return radius * math.cos(2.0 * math.pi * uniform(seed, channel, 2 * index + 1))


def curve(seed: int, channel: int, seconds: float, hertz: float) -> float:
    """Return a smooth curve of unit variance with little power above ``hertz``: a B-spline."""
    at = seconds * 2.0 * hertz
    k = math.floor(at)
    t = at - k
    u = 1.0 - t
    w0, w1, w3 = u**3, 3 * t**3 - 6 * t**2 + 4, t**3
    knots = [normal(seed, channel, k + i) for i in range(4)]
    total = w0 * knots[0] + w1 * knots[1] + (6.0 - w0 - w1 - w3) * knots[2] + w3 * knots[3]
    return total * 1.7 / 6.0


def pink(seed: int, channel: int, seconds: float, lowest_hz: float, octaves: int) -> float:
    """Return a smooth curve of about unit variance whose power falls with frequency (1/f^2)."""
    parts = [
        0.5**i * curve(seed, channel * 16 + i, seconds, lowest_hz * 2**i) for i in range(octaves)
    ]
    return sum(parts) / math.sqrt(sum(0.25**i for i in range(octaves)))


def wander(seed: int, channels: int, seconds: float, lowest_hz: float) -> FloatArray:
    """Return ``channels`` independent pink curves at one instant."""
    return np.array([pink(seed, c, seconds, lowest_hz, 3) for c in range(channels)], np.float32)


def white(seed: int, channel: int, first: int, frames: int, size: int) -> FloatArray:
    """Return standard normal numbers (frames, size) for the frames from ``first`` on.

    A frame's row depends on seed, channel and the frame alone (Philox, Salmon et al. 2011), so that
    it is the same whichever chunk it comes in.
    """
    key = (seed & _MASK) | ((channel & _MASK) << 64)
    rows = [
        Generator(Philox(key=key, counter=(first + i) << 128)).standard_normal(size, np.float32)
        for i in range(frames)
    ]
    return np.stack(rows) if rows else np.zeros((0, size), np.float32)
