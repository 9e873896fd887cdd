"""A sitter of random numbers, and denoisers that need no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from visavis.faces.implicit import BINS, POINTS, Implicit, Sitter
from visavis.motion.ditto.config import LmdmConfig

WIDTH = 4
"""Values of a row of sound in these tests."""


def faces(pictures: int, seed: int = 0) -> Implicit:
    """Faces with plausible points, expressions and angles."""
    rng = np.random.default_rng(seed)

    def drawn(scale: float, *shape: int) -> np.ndarray:
        return (scale * rng.standard_normal((pictures, *shape))).astype(np.float32)

    points = np.repeat(drawn(0.2, POINTS, 3)[:1], pictures, 0)
    pose = [drawn(2.0, BINS) for _ in range(3)]
    return Implicit(points, drawn(0.01, POINTS, 3), *pose, drawn(0.1, 3), 1.4 + drawn(0.02, 1))


def prepared(pictures: int = 1) -> SimpleNamespace:
    """What a renderer prepares, as far as motion looks at it."""
    rng = np.random.default_rng(7)
    eyes = (rng.random((pictures, 2)), rng.random((pictures, 6)))
    return SimpleNamespace(sitter=Sitter(faces(pictures), *(e.astype(np.float32) for e in eyes)))


@dataclass
class Answering:
    """A denoiser whose guess is a smooth function of all it is given; ``asked`` keeps a record."""

    is_student: bool = False
    asked: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    @property
    def config(self) -> LmdmConfig:
        return LmdmConfig(condition=WIDTH + 79, is_student=self.is_student)

    def prepare(self, before: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert before.shape == (265,)
        assert told.shape == (80, WIDTH + 79)
        self.asked.append((before, told))
        return before, told

    def guess(self, kept: tuple[np.ndarray, np.ndarray], motion: np.ndarray, time: int):
        before, told = kept
        assert motion.dtype == told.dtype == before.dtype == np.float32
        waves = np.sin(np.arange(265) / 9 + told[:, :WIDTH].sum(1, keepdims=True))
        versions = 1 if self.is_student else 2
        made = 0.3 * waves + 0.2 * before + 0.01 * motion + 1e-5 * time
        return np.stack([made * share for share in (1.0, 0.9)][:versions]).astype(np.float32)
