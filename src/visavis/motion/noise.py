"""Smooth random curves that are pure functions of (seed, channel, time): nothing to store."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def normal(seed: int, channel: int, index: int) -> float:
    """Return a standard normal number (Box & Muller 1958)."""
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(seed, channel, 2 * index)))
    return float(radius * np.cos(2.0 * np.pi * uniform(seed, channel, 2 * index + 1)))


def _spline(t: float) -> NDArray[np.float64]:
    """Return the weights of four neighbours at ``t`` 0..1 between the middle two (B-spline)."""
    u = 1.0 - t
    w0, w3 = u**3 / 6.0, t**3 / 6.0
    w1 = (3 * t**3 - 6 * t**2 + 4) / 6.0
    return np.array([w0, w1, 1.0 - w0 - w1 - w3, w3])


def curve(seed: int, channel: int, seconds: float, hertz: float) -> float:
    """Return a smooth curve of unit variance with little power above ``hertz``."""
    at = seconds * 2.0 * hertz
    k = int(np.floor(at))
    knots = np.array([normal(seed, channel, k + i) for i in range(4)])
    return float(_spline(at - k) @ knots) * 1.7


def pink(seed: int, channel: int, seconds: float, lowest_hz: float, octaves: int) -> float:
    """Return a smooth curve of about unit variance whose power falls with frequency (1/f^2)."""
    parts = [
        0.5**i * curve(seed, channel * 16 + i, seconds, lowest_hz * 2**i) for i in range(octaves)
    ]
    return sum(parts) / float(np.sqrt(sum(0.25**i for i in range(octaves))))


def wander(seed: int, channels: int, seconds: float, lowest_hz: float) -> FloatArray:
    """Return ``channels`` independent pink curves at one instant."""
    return np.array([pink(seed, c, seconds, lowest_hz, 3) for c in range(channels)], np.float32)
