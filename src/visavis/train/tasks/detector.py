"""Train the face detector: one hypothesis per 8 x 8 pixels (CenterNet, Zhou et al. 2019).

`python -m visavis.train.face_data --data ../shared/data --out DIR`, then
`python -m visavis.train.tasks.detector --data DIR --out RUN --steps 3000`.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from visavis.faces.crop import FACE_CM, frontal_fit
from visavis.train.augment import degrade
from visavis.train.loop import arguments, export_onnx, run
from visavis.train.nets import DetectorNet
from visavis.types import FloatArray, ImageArray

SIZE = 160
CELL = 8
GRID = SIZE // CELL


class Detector:
    """Letterboxed pictures with the face as a square (centre, side, roll)."""

    def __init__(self, data: Path) -> None:
        """Read the arrays of `face_data` in the folder ``data``."""
        self._frames = np.load(data / "frames.npy", mmap_mode="r")
        self._sizes = np.load(data / "frame_sizes.npy")
        fits = [frontal_fit(p) for p in np.load(data / "frame_points.npy", mmap_mode="r")]
        self._faces = np.array([[*c, s * FACE_CM, r] for c, s, r in fits], np.float32)
        rows = json.loads((data / "index.json").read_text())
        held = np.array([r["validation"] for r in rows])
        real = np.array(["#" in r["name"] for r in rows])
        self._pools = [np.flatnonzero(~held & real), np.flatnonzero(~held & ~real)]
        self._held = [np.flatnonzero(held & real)[::4], np.flatnonzero(held & ~real)[::4]]

    def build(self) -> nn.Module:
        """Return the untrained network; the score starts low."""
        net = DetectorNet()
        nn.init.zeros_(net.head.weight)
        with torch.no_grad():
            net.head.bias.copy_(torch.tensor([-4.0, 0, 0, 3.0, 1.0, 0]))
        return net

    def batch(self, rng: np.random.Generator, count: int) -> dict[str, Tensor]:
        """Return pictures with one face, two faces or none."""
        views, targets = zip(*(self._example(rng) for _ in range(count)), strict=True)
        return _tensors(views, np.stack(targets))

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Focal loss on the score, L1 on the rest where a face is."""
        out = net(batch["image"]).float()
        heat = batch["target"][:, 0]
        prob, logit = torch.sigmoid(out[:, 0]), out[:, 0]
        positive = (heat > 0.99).float()
        seen = -positive * (1 - prob) ** 2 * nn.functional.logsigmoid(logit)
        unseen = -(1 - positive) * (1 - heat) ** 4 * prob**2 * nn.functional.logsigmoid(-logit)
        count = positive.sum().clamp(min=1)
        near = (heat > 0.5).float()[:, None]
        weight = torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0])[None, :, None, None]
        off = ((out[:, 1:] - batch["target"][:, 1:]).abs() * weight * near).sum()
        return (seen + unseen).sum() / count + off / near.sum().clamp(min=1)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return misses and errors on held-out pictures, plain and degraded."""
        rng = np.random.default_rng(5)
        scores: dict[str, float] = {}
        for name, rows in zip(("real", "synthetic"), self._held, strict=True):
            made = [self._one_face(int(r), rng) for r in rows]
            views = [v for v, _ in made]
            with torch.no_grad():
                out = net(_tensors(views, np.zeros((len(views), 6, 1, 1)))["image"]).numpy()
            scores |= {f"{name}_{k}": v for k, v in _errors(out, [f for _, f in made]).items()}
        return scores

    def export(self, net: nn.Module, path: Path) -> None:
        """Write the network for pictures whose sides are multiples of 32."""
        axes = {"image": {0: "b", 2: "h", 3: "w"}, "hypotheses": {0: "b", 2: "gh", 3: "gw"}}
        example = torch.zeros(1, 3, SIZE, SIZE)
        export_onnx(net, example, path, ["hypotheses"], dynamic_axes=axes)

    def _example(self, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
        """Return one training picture and its target maps (6, GRID, GRID)."""
        row = int(rng.choice(self._pools[int(rng.random() < 0.5)]))
        choice = rng.random()
        if choice < 0.12:
            return degrade(self._no_face(row, rng), rng), _target([])
        view, face = self._one_face(row, rng)
        faces = [face]
        if choice > 0.75:
            self._cover(view, face, rng)
        if choice < 0.2:
            self._paste_second(view, faces, rng)
        return degrade(view, rng), _target(faces)

    def _one_face(self, row: int, rng: np.random.Generator) -> tuple[ImageArray, FloatArray]:
        """Return a picture (SIZE, SIZE, 3) with the face moved, scaled, turned and mirrored."""
        frame, face = np.asarray(self._frames[row]), self._faces[row]
        side = SIZE * np.exp(rng.uniform(np.log(0.11), np.log(1.05)))
        roll = _roll(rng)
        slack = max(SIZE / 2 - side / 2, SIZE * 0.08)
        goal = SIZE / 2 + rng.uniform(-slack, slack, 2)
        flip = -1.0 if rng.random() < 0.5 else 1.0
        scale, turn = side / face[2], np.deg2rad(roll)
        c, s = np.cos(turn) * scale, np.sin(turn) * scale
        linear = np.array([[c, -s], [s, c]]) @ np.diag([flip, 1.0])
        move = np.column_stack([linear, goal - linear @ face[:2]])
        h, w = self._sizes[row]
        frame = frame[:h, :w]
        if scale < 0.6:
            k = 0.5 if scale > 0.3 else 0.25
            frame = cv2.resize(frame, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
            move[:, :2] /= k
        border = int(rng.choice([cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE]))
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        view = cv2.warpAffine(frame, move, (SIZE, SIZE), borderMode=border, borderValue=fill)
        angle = (flip * face[3] + roll + 180) % 360 - 180
        return np.asarray(view, np.uint8), np.array([*goal, side, angle], np.float32)

    def _cover(self, view: ImageArray, face: FloatArray, rng: np.random.Generator) -> None:
        """Put a mask, a hand or a bar, as a patch of one colour, over a part of the face."""
        side = float(face[2])
        middle = face[:2] + rng.uniform(-0.35, 0.35, 2) * side
        size = rng.uniform(0.15, 0.6, 2) * side
        box = (middle.tolist(), size.tolist(), float(rng.uniform(0, 180)))
        colour = rng.integers(0, 256, 3)
        if rng.random() < 0.4:
            j, i = np.clip(face[1::-1] + 0.2 * side, 0, SIZE - 1).astype(int)
            colour = view[j, i]
        if rng.random() < 0.6:
            cv2.ellipse(view, box, tuple(int(c) for c in colour), -1)
        else:
            cv2.fillConvexPoly(view, cv2.boxPoints(box).astype(np.int32), colour.tolist())

    def _paste_second(
        self, view: ImageArray, faces: list[FloatArray], rng: np.random.Generator
    ) -> None:
        """Put half of another example beside the first face when there is room."""
        other, face = self._one_face(int(rng.choice(self._pools[1])), rng)
        x, reach = faces[0][0], faces[0][2] * 0.6
        lo, hi = face[0] - face[2] * 0.6, face[0] + face[2] * 0.6
        if lo > x + reach:
            cut = slice(int((lo + x + reach) / 2), SIZE)
        elif hi < x - reach:
            cut = slice(0, int((hi + x - reach) / 2))
        else:
            return
        view[:, cut] = other[:, cut]
        faces.append(face)

    def _no_face(self, row: int, rng: np.random.Generator) -> ImageArray:
        """Return a picture with the face covered by a neighbouring texture, or pure texture."""
        frame, (x, y, side, _) = np.array(self._frames[row]), self._faces[row]
        h, w = self._sizes[row]
        kind = rng.random()
        if kind < 0.4:
            cells = int(rng.integers(2, 40))
            noise = rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
            return np.asarray(
                cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.uint8
            )
        if kind < 0.7:
            fill = tuple(int(v) for v in rng.integers(0, 256, 3))
            box = ((float(x), float(y)), (float(side) * 1.3, float(side) * 1.6), 0.0)
            cv2.ellipse(frame, box, fill, -1)
            return np.asarray(
                cv2.resize(frame[:h, :w], (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8
            )
        top = int(np.clip(y + side * 0.75, 0, h - 16))
        region = (
            frame[top:h, :w] if rng.random() < 0.7 else frame[: max(12, int(y - side * 0.8)), :w]
        )
        return np.asarray(cv2.resize(region, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def _roll(rng: np.random.Generator) -> float:
    """Return a turn in degrees: mostly upright, often tilted, now and then any way round."""
    kind = rng.random()
    if kind < 0.45:
        return float(rng.normal(0, 8))
    return float(rng.uniform(-55, 55) if kind < 0.75 else rng.uniform(-180, 180))


def _target(faces: list[FloatArray]) -> FloatArray:
    """Return the maps (6, GRID, GRID) for squares (x, y, side, roll)."""
    target = np.zeros((6, GRID, GRID), np.float32)
    middle_y, middle_x = np.mgrid[:GRID, :GRID] + 0.5
    for x, y, side, roll in faces:
        dx, dy = x / CELL - middle_x, y / CELL - middle_y
        spread = max(0.6, side / CELL * 0.07)
        heat = np.exp(-(dx**2 + dy**2) / (2 * spread**2))
        j, i = (int(np.clip(v / CELL, 0, GRID - 1)) for v in (y, x))
        heat[j, i] = 1
        turn = np.deg2rad(roll)
        rest = [
            dx,
            dy,
            *(np.full_like(dx, v) for v in (np.log2(side / CELL), np.cos(turn), np.sin(turn))),
        ]
        target[1:] = np.where(heat > target[0], np.stack(rest), target[1:])
        target[0] = np.maximum(target[0], heat)
    return target


def _tensors(
    views: list[ImageArray] | tuple[ImageArray, ...], target: FloatArray
) -> dict[str, Tensor]:
    """Return a batch as tensors."""
    image = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2)
    image = image.to(torch.float32, memory_format=torch.channels_last)
    return {"image": image / 127.5 - 1, "target": torch.from_numpy(np.asarray(target, np.float32))}


def _errors(out: FloatArray, faces: list[FloatArray]) -> dict[str, float]:
    """Return missed faces and the mean errors of centre, side (shares of the side) and roll."""
    missed, rows = 0, []
    for maps, (x, y, side, roll) in zip(out, faces, strict=True):
        j, i = np.unravel_index(int(maps[0].argmax()), maps[0].shape)
        _, dx, dy, size, c, s = maps[:, j, i]
        centre = np.hypot((i + 0.5 + dx) * CELL - x, (j + 0.5 + dy) * CELL - y) / side
        if maps[0, j, i] < 0 or centre > 0.3:
            missed += 1
            continue
        turn = (np.rad2deg(np.arctan2(s, c)) - roll + 180) % 360 - 180
        rows.append([centre, abs(2.0**size * CELL / side - 1), abs(turn)])
    mean = np.mean(rows, 0) if rows else np.ones(3)
    names = ("centre", "size", "roll")
    return {"missed": missed / len(faces)} | {
        n: round(float(v), 4) for n, v in zip(names, mean, strict=True)
    }


def main() -> None:
    """Train from the command line."""
    data, plan = arguments("detector", 3000)
    run(Detector(data), plan)


if __name__ == "__main__":
    main()
