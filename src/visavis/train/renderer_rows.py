"""The patches of train/renderer_data.py, as the refiner is given them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.data.people import TEST_PERSONS
from visavis.errors import InputError
from visavis.render.refiner import SHIFT_MM, colours, remembered

OPEN_EYE_MM = 5.5
"""Opening of the eyes of a picture that can be animated with the eyes open."""


class Patches:
    """The rows of one kind and split, in memory."""

    def __init__(self, data: Path, part: str, split: str) -> None:
        """Read every person's file in ``data``."""
        self.part = part
        self.rows: list[dict[str, Any]] = []
        arrays: dict[str, list[NDArray[Any]]] = {}
        base = 0
        for path in sorted(data.glob("*.npz")):
            rows, own = _person(path, part)
            if not rows or split_of(rows[0]["group"], rows[0]["real"]) != split:
                continue
            for name, array in own.items():
                arrays.setdefault(name, []).append(array)
            self.rows += [{**row, "rest": row["rest"] + base} for row in rows]
            base += len(own["rest"])
        if not self.rows:
            raise InputError(
                f"There is no {part} of the {split} split in {data}. Give a folder written by "
                "visavis.train.renderer_data, with persons for every split."
            )
        self.arrays = {name: np.concatenate(many) for name, many in arrays.items()}
        self.pools = self._pools()

    def _pools(self) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
        """Return the rows of photographed and of made persons and how often to draw each: pairs
        between which much has moved more often.
        """
        real = np.array([row["real"] for row in self.rows])
        share = np.clip([row["moved"] for row in self.rows], 0.1, 2.0)
        if self.part == "eye":  # what an eye looks like cannot be known from shut ones
            share *= [row["from_eye"] > OPEN_EYE_MM for row in self.rows]
        chosen = [np.flatnonzero(kind) for kind in (real, ~real)]
        return [(rows, share[rows] / share[rows].sum()) for rows in chosen if len(rows)]

    def draw(self, rng: np.random.Generator, count: int, real: float) -> NDArray[np.intp]:
        """Return ``count`` rows, the share ``real`` of them of photographed persons."""
        first = int((rng.random(count) < real).sum()) if len(self.pools) > 1 else count
        counts = (first, count - first)
        drawn = [rng.choice(r, n, p=p) for (r, p), n in zip(self.pools, counts, strict=False)]
        return np.concatenate(drawn)

    def batch(
        self, rows: NDArray[np.intp], rng: np.random.Generator | None, forget: float = 0.0
    ) -> dict[str, Tensor]:
        """Return inputs, targets and weights of ``rows``; moved about if ``rng`` is given."""
        made = [self._sample(int(i), rng, forget) for i in rows]
        inputs, target, cover = (np.stack(part) for part in zip(*made, strict=True))
        return {
            "inputs": torch.from_numpy(inputs),
            "target": torch.from_numpy(target),
            "cover": torch.from_numpy(cover),
        }

    def _sample(
        self, i: int, rng: np.random.Generator | None, forget: float
    ) -> tuple[NDArray[Any], ...]:
        row = self.rows[i]
        pictures = np.stack([self.arrays["warp"][i], self.arrays["rest"][row["rest"]],
                             self.arrays["target"][i]])  # fmt: skip
        warp, rest, target = colours(pictures)
        cover = self.arrays["cover"][i].astype(np.float32)[None] / 255
        shift = np.moveaxis(self.arrays["shift"][i].astype(np.float32), -1, 0) / (4 * SHIFT_MM)
        parts = [warp, cover, shift, rest]
        if self.part == "mouth":
            parts.append(self._memory(row, rng, forget))
        inputs = np.concatenate(parts)
        if rng is not None:
            inputs, target, cover = _varied(inputs, target, cover, rng)
        return inputs, target, cover

    def _memory(
        self, row: dict[str, Any], rng: np.random.Generator | None, forget: float
    ) -> NDArray[np.float32]:
        h, w = self.arrays["warp"].shape[1:3]
        which = 0 if rng is None else int(rng.integers(2))
        if len(row["memory"]) <= which or (rng is not None and rng.random() < forget):
            return np.zeros((8, h, w), np.float32)
        memory = self.arrays["memory"][row["rest"], row["memory"][which]]
        return remembered(memory, memory, tuple(row["jaw"][which]))


def _person(path: Path, part: str) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return rows and arrays of one person's file, those of ``part``."""
    with np.load(path) as stored:
        names = [name for name in stored.files if name.startswith(f"{part}_")]
        arrays = {name.removeprefix(f"{part}_"): stored[name] for name in names}
        return json.loads(str(stored["index"]))[part], arrays


def _varied(
    inputs: NDArray[np.float32],
    target: NDArray[np.float32],
    cover: NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], ...]:
    """Return the sample in other light, half of the time mirrored (mouths)."""
    inputs = inputs.copy()
    gain = np.float32(np.exp(rng.normal(0, 0.12))) * np.exp(rng.normal(0, 0.05, (3, 1, 1)))
    lift = np.float32(rng.normal(0, 0.05))
    pictures = [inputs[0:3], inputs[6:9]]
    if len(inputs) > 9:
        pictures += [inputs[9:12], inputs[13:16]]
    for k, picture in enumerate(pictures):
        opening = 1 if k < 2 else inputs[12 if k == 2 else 16]
        picture[:] = np.clip((picture + 1) * gain - 1 + lift, -1, 1) * opening
    target = np.clip((target + 1) * gain - 1 + lift, -1, 1).astype(np.float32)
    if len(inputs) > 9 and rng.random() < 0.5:
        inputs, target, cover = inputs[..., ::-1].copy(), target[..., ::-1].copy(), cover[..., ::-1]
        inputs[4] *= -1
    return inputs, target, np.ascontiguousarray(cover)


def split_of(name: str, is_real: bool) -> str:
    """Return "train", "validation" or "test" for a person."""
    if not is_real:
        return {0: "test", 5: "validation"}.get(int(name) % 10, "train")
    if any(name.startswith(p) for p in TEST_PERSONS):
        return "test"
    return "validation" if name.startswith(("voxceleb/00086", "mead-emotion/M")) else "train"
