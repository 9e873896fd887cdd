"""The people that benchmarks/motion.py compares with, and what is compared with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visavis.data.clip import Clip, read_clip
from visavis.data.people import split_of
from visavis.eval import dynamics
from visavis.types import MOTION_FPS, FloatArray

GROUPS = tuple(dynamics.MEASURED)

Make = Callable[[int, int], FloatArray]
"""Motion for (clip, seed)."""


@dataclass(frozen=True)
class Made:
    """What one system made: ``seeds`` x ``clips`` motions (t, 58)."""

    name: str
    motions: tuple[tuple[FloatArray, ...], ...]

    @property
    def flat(self) -> list[FloatArray]:
        """All motions, one seed after the other."""
        return [m for seed in self.motions for m in seed]


@dataclass(frozen=True)
class People:
    """The real side: held-out ``clips`` and their ``motions``; the ``training`` clips.

    ``takes`` (t, 58) have no sound and serve for blinks; ``metrics`` by group.
    """

    clips: tuple[Clip, ...]
    motions: tuple[FloatArray, ...]
    training: tuple[Clip, ...]
    takes: tuple[FloatArray, ...]
    metrics: dict[str, dynamics.Metric]


def people(folder: Path, shortest_s: float) -> People:
    """Return the real talking clips in ``folder``, held out and for training."""
    paths = [p for p in sorted(folder.glob("*.npz")) if source_of(p) in ("talking", "take")]
    stored = [read_clip(p) for p in paths]
    takes = tuple(c.motion for c in stored if c.source == "take")
    every = [c for c in stored if c.source == "talking" and not c.emotion]
    every = [c for c in every if len(c.motion) >= shortest_s * MOTION_FPS]
    training = tuple(c for c in every if split_of(c.person) == "train")
    held = tuple(c for c in every if split_of(c.person) != "train" and len(c.samples))
    every = [*training, *held]
    assert held, f"no held-out talking clip with sound in {folder}"
    assert training, f"no talking clip for training in {folder}"
    known = np.logical_and.reduce([c.known for c in every])
    metrics = {g: dynamics.make_metric([c.motion for c in every], g, known) for g in GROUPS}
    return People(held, tuple(c.motion for c in held), training, takes, metrics)


def chance(real: People) -> Make:
    """Return motion of another person: a stretch of a training clip, mirrored in time if short."""

    def make(clip: int, seed: int) -> FloatArray:
        rng = np.random.default_rng((clip, seed))
        wanted = len(real.motions[clip])
        source = real.training[rng.integers(len(real.training))].motion
        while len(source) < wanted:
            source = np.concatenate([source, source[::-1]])
        start = rng.integers(len(source) - wanted + 1)
        return source[start : start + wanted]

    return make


def source_of(path: Path) -> str:
    """Return where the clip at ``path`` is from, without reading its motion and sound."""
    with np.load(path) as stored:
        return str(json.loads(str(stored["facts"]))["source"])
