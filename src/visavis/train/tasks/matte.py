"""Train the matte network: upright crop -> person and head mattes, a U-Net (Ronneberger 2015).

`python -m visavis.train.matte_data --data ../shared/data --out DIR`, then
`python -m visavis.train.tasks.matte --data DIR --out RUN --steps 2500 --batch-size 16`.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from visavis.faces.crop import Crop, sample
from visavis.faces.matte import SIDE_CM as VIEW_CM
from visavis.faces.matte import SIZE
from visavis.train.augment import degrade
from visavis.train.loop import arguments, export_onnx, run
from visavis.train.matte_data import SIDE_CM
from visavis.train.matte_data import SIZE as STORED
from visavis.train.nets import MatteNet
from visavis.types import FloatArray, ImageArray


class Matte:
    """Crops of `matte_data`, moved and degraded."""

    def __init__(self, data: Path) -> None:
        """Read the arrays of `matte_data` in the folder ``data``."""
        self._views = np.load(data / "matte_crops.npy", mmap_mode="r")
        self._mattes = np.load(data / "mattes.npy", mmap_mode="r")
        rows = json.loads((data / "matte_index.json").read_text())
        held = np.array([r["validation"] for r in rows])
        real = np.array(["#" in r["name"] for r in rows])
        self._pools = [np.flatnonzero(~held & real), np.flatnonzero(~held & ~real)]
        self._held = np.flatnonzero(held)

    def build(self) -> nn.Module:
        """Return the untrained network."""
        return MatteNet()

    def batch(self, rng: np.random.Generator, count: int) -> dict[str, Tensor]:
        """Return moved, degraded crops with their mattes and the weight of every pixel."""
        rows = [int(rng.choice(self._pools[int(rng.random() < 0.5)])) for _ in range(count)]
        made = [self._view(r, rng) for r in rows]
        return _tensors([degrade(v, rng) for v, _ in made], [m for _, m in made])

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Cross entropy, three times as heavy where the matte is neither 0 nor 1."""
        logits = net(batch["image"]).float()
        goal, inside = batch["matte"][:, :2], batch["matte"][:, 2:]
        weight = inside * (1 + 2 * (4 * goal * (1 - goal)).sqrt())
        off = nn.functional.binary_cross_entropy_with_logits(logits, goal, reduction="none")
        return (off * weight).sum() / weight.sum() / 2

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the mean absolute error of both mattes and the overlap (IoU) on held-out crops."""
        rng = np.random.default_rng(2)
        made = [self._view(int(r), rng, plain=True) for r in self._held]
        batch = _tensors([v for v, _ in made], [m for _, m in made])
        with torch.no_grad():
            found = torch.cat([torch.sigmoid(net(x)) for x in batch["image"].split(8)])
        goal, inside = batch["matte"][:, :2], batch["matte"][:, 2:]
        scores: dict[str, float] = {}
        for i, name in enumerate(("person", "head")):
            off = ((found[:, i] - goal[:, i]).abs() * inside[:, 0]).sum() / inside.sum()
            a, b = ((m[:, i] * inside[:, 0]) > 0.5 for m in (found, goal))
            overlap = (a & b).sum() / (a | b).sum()
            scores |= {f"{name}_mae": round(off.item(), 4), f"{name}_iou": round(overlap.item(), 4)}
        return scores

    def export(self, net: nn.Module, path: Path) -> None:
        """Write the network for single crops."""
        export_onnx(net, torch.zeros(1, 3, SIZE, SIZE), path, ["logits"])

    def _view(
        self, row: int, rng: np.random.Generator, *, plain: bool = False
    ) -> tuple[ImageArray, FloatArray]:
        """Return a crop and its mattes and inside mask (3, SIZE, SIZE), moved unless ``plain``."""
        side, centre, turn = STORED * VIEW_CM / SIDE_CM, np.full(2, STORED / 2), 0.0
        if not plain:
            side *= float(np.exp(rng.uniform(-0.15, 0.12 if rng.random() < 0.7 else 0.9)))
            centre = centre + np.clip(rng.normal(0, 0.03, 2), -0.1, 0.1) * side
            turn = float(rng.normal(0, 6))
        crop = Crop((float(centre[0]), float(centre[1])), side, turn, SIZE)
        view, matte = sample(self._views[row], crop), sample(self._mattes[row], crop)
        if not plain and rng.random() < 0.5:
            view, matte = view[:, ::-1], matte[:, ::-1]
        if not plain and rng.random() < 0.25:
            view = self._other_background(view, matte, rng)
        return np.ascontiguousarray(view), matte.transpose(2, 0, 1).astype(np.float32) / 255

    def _other_background(
        self, view: ImageArray, matte: ImageArray, rng: np.random.Generator
    ) -> ImageArray:
        """Return the person in front of a colour, a texture or a blurred other picture."""
        alpha = matte[..., :1].astype(np.float32) / 255
        cells = int(rng.integers(1, 24))
        back = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
        if rng.random() < 0.4:
            back = np.asarray(self._views[int(rng.choice(self._pools[0]))])
            back = cv2.blur(back[:160, :160], (5, 5))
        full = cv2.resize(back, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        return np.asarray(view * alpha + full * (1 - alpha), np.uint8)


def _tensors(views: list[ImageArray], mattes: list[FloatArray]) -> dict[str, Tensor]:
    """Return a batch as tensors."""
    image = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)
    image = image.to(torch.float32, memory_format=torch.channels_last) / 127.5 - 1
    return {"image": image, "matte": torch.from_numpy(np.stack(mattes))}


def main() -> None:
    """Train from the command line."""
    data, plan = arguments("matte", 2500)
    run(Matte(data), plan)


if __name__ == "__main__":
    main()
