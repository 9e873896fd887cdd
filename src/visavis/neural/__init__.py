"""The neural path: Ditto's and LivePortrait's published networks as parts of an animator.

``opening`` puts the three parts together; ``checking``, ``converting`` and ``random_weights`` serve
``visavis models``. Needs ``pip install "visavis[neural]"``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.audio.features import FeatureExtractor
from visavis.errors import MissingExtra
from visavis.motion.base import MotionModel
from visavis.render.base import Renderer

__all__ = ["ONNX_FOLDER", "extra", "open_neural"]

ONNX_FOLDER = "onnx"
"""Exported networks, in a model's folder."""
_PACKAGES = ("torch", "safetensors", "onnx")


@contextmanager
def extra() -> Iterator[None]:
    """Say which extra to install if an import in the block finds a package missing.

    Raises:
        MissingExtra: it belongs to the neural path.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        raise MissingExtra(
            f'The published networks need {error.name}: pip install "visavis[neural]".'
        ) from error


def open_neural(
    model: str | Path,
    *,
    device: str | None = None,
    precision: str | None = None,
    live: bool = False,
    steps: int | None = None,
    motion_model: str | None = None,
) -> tuple[FeatureExtractor, MotionModel, Renderer]:
    """Return what hears, what moves and what draws, by published networks.

    With a motion model of visavis's own, a bridge to these networks is fitted when they are opened
    for the first time (some two hundred pictures are drawn and read), and kept beside them.

    Args:
        model: "ditto" or "liveportrait", fetched before, or a folder with the files of either.
        device: cpu, cuda, cuda:1 or mps; by default a GPU if PyTorch has one.
        precision: float32, bfloat16 or float16; by default float32 on a CPU, bfloat16 elsewhere.
        live: for sound that comes as it is spoken.
        steps: calls of the motion model for each stretch of motion; its own default if None.
        motion_model: "ditto" (the default where its network is there), "ditto_published" (the
            same network, windows as upstream), or one of visavis's own (motion.models).

    Raises:
        InputError: device, precision, steps or motion model are not possible.
        MissingExtra: a package is not installed.
        ModelError: the model was not fetched, or files are missing.
        UnknownModel: there is no such model.
        WeightsMismatch: a file is damaged or is not what was published.
    """
    with extra():
        from visavis.neural.opening import opened
    return opened(
        model,
        device=device,
        precision=precision,
        live=live,
        steps=steps,
        motion_model=motion_model,
    )
