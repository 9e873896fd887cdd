"""A small denoiser in NumPy with the call of nn.session.Network: every input moves every output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from visavis.motion import conditions
from visavis.motion.layout import SIZE

WIDTHS = {
    "motion": SIZE,
    "level": SIZE,
    "speech": conditions.SPEECH,
    "other": conditions.ROWS_PER_FRAME * conditions.OTHER_SIZE,
    "controls": conditions.SIZE,
}
MEAN = np.zeros(SIZE)
MEAN[:52], MEAN[57] = 0.2, 1.0
STD = np.full(SIZE, 0.15)
STD[52:55], STD[55:57], STD[57] = 3.0, 0.05, 0.02


class Denoiser:
    """One layer of attention to near frames between two linear ones; ``calls`` keeps the inputs."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._into = {
            k: rng.normal(0, 0.5 / np.sqrt(n), (n, 32)).astype(np.float32)
            for k, n in WIDTHS.items()
        }
        self._out = rng.normal(0, 0.3, (32, SIZE)).astype(np.float32)
        self.metadata = {"mean": json.dumps(MEAN.tolist()), "std": json.dumps(STD.tolist())}
        self.calls: list[dict[str, Any]] = []

    def __call__(self, inputs: Mapping[str, Any]) -> list[Any]:
        assert inputs.keys() == WIDTHS.keys()
        shape = inputs["motion"].shape[:2]
        for name, width in WIDTHS.items():
            assert inputs[name].shape == (*shape, width), name
            assert inputs[name].dtype == np.float32, name
            assert np.isfinite(inputs[name]).all(), name
        self.calls.append({k: v.copy() for k, v in inputs.items()})
        hidden = np.tanh(sum(inputs[k] @ self._into[k] for k in WIDTHS))
        at = np.arange(shape[1])
        near = np.exp(-np.abs(at[:, None] - at) / 2.0).astype(np.float32)
        mixed = (near / near.sum(1, keepdims=True)) @ hidden
        return [mixed @ self._out]
