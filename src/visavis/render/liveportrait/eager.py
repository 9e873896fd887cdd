"""LivePortrait's networks in plain PyTorch, one frame at a time: what faster engines must equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.faces.implicit import POINTS, Implicit
from visavis.render.liveportrait.config import LivePortraitConfig
from visavis.render.liveportrait.engine import Retargeting, no_retargeting, stitched, stitching_rows
from visavis.render.liveportrait.weights import (
    NETWORKS,
    OPTIONAL,
    made,
    read_network,
    read_published_folder,
)
from visavis.types import FloatArray

PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def open_networks(
    folder: str | Path, config: LivePortraitConfig | None = None
) -> dict[str, nn.Module]:
    """Return the networks in ``folder`` by name, converted files or published ones.

    ``config`` gives the sizes of published files, by default those in config.json beside them or
    else the published ones. Eyes and lips are left out where the files have no such networks.

    Raises:
        ModelError: a file is missing.
        WeightsMismatch: a file is damaged or is not what was published.
    """
    folder = Path(folder)
    paths = {name: folder / f"{name}.safetensors" for name in NETWORKS}
    if not any(path.is_file() for path in paths.values()):
        states, config = read_published_folder(folder, config)
        return {name: made(name, state, config) for name, state in states.items()}
    networks = {}
    for name, path in paths.items():
        if path.is_file() or name not in OPTIONAL:
            _, state, sizes = read_network(path)
            networks[name] = made(name, state, sizes)
    return networks


class TorchEngine:
    """The engine (engine.py) in plain PyTorch: no tricks, one frame at a time."""

    def __init__(
        self, networks: Mapping[str, nn.Module], device: str = "cpu", precision: str = "float32"
    ) -> None:
        """Run ``networks`` (``open_networks``) on ``device`` in ``precision`` (``PRECISIONS``).

        Halves are used where PyTorch's autocast deems them safe; coordinates stay float32.

        Raises:
            InputError: this PyTorch has no such device, or no such precision.
        """
        self._device = _device(device, precision)
        self._dtype = PRECISIONS[precision]
        self._networks = {name: net.to(self._device) for name, net in networks.items()}

    def volume(self, image: FloatArray) -> Tensor:
        """Return the feature volume (1, c, d, 64, 64) of ``image`` (256, 256, 3), on the device."""
        return self._run("appearance", _as_batch(image[None]))

    def read(self, images: FloatArray) -> Implicit:
        """Return what pictures (n, 256, 256, 3), RGB in 0..1, say of the face."""
        read = [self._run("motion", _as_batch(image[None])) for image in images]
        return Implicit(
            **{
                field.name: np.concatenate([_as_array(getattr(one, field.name)) for one in read])
                for field in fields(Implicit)
            }
        )

    def stitch(self, source: FloatArray, driving: FloatArray) -> FloatArray:
        """Return ``driving`` (n, 21, 3) with shoulders that fit ``source`` (n or 1, 21, 3)."""
        rows = torch.tensor(stitching_rows(source, driving))
        return stitched(driving, _as_array(self._run("stitching", rows)))

    def retarget(self, which: Retargeting, rows: FloatArray) -> FloatArray:
        """Return how all points shift (n, 21, 3) for wanted eyes (rows (n, 66)) or lips (n, 65).

        Raises:
            ModelError: these weights have no such network.
        """
        if which not in self._networks:
            raise no_retargeting(which)
        answer = self._run(which, torch.tensor(rows, dtype=torch.float32))
        return _as_array(answer).reshape(-1, POINTS, 3)

    def draw(self, volume: Tensor, source: FloatArray, driving: FloatArray) -> Iterator[FloatArray]:
        """Yield a picture (512, 512, 3), RGB in 0..255, for each of ``driving`` (n, 21, 3)."""
        start = torch.tensor(source[None], dtype=torch.float32)
        for points in driving:
            moved = torch.tensor(points[None], dtype=torch.float32)
            features = self._run("warping", volume, start, moved)
            picture = self._run("decoder", features)[0]
            yield _as_array(picture.movedim(0, -1) * 255)

    def _run(self, network: str, *inputs: Tensor) -> Any:
        """Return what ``network`` makes of ``inputs``, on the device."""
        is_half = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, self._dtype, enabled=is_half),
        ):
            return self._networks[network](*(value.to(self._device) for value in inputs))


def _device(name: str, precision: str) -> torch.device:
    """Return the device ``name`` if it is here and can work in ``precision``.

    Raises:
        InputError: it is not, or it cannot.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"There is no precision {precision!r}. Give one of: {', '.join(PRECISIONS)}."
        )
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as reason:
        said = str(reason).split("\n", 1)[0]
        raise InputError(
            f"PyTorch cannot use the device {name!r} ({said}). Give cpu, cuda, cuda:1 or mps, and "
            "install a PyTorch made for it: https://pytorch.org/get-started"
        ) from reason
    if device.type == "cpu" and precision == "float16":
        raise InputError(
            "In float16 a CPU takes minutes for a frame. Give bfloat16 or float32 on the CPU."
        )
    return device


def _as_batch(images: FloatArray) -> Tensor:
    """Return pictures (n, h, w, 3) as a tensor (n, 3, h, w) float32."""
    return torch.tensor(images, dtype=torch.float32).movedim(-1, 1).contiguous()


def _as_array(value: Tensor) -> FloatArray:
    """Return ``value`` as NumPy float32 in the host's memory."""
    return value.float().cpu().numpy()
