"""Ditto's denoiser in ONNX Runtime: no PyTorch is needed to run it, and it is faster on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.errors import ModelError
from visavis.motion.ditto.config import LmdmConfig
from visavis.nn.session import Network
from visavis.types import FloatArray

CONDITIONS, STEP = "lmdm_conditions.onnx", "lmdm_step.onnx"
"""The files of a folder: run once per window, run once per step."""
KEPT = ("keys", "values", "summary")
"""What the first file gives the second."""


class OnnxDenoiser:
    """The network as torch_denoiser.export wrote it; sampler.Denoiser."""

    def __init__(self, folder: Path, threads: int = 0, device: str | None = None) -> None:
        """Load the two files in ``folder`` for ``threads`` threads (0: one per core).

        Raises:
            ModelError: they are not there.
            WeightsMismatch: they do not say what sizes they have.
        """
        missing = [name for name in (CONDITIONS, STEP) if not (folder / name).is_file()]
        if missing:
            raise ModelError(
                f"{folder} has no {' and no '.join(missing)}. Make them: visavis models convert"
            )
        self._conditions = Network(str(folder / CONDITIONS), threads, device)
        self._step = Network(str(folder / STEP), threads, device)
        self._config = LmdmConfig.from_json(self._conditions.metadata.get("config", ""))

    @property
    def config(self) -> LmdmConfig:
        """The sizes of the network."""
        return self._config

    def prepare(self, before: FloatArray, told: FloatArray) -> dict[str, FloatArray]:
        """Return the frame ``before`` (265,) and what the network makes of ``told`` (n, c)."""
        kept = self._conditions({"told": told[None].astype(np.float32)})
        return dict(zip(KEPT, kept, strict=True), before=before[None].astype(np.float32))

    def guess(self, prepared: dict[str, FloatArray], motion: FloatArray, time: int) -> FloatArray:
        """Return clean motion (b, n, 265) for noisy ``motion`` (n, 265) of step ``time``."""
        times = np.array([time], np.float32)
        return self._step({**prepared, "motion": motion[None].astype(np.float32), "time": times})[0]
