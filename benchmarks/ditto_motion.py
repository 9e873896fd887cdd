"""How long Ditto's motion network takes, upstream's way and ours, and how far ours is from it.

    python benchmarks/ditto_motion.py [--threads 2] [--steps 10] [--rounds 3] [--device cuda]

Weights and inputs are by the rule of the golden data, so no published file is needed. Upstream's
way is two passes per step, each with its conditions encoded again. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visavis.motion.ditto.config import LmdmConfig
from visavis.motion.ditto.network import Lmdm
from visavis.motion.ditto.onnx_denoiser import OnnxDenoiser
from visavis.motion.ditto.sampler import Denoiser, Sampling, sampled
from visavis.motion.ditto.torch_denoiser import TorchDenoiser, export
from visavis.motion.ditto.weights import from_published, made, rule_state
from visavis.nn.rule import normal
from visavis.types import FloatArray


class UpstreamsWay:
    """The network asked twice per step, once as told and once as if nothing were."""

    def __init__(self, net: Lmdm, device: str) -> None:
        self._net, self._device = net.to(device), device
        self.config = net.config

    def prepare(self, before: FloatArray, told: FloatArray) -> tuple[torch.Tensor, torch.Tensor]:
        return self._put(before), self._put(told)

    @torch.inference_mode()
    def guess(self, prepared: Any, motion: FloatArray, time: int) -> FloatArray:
        before, told = prepared
        times = torch.tensor([float(time)], device=self._device)
        answers = [
            self._net(self._put(motion), before, told, times, torch.full((1,), is_told).to(times))
            for is_told in (1.0, 0.0)
        ]
        made: FloatArray = torch.cat(answers).cpu().numpy()
        return made

    def _put(self, values: FloatArray) -> torch.Tensor:
        return torch.from_numpy(values[None]).to(self._device)


def denoisers(net: Lmdm, folder: Path, threads: int, device: str) -> dict[str, Denoiser]:
    """Return every way by name, upstream's first."""
    ways: dict[str, Denoiser] = {"PyTorch, upstream's way": UpstreamsWay(net, device)}
    ways["PyTorch, both at once, conditions once"] = TorchDenoiser(net, device)
    if device == "cpu":
        export(net, folder)
        ways["ONNX Runtime"] = OnnxDenoiser(folder, threads)
    else:
        ways["the same, compiled"] = TorchDenoiser(net, device, compiled=True)
        half = made(net.state_dict(), net.config)
        ways["compiled, bfloat16"] = TorchDenoiser(half, device, torch.bfloat16, compiled=True)
    return ways


def measured(denoiser: Denoiser, steps: int, rounds: int) -> tuple[float, FloatArray]:
    """Return the least seconds that a window took, and the window."""
    told = (0.5 * normal("input:lmdm_cond", (80, 1103))).astype(np.float32)
    before = (0.3 * normal("input:lmdm_cond_frame", (265,))).astype(np.float32)
    noises = [normal(f"input:noise_{i}", (80, 265)).astype(np.float32) for i in range(steps)]
    least, window = float("inf"), sampled(denoiser, Sampling(steps), before, told, noises)
    for _ in range(rounds):
        start = time.perf_counter()
        window = sampled(denoiser, Sampling(steps), before, told, noises)
        least = min(least, time.perf_counter() - start)
    return least, window


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = LmdmConfig()
    net = made(from_published(rule_state(config), config), config)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ways = denoisers(net, Path(folder), args.threads, args.device)
        reference: FloatArray | None = None
        for name, denoiser in ways.items():
            seconds, window = measured(denoiser, args.steps, args.rounds)
            reference = window if reference is None else reference
            error = float(np.abs(window - reference).max() / np.abs(reference).max())
            rows.append({"way": name, "step_ms": round(1e3 * seconds / args.steps, 1),
                         "window_ms": round(1e3 * seconds), "error": error})  # fmt: skip
            print(f"{name:40s} {rows[-1]['step_ms']:7.1f} ms a step, error {error:.1e}")
    print(json.dumps({"steps": args.steps, "threads": args.threads, "device": args.device,
                      "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
