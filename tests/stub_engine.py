"""An engine without networks: what it reads and draws is plain, S and R are golden perceptrons."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from visavis.faces.implicit import BINS, POINTS, Implicit
from visavis.nn.rule import normal, rule_weights
from visavis.render.liveportrait.engine import stitched, stitching_rows

WIDTHS = {
    "retarget_shoulder": (126, 128, 128, 64, 65),
    "retarget_eye": (66, 256, 256, 128, 128, 64, 63),
    "retarget_mouth": (65, 128, 128, 64, 63),
}


class StubEngine:
    """Reads linear functions of a picture's means, draws the picture with a dot for each point."""

    def __init__(self) -> None:
        self.volumes = 0
        self.read_sizes: list[int] = []

    def volume(self, image):
        assert image.shape == (256, 256, 3)
        assert image.dtype == np.float32
        assert image.max() <= 1
        self.volumes += 1
        return cv2.resize(image, (512, 512)) * 255

    def read(self, images):
        self.read_sizes.append(len(images))
        assert images.shape[1:] == (256, 256, 3)
        assert images.dtype == np.float32
        cells = images[:, 64:192, 64:192].reshape(len(images), 8, 16, 8, 16, 3).mean((2, 4, 5))
        flat = cells.reshape(len(images), -1) - 0.5

        def part(name: str, *shape: int) -> Any:
            weights = normal(f"stub:{name}", (flat.shape[1], int(np.prod(shape)))) * 0.05
            return (flat @ weights).reshape(-1, *shape).astype(np.float32)

        kp = np.tile(normal("stub:kp", (POINTS, 3)).astype(np.float32) * 0.2, (len(images), 1, 1))
        angles = [logits(part(name, 1)[:, 0] * 20) for name in ("pitch", "yaw", "roll")]
        return Implicit(
            kp, part("exp", POINTS, 3), *angles, part("t", 3), 1 + 0.1 * part("scale", 1)
        )

    def stitch(self, source, driving):
        return stitched(driving, perceptron("retarget_shoulder", stitching_rows(source, driving)))

    def retarget(self, which, rows):
        nest = {"eyes": "retarget_eye", "lips": "retarget_mouth"}[which]
        return perceptron(nest, rows).reshape(-1, POINTS, 3)

    def draw(self, volume, source, driving):
        assert source.shape == (POINTS, 3)
        for points in driving:
            picture = volume.copy()
            for x, y, _ in (points + 1) * 256:
                cv2.circle(picture, (int(x), int(y)), 4, (255, 0, 0), -1)
            yield picture.astype(np.float32)


def logits(degrees):
    """Return bins (n, 66) whose mean is ``degrees`` (n,)."""
    at = (np.asarray(degrees)[:, None] + 97.5) / 3
    return (-((np.arange(BINS) - at) ** 2)).astype(np.float32)


@cache
def weights(nest: str) -> dict[str, Any]:
    """Return the rule's weights of a perceptron."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (a, b) in enumerate(pairwise(WIDTHS[nest])):
        shapes |= {f"mlp.{2 * i}.weight": (b, a), f"mlp.{2 * i}.bias": (b,)}
    return rule_weights(shapes, prefix=f"{nest}.")


def perceptron(nest: str, rows: Any) -> Any:
    """Return what the rule's network ``nest`` makes of ``rows``."""
    state, count = weights(nest), len(WIDTHS[nest]) - 1
    for i in range(count):
        rows = rows @ state[f"mlp.{2 * i}.weight"].T + state[f"mlp.{2 * i}.bias"]
        rows = np.maximum(rows, 0) if i < count - 1 else rows
    return rows
