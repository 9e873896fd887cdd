"""Weights by a stated rule, for networks whose published weights are not at hand.

Every weight is a function of its published key and shape, so that two programs that know the rule
hold the same network to the bit; the golden data of the neural path is made with it. Also good for
trying and timing a network, whose cost does not depend on what its weights are. NumPy only:
``RandomState`` streams are frozen by NumPy's policy.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.types import FloatArray

POWER_STEPS = 30
"""Power iterations towards the largest singular value of spectrally normalised weights."""


def normal(key: str, shape: tuple[int, ...]) -> FloatArray:
    """Return standard normal numbers of ``shape``, float64, that depend on nothing but ``key``."""
    seed = zlib.crc32(key.encode("utf-8")) & 0xFFFFFFFF
    return np.random.RandomState(seed).standard_normal(math.prod(shape)).reshape(shape)


def rule_weights(
    shapes: Mapping[str, tuple[int, ...]], gain: float = 1.0, prefix: str = ""
) -> dict[str, NDArray[Any]]:
    """Return a weight for every published key in ``shapes``, float32; int64 where it is a count.

    ``gain`` multiplies what is neither bias nor norm (1.4 for the golden warping network).
    ``prefix`` goes before each key when its numbers are drawn: ``retarget_eye.`` and the like, or
    anything else for another set of weights.
    """
    state: dict[str, NDArray[Any]] = {
        key: _weight(prefix + key, tuple(shape), gain)
        for key, shape in shapes.items()
        if not key.endswith((".weight_u", ".weight_v"))
    }
    for key in [key for key in state if key.endswith(".weight_orig")]:
        name = key.removesuffix("_orig")
        start = normal(f"{prefix}{name}_v", tuple(shapes[f"{name}_v"]))
        state[f"{name}_u"], state[f"{name}_v"] = _singular(state[key], start)
    return {key: state[key] for key in shapes}


def _weight(key: str, shape: tuple[int, ...], gain: float) -> NDArray[Any]:
    """Return the weight ``key``; the first rule that fits its last word holds."""
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "freqs":
        steps = np.arange(shape[0]) / shape[0]
        return (1.0 / 10_000**steps).astype(np.float32)
    drawn = normal(key, shape)
    if last == "running_var":
        drawn = 1 + 0.1 * np.abs(drawn)
    elif last == "running_mean" or (last in ("gamma", "beta") and len(shape) == 4):
        drawn = 0.1 * drawn
    elif last in ("null_cond_embed", "null_cond_hidden"):
        drawn = 0.5 * drawn
    elif last.endswith("bias"):
        drawn = 0.05 * drawn
    elif len(shape) == 1:
        drawn = 1 + 0.1 * drawn
    else:
        drawn = gain * drawn / math.sqrt(math.prod(shape[1:]))
    return drawn.astype(np.float32)


def _singular(weight: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the vectors u and v of spectral normalisation (Miyato et al. 2018) of ``weight``."""
    matrix = weight.astype(np.float64).reshape(len(weight), -1)
    v = start / np.linalg.norm(start)
    for _ in range(POWER_STEPS):
        u = matrix @ v
        u /= np.linalg.norm(u)
        v = matrix.T @ u
        v /= np.linalg.norm(v)
    u = matrix @ v
    return (u / np.linalg.norm(u)).astype(np.float32), v.astype(np.float32)
