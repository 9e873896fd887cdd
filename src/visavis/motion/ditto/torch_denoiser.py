"""Ditto's denoiser in PyTorch, and its export for ONNX Runtime (onnx_denoiser.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.motion.ditto.config import LmdmConfig
from visavis.motion.ditto.network import Lmdm
from visavis.motion.ditto.onnx_denoiser import CONDITIONS, KEPT, STEP
from visavis.nn.export import export as onnx_file
from visavis.types import FloatArray


class TorchDenoiser:
    """The network on a device; sampler.Denoiser."""

    def __init__(
        self,
        net: Lmdm,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        """Put ``net`` on ``device``, computing in ``dtype``.

        ``compiled`` takes half a minute at the first window; on a GPU, where a step is hundreds of
        small kernels, it is recorded and played back as one.
        """
        self._net = net.to(device, dtype)
        self._conditions = _Conditions(self._net)
        step = _Step(self._net)
        self._step = torch.compile(step, mode="reduce-overhead") if compiled else step
        self._device, self._dtype = device, dtype

    @property
    def config(self) -> LmdmConfig:
        """The sizes of the network."""
        return self._net.config

    @torch.inference_mode()
    def prepare(self, before: FloatArray, told: FloatArray) -> tuple[Tensor, ...]:
        """Return the frame ``before`` (265,) and what the network makes of ``told`` (n, c)."""
        kept: tuple[Tensor, ...] = self._conditions(self._put(told[None]))
        return (self._put(before[None]), *kept)

    @torch.inference_mode()
    def guess(self, prepared: tuple[Tensor, ...], motion: FloatArray, time: int) -> FloatArray:
        """Return clean motion (b, n, 265) for noisy ``motion`` (n, 265) of step ``time``."""
        times = torch.tensor([time], dtype=torch.float32, device=self._device)
        made: Tensor = self._step(self._put(motion[None]), times, *prepared)
        clean: FloatArray = made.float().cpu().numpy()
        return clean

    def _put(self, values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, self._dtype)


class _Conditions(nn.Module):
    """``Lmdm.conditions`` of one window: as told, and but for a student as if nothing were told."""

    def __init__(self, net: Lmdm) -> None:
        super().__init__()
        self.net = net
        versions = [1.0] if net.config.is_student else [1.0, 0.0]
        self.is_told = torch.tensor(versions, device=net.out.weight.device)

    def forward(self, told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.net.conditions(told, self.is_told)


class _Step(nn.Module):
    """``Lmdm.step`` with flat arguments."""

    def __init__(self, net: Lmdm) -> None:
        super().__init__()
        self.net = net

    def forward(self, motion: Tensor, time: Tensor, before: Tensor, *kept: Tensor) -> Tensor:
        keys, values, summary = kept
        return self.net.step(motion, before, time, (keys, values, summary))


def export(net: Lmdm, folder: Path) -> list[Path]:
    """Write ``net`` (float32, on the CPU) to ``folder`` as OnnxDenoiser reads it."""
    config, first, second = net.config, folder / CONDITIONS, folder / STEP
    conditions, told = _Conditions(net), torch.zeros(1, config.frames, config.condition)
    with torch.inference_mode():
        kept = dict(zip(KEPT, conditions(told), strict=True))
    onnx_file(conditions, first, {"told": told}, KEPT)
    inputs = {
        "motion": torch.zeros(1, config.frames, config.motion),
        "time": torch.zeros(1),
        "before": torch.zeros(1, config.motion),
    }
    onnx_file(_Step(net), second, inputs | kept, ["clean"])
    _label(first, config)
    return [first, second]


def _label(path: Path, config: LmdmConfig) -> None:
    """Write the sizes into the file at ``path``."""
    import onnx

    model: Any = onnx.load(str(path))
    model.metadata_props.add(key="config", value=config.to_json())
    onnx.save(model, str(path))
