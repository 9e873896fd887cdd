"""Files of weights: published PyTorch files, read without unpickling, and safetensors of ours.

Needs ``pip install "visavis[neural]"``.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from visavis.errors import ModelError, WeightsMismatch

State = dict[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]
NAMED = 3
"""Keys that a message names before it only counts them."""


def read_published(path: Path) -> dict[str, Any]:
    """Return what the PyTorch file ``path`` holds, tensors on the CPU; no code in it is run.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged, or holds more than tensors, numbers and texts.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Fetch it: visavis models fetch")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as reason:
        said = str(reason).strip().split("\n", 1)[0][:120]
        raise WeightsMismatch(
            f"{path} cannot be read as PyTorch weights ({said}). Only files of plain tensors are "
            "read; fetch it again: visavis models fetch"
        ) from reason
    if not isinstance(held, dict):
        raise WeightsMismatch(f"{path} holds {type(held).__name__}, not weights by name.")
    return held


def write_converted(path: Path, state: State, texts: Mapping[str, str]) -> None:
    """Write ``state`` and named ``texts`` beside it to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file({key: value.contiguous() for key, value in state.items()}, part, dict(texts))
    part.replace(path)


def read_converted(path: Path) -> tuple[State, dict[str, str]]:
    """Return the weights in the safetensors file ``path`` and the texts beside them.

    Raises:
        ModelError: there is no such file.
        WeightsMismatch: it is damaged.
    """
    if not path.is_file():
        raise ModelError(f"There is no file {path}. Make it: visavis models convert")
    try:
        with safe_open(path, framework="pt") as file:
            texts = dict(file.metadata() or {})
            return {key: file.get_tensor(key) for key in file.keys()}, texts  # noqa: SIM118
    except (SafetensorError, OSError) as reason:
        raise WeightsMismatch(
            f"{path} is damaged ({reason}). Convert the published files again: "
            "visavis models convert"
        ) from reason


def check_keys(
    what: str, expected: Shapes, state: Mapping[str, Any], optional: Collection[str] = ()
) -> None:
    """Refuse ``state`` of ``what`` unless it has the ``expected`` keys and shapes and no others.

    Raises:
        WeightsMismatch: names the first keys that are missing, left over or of another shape.
    """
    faults = {
        "are missing": [key for key in expected if key not in state and key not in optional],
        "are left over": [key for key in state if key not in expected],
        "have another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(shape)}"
            for key, shape in expected.items()
            if key in state and tuple(state[key].shape) != tuple(shape)
        ],
    }
    said = [
        f"{len(keys)} {fault}: {', '.join(keys[:NAMED])}{', …' if len(keys) > NAMED else ''}"
        for fault, keys in faults.items()
        if keys
    ]
    if said:
        raise WeightsMismatch(
            f"The weights of {what} are not the published ones; of its {len(expected)} keys "
            f"{'; '.join(said)}. Fetch them again: visavis models fetch"
        )
