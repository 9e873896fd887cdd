"""LivePortrait's networks without PyTorch: ONNX files run by ONNX Runtime or OpenVINO.

``export.py`` makes the files. ONNX Runtime comes with Visavis; OpenVINO (``pip install openvino``)
takes half its time on processors with bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, ModelError
from visavis.faces.implicit import POINTS, Implicit
from visavis.machine import cpu_threads
from visavis.nn.openvino import OpenVinoNetwork
from visavis.nn.session import Network
from visavis.render.liveportrait.engine import Retargeting, no_retargeting, stitched, stitching_rows
from visavis.types import FloatArray

RUNTIMES = ("onnxruntime", "openvino")
PRECISIONS = ("float32", "bfloat16")
HALVED = ("warping", "decoder")
"""Networks that run in halves if halves are asked for: those that run for every frame."""
FILES = ("appearance", "motion", "warping", "decoder", "stitching")
"""What an engine cannot do without."""
OPTIONAL = ("eyes", "lips")
"""What Ditto's weights may lack."""
KEPT = {"decoder": ("/stem/", "/out/")}
"""Parts of names of convolutions that lose too much in halves."""

Run = Callable[[Mapping[str, NDArray[Any]]], list[NDArray[np.float32]]]


class Source(NamedTuple):
    """What a picture gives to draw with: its volume, and what W reads of it."""

    volume: FloatArray
    thin: FloatArray


class OnnxEngine:
    """The engine (engine.py) on a CPU, or wherever ``VISAVIS_DEVICE`` says, without PyTorch."""

    def __init__(
        self,
        folder: Path,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Run the files in ``folder`` with ``runtime`` (``RUNTIMES``) on ``threads`` threads.

        By default OpenVINO if it is there, and all threads. ``precision`` of what runs for every
        frame: float32, or bfloat16 (OpenVINO alone, and its default).

        Raises:
            InputError: there is no such runtime or precision.
            ModelError: a file is missing.
            MissingExtra: the runtime is not installed.
        """
        runtime = runtime or ("openvino" if find_spec("openvino") else "onnxruntime")
        precision = precision or ("bfloat16" if runtime == "openvino" else "float32")
        _check(folder, runtime, precision)
        self._threads = threads or cpu_threads()
        self._networks: dict[str, Run] = {}
        for name in (*FILES, *OPTIONAL):
            path = folder / f"{name}.onnx"
            if path.is_file():
                halves = precision == "bfloat16" and name in HALVED
                self._networks[name] = self._opened(path, runtime, halves=halves)

    def _opened(self, path: Path, runtime: str, *, halves: bool) -> Run:
        """Return the network in ``path`` as a function."""
        if runtime == "onnxruntime":
            return Network(str(path), self._threads)
        kept = KEPT.get(path.stem, ())
        return OpenVinoNetwork(path, self._threads, halves=halves, kept=kept)

    def volume(self, image: FloatArray) -> Source:
        """Return what ``draw`` needs of the picture (256, 256, 3), RGB in 0..1."""
        volume, thin = self._networks["appearance"]({"image": _as_batch(image)})
        return Source(volume, thin)

    def read(self, images: FloatArray) -> Implicit:
        """Return what pictures (n, 256, 256, 3), RGB in 0..1, say of the face."""
        read = [self._networks["motion"]({"image": _as_batch(image)}) for image in images]
        kp, exp, *others = (np.concatenate(column) for column in zip(*read, strict=True))
        return Implicit(kp.reshape(-1, POINTS, 3), exp.reshape(-1, POINTS, 3), *others)

    def stitch(self, source: FloatArray, driving: FloatArray) -> FloatArray:
        """Return ``driving`` (n, 21, 3) with shoulders that fit ``source`` (n or 1, 21, 3)."""
        (answer,) = self._networks["stitching"]({"rows": stitching_rows(source, driving)})
        return stitched(driving, answer)

    def retarget(self, which: Retargeting, rows: FloatArray) -> FloatArray:
        """Return how all points shift (n, 21, 3) for wanted eyes (rows (n, 66)) or lips (n, 65).

        Raises:
            ModelError: these weights have no such network.
        """
        if which not in self._networks:
            raise no_retargeting(which)
        (answer,) = self._networks[which]({"rows": np.asarray(rows, np.float32)})
        return answer.reshape(-1, POINTS, 3)

    def draw(self, volume: Source, source: FloatArray, driving: FloatArray) -> Iterator[FloatArray]:
        """Yield a picture (512, 512, 3), RGB in 0..255, for each of ``driving`` (n, 21, 3)."""
        still = {**volume._asdict(), "source": np.asarray(source, np.float32)[None]}
        for points in np.asarray(driving, np.float32):
            (features,) = self._networks["warping"]({**still, "driving": points[None]})
            (picture,) = self._networks["decoder"]({"features": features})
            yield np.ascontiguousarray(picture[0].transpose(1, 2, 0)) * 255


def _as_batch(image: FloatArray) -> FloatArray:
    """Return the picture (h, w, 3) as (1, 3, h, w) float32."""
    return np.ascontiguousarray(np.asarray(image, np.float32).transpose(2, 0, 1)[None])


def _check(folder: Path, runtime: str, precision: str) -> None:
    """Refuse what cannot be run.

    Raises:
        InputError: there is no such runtime or precision, or not together.
        ModelError: a file is missing.
    """
    if runtime not in RUNTIMES:
        raise InputError(f"There is no runtime {runtime!r}. Give one of: {', '.join(RUNTIMES)}.")
    if precision not in PRECISIONS or (runtime, precision) == ("onnxruntime", "bfloat16"):
        raise InputError(
            f"{runtime} does not run in {precision!r}. Give float32, or bfloat16 with openvino."
        )
    for name in FILES:
        if not (folder / f"{name}.onnx").is_file():
            raise ModelError(
                f"{folder} has no {name}.onnx. Make the files: visavis models convert … --onnx"
            )
