"""Golden arrays of the neural path: all of them where ../shared is, else the slices kept here.

They were made by upstream's classes with weights by the rule of ``visavis.nn.rule``; the README
beside each set says how.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from product import ROOT, SHARED
from visavis.nn.rule import normal

FULL = SHARED / "data/golden"
SUBSET = ROOT / "tests/assets/golden"
IS_FULL = FULL.is_dir()
TOLERANCE = 1e-4
"""Largest relative error of float32 paths."""


def load(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``name``.npz from the full set, or else from the subset.

    The subset lacks big arrays and has others thinned out: compare by ``thinned``.
    """
    with np.load((FULL if IS_FULL else SUBSET) / f"{name}.npz") as file:
        return dict(file)


def keys(name: str) -> dict[str, tuple[int, ...]]:
    """Return key -> shape of keys_``name``.json (only in the full set)."""
    entries = json.loads((FULL / f"keys_{name}.json").read_text("utf-8"))
    return {key: tuple(entry["shape"]) for key, entry in entries.items()}


def rs(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the random input ``name`` by the rule, float32."""
    return normal(f"input:{name}", shape).astype(np.float32)


def picture() -> NDArray[np.uint8]:
    """Return the picture (1, 3, 256, 256) that the golden networks looked at."""
    grey = np.clip(0.5 + 0.25 * rs("img", (1, 3, 256, 256)), 0, 1)
    return np.round(grey * 255).astype(np.uint8)


def thinned(array: Any, like: NDArray[Any]) -> NDArray[Any]:
    """Return every so manieth value of ``array`` along each axis, as ``like`` was thinned out."""
    array = np.asarray(array)
    strides = [-(-size // kept) for size, kept in zip(array.shape, like.shape, strict=True)]
    return array[tuple(slice(None, None, stride) for stride in strides)]


def rule_network(name: str, config: Any = None) -> Any:
    """Return LivePortrait's network ``name`` sized as in ``config``, its weights by the rule."""
    import torch

    from visavis.render.liveportrait.weights import from_published, made, rule_state

    state = {key: torch.from_numpy(value) for key, value in rule_state(name, config).items()}
    return made(name, from_published(name, state, config), config)


@cache
def true_network(name: str) -> Any:
    """Return ``rule_network`` at its published size, once: copy it before you change it."""
    return rule_network(name)


def relative_error(found: Any, expected: Any) -> float:
    """Return max |found - expected| / max |expected|, infinite if the shapes differ."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(b).max())
