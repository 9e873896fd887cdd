"""Train the landmark network: upright face crop -> 478 points and presence, by distillation.

`python -m visavis.train.face_data --data ../shared/data --out DIR`, then
`python -m visavis.train.tasks.landmarks --data DIR --out RUN --steps 30000`.
At run time the network is used twice, the second time on the crop its own points ask for, so most
training crops are nearly upright and centred. The last layer starts as the principal components of
the shapes, which saves the first thousand steps.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from visavis.faces import topology
from visavis.faces.crop import Crop, sample
from visavis.train.augment import bend, degrade, occlude
from visavis.train.face_data import CROP, CROP_CM
from visavis.train.loop import arguments, export_onnx, run
from visavis.train.nets import LandmarkNet
from visavis.types import FloatArray, ImageArray

SIZE = 144
SIDE_CM = 24.0
WIDTHS, DEPTHS = (32, 64, 96, 128), (1, 2, 2, 1)
COMPONENTS = 120
APART = 8.89 / SIDE_CM
"""Distance of the outer eye corners of a frontal face, in crop sides."""


class Landmarks:
    """Crops of `face_data`, moved and degraded; the teacher's points move along."""

    def __init__(self, data: Path) -> None:
        """Read the arrays of `face_data` in the folder ``data``."""
        self._crops = np.load(data / "crops.npy", mmap_mode="r")
        self._points = np.load(data / "points.npy")
        rows = json.loads((data / "index.json").read_text())
        held = np.array([r["validation"] for r in rows])
        real = np.array(["#" in r["name"] for r in rows])
        self._pools = [np.flatnonzero(~held & real), np.flatnonzero(~held & ~real)]
        self._held = [np.flatnonzero(held & real)[::3], np.flatnonzero(held & ~real)]
        self._mirror = topology.mirror()
        self._weights = torch.from_numpy(_point_weights())

    def build(self) -> nn.Module:
        """Return the network; its last layer spans the principal shapes."""
        net = LandmarkNet(SIZE, WIDTHS, DEPTHS)
        rng = np.random.default_rng(0)
        rows = rng.choice(np.concatenate(self._pools), 1200)
        shapes = np.stack([self._view(int(r), rng)[1].ravel() for r in rows]) / SIZE
        shapes.reshape(len(shapes), -1, 3)[:, :, :2] -= 0.5
        mean = shapes.mean(0)
        _, spread, basis = np.linalg.svd(shapes - mean, full_matrices=False)
        scaled = basis[:COMPONENTS].T * spread[:COMPONENTS] / np.sqrt(len(shapes))
        with torch.no_grad():
            net.points.bias.copy_(torch.from_numpy(mean))
            net.points.weight.mul_(0.02)
            net.points.weight[:, :COMPONENTS] += torch.from_numpy(scaled.astype(np.float32))
        return net

    def batch(self, rng: np.random.Generator, count: int) -> dict[str, Tensor]:
        """Return crops with points, and about one in twelve without a usable face."""
        made = [self._example(rng) for _ in range(count)]
        image = torch.from_numpy(np.stack([m[0] for m in made])).permute(0, 3, 1, 2)
        points = torch.from_numpy(np.stack([m[1] for m in made])) / SIZE
        points[..., :2] -= 0.5
        present = torch.tensor([float(m[2]) for m in made])
        image = image.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
        return {"image": image, "points": points, "present": present}

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Weighted distance in eye distances (z counts a third) and cross entropy of presence."""
        points, presence, first = net(batch["image"])
        there = batch["present"]
        shape = self._distance(points, batch["points"]) + self._distance(first, batch["points"]) / 2
        shape = (shape * there).sum() / there.sum().clamp(min=1)
        seen = nn.functional.binary_cross_entropy_with_logits(presence, there)
        return shape * 10 + seen * 0.2

    def _distance(self, points: Tensor, truth: Tensor) -> Tensor:
        """Return the weighted mean distance (b,) of points (b, 478, 3)."""
        off = (points - truth) / APART
        flat = torch.sqrt(off[..., :2].square().sum(-1) + 1e-7) * self._weights
        return flat.mean(1) + off[..., 2].abs().mean(1) / 3

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return errors (% of the outer eye distance) on lightly moved held-out crops."""
        scores: dict[str, float] = {}
        for name, rows in zip(("real", "synthetic"), self._held, strict=True):
            rng = np.random.default_rng(3)
            views, truth = zip(*(self._view(int(r), rng, plain=True) for r in rows), strict=True)
            image = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.no_grad():
                found = torch.cat([net(part)[0] for part in image.split(64)]).numpy()
            off = (found[..., :2] + 0.5) * SIZE - np.stack(truth)[..., :2]
            eyes = np.stack(truth)[:, [topology.RIGHT_OUTER, topology.LEFT_OUTER], :2]
            error = (
                np.linalg.norm(off, axis=2)
                / np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=1)[:, None]
            )
            lips = error[:, topology.LIPS_INNER + topology.LIPS_OUTER].mean()
            lids = error[:, topology.RIGHT_EYE + topology.LEFT_EYE].mean()
            parts = {"all": error.mean(), "lips": lips, "lids": lids, "iris": error[:, 468:].mean()}
            scores |= {f"{name}_{k}": round(float(v) * 100, 3) for k, v in parts.items()}
        return scores

    def export(self, net: nn.Module, path: Path) -> None:
        """Write the network for any number of crops."""
        axes = {"image": {0: "b"}, "points": {0: "b"}, "presence": {0: "b"}}
        example = torch.zeros(1, 3, SIZE, SIZE)
        export_onnx(net, example, path, ["points", "presence"], dynamic_axes=axes)

    def _example(self, rng: np.random.Generator) -> tuple[ImageArray, FloatArray, bool]:
        """Return one training crop, its points and whether a face is there."""
        row = int(rng.choice(self._pools[int(rng.random() < 0.55)]))
        if rng.random() < 0.08:
            return degrade(self._elsewhere(row, rng), rng), np.zeros((478, 3), np.float32), False
        view, points = self._view(row, rng)
        other = self._crops[int(rng.choice(self._pools[1]))][:SIZE, :SIZE]
        return degrade(occlude(view, points, other, rng), rng), points, True

    def _view(
        self, row: int, rng: np.random.Generator, *, plain: bool = False
    ) -> tuple[ImageArray, FloatArray]:
        """Return the crop moved, scaled and turned a little, or, one in six, a lot."""
        wide = not plain and rng.random() < 0.18
        shift, grow, turn = (0.08, 0.12, 14.0) if wide else (0.02, 0.035, 3.5)
        centre = CROP / 2 + np.clip(rng.normal(0, shift, 2), -0.2, 0.2) * CROP * SIDE_CM / CROP_CM
        side = CROP * SIDE_CM / CROP_CM * np.exp(np.clip(rng.normal(0, grow), -0.3, 0.3))
        crop = Crop(
            (float(centre[0]), float(centre[1])), float(side), float(rng.normal(0, turn)), SIZE
        )
        image, points = np.asarray(self._crops[row]), self._points[row]
        if plain:
            return sample(image, crop), crop.into(points)
        view, points = bend(image, points, crop, rng)
        if rng.random() < 0.5:
            view = np.ascontiguousarray(view[:, ::-1])
            points = points[self._mirror]
            points[:, 0] = SIZE - points[:, 0]
        return view, points

    def _elsewhere(self, row: int, rng: np.random.Generator) -> ImageArray:
        """Return a crop that shows no face, or one out of place, of wrong size or not upright."""
        kind = rng.random()
        if kind < 0.25:
            cells = int(rng.integers(2, 40))
            noise = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
            return np.asarray(
                cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.uint8
            )
        away, turn = rng.uniform(0, 2 * np.pi), rng.uniform(-90, 90)
        side, distance = CROP * rng.uniform(0.3, 0.7), rng.uniform(0.45, 0.7) * CROP
        if kind > 0.8:  # sideways or upside down
            side, distance, turn = CROP * SIDE_CM / CROP_CM, 0.03 * CROP, rng.uniform(70, 290)
        elif kind > 0.7:
            side, distance = CROP * rng.uniform(1.7, 4), 0.0
        elif kind > 0.6:
            side, distance = CROP * rng.uniform(0.12, 0.22), 0.12 * CROP
        centre = CROP / 2 + distance * np.array([np.cos(away), np.sin(away)])
        crop = Crop((float(centre[0]), float(centre[1])), float(side), float(turn), SIZE)
        return np.asarray(sample(np.asarray(self._crops[row]), crop), np.uint8)


def _point_weights() -> FloatArray:
    """Return the weight (478,) of every point: lips, lids and irises count more; mean 1."""
    weights = np.ones(topology.POINTS, np.float32)
    weights[list(topology.LIPS_INNER + topology.LIPS_OUTER)] = 2.5
    weights[list(topology.RIGHT_EYE + topology.LEFT_EYE)] = 2.5
    weights[468:] = 3.0
    return np.asarray(weights / weights.mean(), np.float32)


def main() -> None:
    """Train from the command line."""
    data, plan = arguments("landmarks", 30_000)
    run(Landmarks(data), plan)


if __name__ == "__main__":
    main()
