"""What runs LivePortrait's networks, as the renderer sees it; arrays are NumPy float32 throughout.

``TorchEngine`` in eager.py is the plain one in PyTorch; others trade nothing but time and rounding.
Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np

from visavis.errors import ModelError
from visavis.faces.implicit import POINTS, Implicit
from visavis.types import FloatArray

Retargeting = Literal["eyes", "lips"]


class Engine(Protocol):
    """Runs F, M, W, G, S and R. Holds weights, never a conversation."""

    def volume(self, image: FloatArray) -> Any:
        """Return what ``draw`` needs of the picture (256, 256, 3), RGB in 0..1; opaque."""
        ...

    def read(self, images: FloatArray) -> Implicit:
        """Return what pictures (n, 256, 256, 3), RGB in 0..1, say of the face."""
        ...

    def stitch(self, source: FloatArray, driving: FloatArray) -> FloatArray:
        """Return ``driving`` (n, 21, 3) moved so that its shoulders fit ``source`` (n or 1, 21, 3).

        Guo et al. (2024), section 3.3; ditto-spec 4.9.
        """
        ...

    def retarget(self, which: Retargeting, rows: FloatArray) -> FloatArray:
        """Return how all points shift (n, 21, 3) for wanted eyes (rows (n, 66)) or lips (n, 65).

        Raises:
            ModelError: these weights have no such network (Ditto's may not).
        """
        ...

    def draw(self, volume: Any, source: FloatArray, driving: FloatArray) -> Iterator[FloatArray]:
        """Yield a picture (512, 512, 3), RGB in 0..255, for each of ``driving`` (n, 21, 3).

        ``source`` (21, 3) is where the points are in the picture that ``volume`` was made of.
        """
        ...


def stitching_rows(source: FloatArray, driving: FloatArray) -> FloatArray:
    """Return the rows (n, 126) that the stitching network takes: source first, then driving."""
    source = np.broadcast_to(source, driving.shape)
    pair = [points.reshape(-1, 3 * POINTS) for points in (source, driving)]
    return np.concatenate(pair, axis=1).astype(np.float32)


def stitched(driving: FloatArray, answer: FloatArray) -> FloatArray:
    """Return ``driving`` (n, 21, 3) as the stitching network's ``answer`` (n, 65) moves it."""
    moved = driving + answer[:, : 3 * POINTS].reshape(-1, POINTS, 3)
    moved[..., :2] += answer[:, None, 3 * POINTS :]
    return moved.astype(np.float32)


def no_retargeting(which: Retargeting) -> ModelError:
    """Return the error that weights have no network for ``which``."""
    return ModelError(
        f"These weights have no network to retarget {which} with. LivePortrait's have one: "
        "visavis models fetch liveportrait"
    )
