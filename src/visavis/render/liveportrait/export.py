"""LivePortrait's networks as ONNX files, for machines without PyTorch (``onnx_engine.py``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from visavis.faces.implicit import POINTS
from visavis.nn.export import export
from visavis.render.liveportrait.config import GRID, IMAGE
from visavis.render.liveportrait.fast import FastDecoder, FastWarp
from visavis.render.liveportrait.keypoints import READINGS
from visavis.render.liveportrait.onnx_engine import FILES, OPTIONAL


class _Source(nn.Module):
    """F and what W reads of its volume."""

    def __init__(self, appearance: nn.Module, warp: FastWarp) -> None:
        super().__init__()
        self.appearance = appearance
        self.warp = warp

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        volume = self.appearance(image)
        return volume, self.warp.source(volume)


def export_engine(networks: Mapping[str, nn.Module], folder: Path) -> list[Path]:
    """Write ``networks`` (``eager.open_networks``) to ``folder`` as ``OnnxEngine`` wants them.

    W and G are written by matrix products (``fast.py``). Returns the files.
    """
    warp = FastWarp(networks["warping"], by_products=True)
    image = torch.zeros(1, 3, IMAGE, IMAGE)
    with torch.inference_mode():
        volume = networks["appearance"](image)
        thin = warp.source(volume)
    points = torch.zeros(1, POINTS, 3)
    features = torch.zeros(1, networks["decoder"].stem.in_channels, GRID, GRID)
    paths = [
        folder / f"{name}.onnx"
        for name in (*FILES, *(name for name in OPTIONAL if name in networks))
    ]
    source, motion, warping, decoder, *perceptrons = paths
    export(_Source(networks["appearance"], warp), source, {"image": image}, ("volume", "thin"))
    export(networks["motion"], motion, {"image": image}, list(READINGS))
    keypoints = {"source": points, "driving": points}
    export(warp, warping, {"volume": volume, "thin": thin, **keypoints}, ("features",))
    painter = FastDecoder(networks["decoder"], by_products=True)
    export(painter, decoder, {"features": features}, ("picture",))
    for path in perceptrons:
        network = networks[path.stem]
        rows = torch.zeros(1, network.layers[0].in_features)
        export(network, path, {"rows": rows}, ("shifts",), any_rows=True)
    return paths
