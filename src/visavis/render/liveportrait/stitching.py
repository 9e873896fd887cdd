"""S and R: small perceptrons over keypoints that keep shoulders still and set eyes and lips.

Guo et al. (2024), LivePortrait, sections 3.3 and 3.4; ditto-spec 1 and 4.9.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from visavis.faces.implicit import POINTS
from visavis.render.liveportrait.config import LivePortraitConfig


class PointMLP(nn.Module):
    """A perceptron with ReLU between its layers: rows (b, widths[0]) -> (b, widths[-1])."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        """Make it with ``widths``, those of its rows in and out among them."""
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, rows: Tensor) -> Tensor:
        """Map (b, widths[0]) to (b, widths[-1])."""
        *hidden, last = self.layers
        for layer in hidden:
            rows = layer(rows).relu()
        return last(rows)


def stitching_network(config: LivePortraitConfig) -> PointMLP:
    """Return S: source and driving points (126) -> shifts of all (63) and of the whole (2)."""
    return PointMLP((6 * POINTS, *config.stitching_hidden, 3 * POINTS + 2))


def eyes_network(config: LivePortraitConfig) -> PointMLP:
    """Return R for eyes: source points, its two eyes' openness and the wanted one (66) -> 63."""
    return PointMLP((3 * POINTS + 3, *config.eyes_hidden, 3 * POINTS))


def lips_network(config: LivePortraitConfig) -> PointMLP:
    """Return R for lips: source points, its lips' openness and the wanted one (65) -> 63."""
    return PointMLP((3 * POINTS + 2, *config.lips_hidden, 3 * POINTS))
