"""What each optimisation of LivePortrait's networks gives on a GPU: one line each, once.

``python recipes/gpu_neural.py --out FILE [--seconds 540] [--tiny] [--device cuda]``

Steps that FILE (JSON lines) already holds are left out, and no step starts after ``--seconds``: run
it again to go on, and to try again what failed. Each step is measured against the plain networks in
float32 on the same inputs, weights by the golden rule. Needs PyTorch and safetensors only
(``PYTHONPATH=src``); Triton, onnx with onnxruntime-gpu (CUDA, TensorRT) and a second GPU are used
where they are there. ``--tiny`` tries the program on a CPU. Ceilings first (bandwidth, bf16
products), then kernels, W and G by every way, streams, batches (16 sessions in real time are 400
pictures a second), other runtimes, several GPUs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.nn import sampling3d
from visavis.nn.compile import HOWS, prepared
from visavis.nn.rule import normal
from visavis.nn.spectral import SpectralConv3d
from visavis.render.liveportrait.config import LivePortraitConfig
from visavis.render.liveportrait.fast import FastDecoder, FastWarp
from visavis.render.liveportrait.torch_engine import FastTorchEngine, Job, turn_channels_last
from visavis.render.liveportrait.weights import NETWORKS, from_published, made, rule_state

Step = Callable[[], dict[str, Any]]


class SplitConv3d(nn.Module):
    """A wide convolution with few outputs as one with more: columns of the kernel are outputs.

    22 outputs leave most of a matrix unit idle; 7 x 22 do not, for the same products. The columns
    are added up, each where it belongs, afterwards.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        """Take the weights of ``conv``."""
        super().__init__()
        outputs, inputs, *kernel = conv.weight.shape
        weight = conv.weight.detach().permute(4, 0, 1, 2, 3).reshape(-1, inputs, *kernel[:2], 1)
        self.weight, self.bias = nn.Parameter(weight), conv.bias
        self.columns, self.outputs = kernel[2], outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, i, d, h, w) to (b, o, d, h, w)."""
        half, width = self.columns // 2, x.shape[-1]
        parts = functional.conv3d(x, self.weight, padding=(half, half, 0))
        parts = functional.pad(parts, (half, half)).unflatten(1, (self.columns, self.outputs))
        total = sum(parts[:, c, ..., c : c + width] for c in range(self.columns))
        return total + self.bias[:, None, None, None]


class Bench:
    """Networks, inputs and the plain answers, made once."""

    def __init__(self, device: str, *, tiny: bool) -> None:
        """Make all on ``device``."""
        self.device = torch.device(device)
        self.is_gpu = self.device.type == "cuda"
        torch.backends.cudnn.allow_tf32 = False  # float32 is what the rest is compared with
        torch.backends.cudnn.benchmark = True
        self.config = LivePortraitConfig.tiny() if tiny else LivePortraitConfig()
        self.rounds = 20 if self.is_gpu else 2
        states = {
            name: {k: torch.from_numpy(v) for k, v in rule_state(name, self.config).items()}
            for name in NETWORKS
        }
        self.nets = {
            name: made(name, from_published(name, state, self.config), self.config)
            for name, state in states.items()
        }
        source = 0.2 * normal("input:source", (1, 21, 3))
        c = self.config
        self.volume = self.on(
            normal("input:volume", (1, c.volume_channels, c.volume_depth, 64, 64))
        )
        self.source = self.on(source)
        self.driving = self.on(source + 0.03 * normal("input:driving", (1, 21, 3)))
        with torch.inference_mode():
            warp, painter = (self.nets[n].to(self.device) for n in ("warping", "decoder"))
            self.features = warp(self.volume, self.source, self.driving)
            self.picture = painter(self.features)

    def on(self, value: np.ndarray) -> Tensor:
        """Return ``value`` as float32 on the device."""
        return torch.from_numpy(value.astype(np.float32)).to(self.device)

    def ms(self, run: Callable[[], Any]) -> float:
        """Return the median time of ``run`` in ms, by the device's own clock."""
        with torch.inference_mode():
            for _ in range(3 if self.is_gpu else 1):
                run()
            return statistics.median(self._once(run) for _ in range(self.rounds))

    def _once(self, run: Callable[[], Any]) -> float:
        if not self.is_gpu:
            start = time.perf_counter()
            run()
            return 1000 * (time.perf_counter() - start)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def networks(
        self, dtype: torch.dtype, *, last: bool = False, mask: str = "direct", multiple: int = 1
    ) -> tuple[FastWarp, FastDecoder]:
        """Return the fast W and G in ``dtype``; ``last``: channels last; ``mask`` made how."""
        warp = FastWarp(self.nets["warping"], multiple=multiple)
        painter = FastDecoder(self.nets["decoder"])
        if mask == "split":
            warp.mask = SplitConv3d(warp.mask)
        elif mask == "spectral":
            warp.mask = SpectralConv3d(warp.mask, (self.config.volume_depth, 64, 64))
        for network in (warp.to(self.device, dtype), painter.to(self.device, dtype)):
            if last:
                turn_channels_last(network)
        return warp, painter

    def compared(self, warp: Callable[..., Tensor], painter: Callable[..., Tensor]) -> dict:
        """Return the times of W and G in ms and how far they are from the plain ones."""
        with torch.inference_mode():
            features, picture = warp().float(), painter().float()
        return {
            "W ms": self.ms(warp),
            "G ms": self.ms(painter),
            "W error": apart(features, self.features),
            "G error": apart(picture, self.picture),
        }

    def way(self, dtype: torch.dtype, how: str = "eager", **options: Any) -> dict[str, Any]:
        """Measure the fast W and G in ``dtype``, called ``how``."""
        warp, painter = self.networks(dtype, **options)
        volume, features = self.volume.to(dtype), self.features.to(dtype)
        if options.get("last"):
            features = features.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            thin = warp.source(volume)
        run_w, run_g = (prepared(net, self.device, how) for net in (warp, painter))
        return self.compared(
            lambda: run_w(volume, thin, self.source, self.driving), lambda: run_g(features)
        )


def apart(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def steps(bench: Bench) -> Iterator[tuple[str, Step]]:
    """Yield every step by its name, in order."""
    half = torch.float16 if bench.is_gpu else torch.bfloat16
    yield "ceilings", lambda: ceilings(bench)
    yield "plain float32", lambda: plain(bench, torch.float32)
    yield "plain halves (autocast)", lambda: plain(bench, half)
    yield "fast float32", lambda: bench.way(torch.float32)
    yield "fast halves, no kernels", lambda: without_kernels(bench, half)
    yield "fast halves", lambda: bench.way(half)
    yield "fast bfloat16", lambda: bench.way(torch.bfloat16)
    yield "kernels alone", lambda: kernels(bench, half)
    yield "channels last", lambda: bench.way(half, last=True)
    for mask in ("direct", "split", "spectral"):
        yield (
            f"channels last by 8, mask {mask}",
            lambda m=mask: bench.way(half, last=True, multiple=8, mask=m),
        )
    for how in HOWS[1:]:
        yield (
            f"channels last by 8, {how}",
            lambda h=how: bench.way(half, h, last=True, multiple=8),
        )
    for how in ("graph", "compile+graph"):
        for batch in (1, 2, 4, 8, 16):
            yield f"engine {how}, batch {batch}", lambda h=how, b=batch: engine(bench, h, b)
    for device in ("cuda", "tensorrt"):
        yield f"ONNX Runtime, {device}", lambda d=device: in_files(bench, d)
    yield "engine compile+graph, two GPUs", lambda: engine(bench, "compile+graph", 1, "cuda:1")


def ceilings(bench: Bench) -> dict[str, Any]:
    """Measure copying (bytes read and written) and products of matrices, on random numbers."""
    side, cells = (16384, 2**30) if bench.is_gpu else (256, 2**20)
    a = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16)
    long = torch.randn(cells, device=bench.device)
    into = torch.empty_like(long)
    name = torch.cuda.get_device_name() if bench.is_gpu else "cpu"
    return {
        "device": name,
        "torch": torch.__version__,
        "copy GB/s": 8 * cells / bench.ms(lambda: into.copy_(long)) / 1e6,
        "bf16 TFLOP/s": 2 * side**3 / bench.ms(lambda: a @ a) / 1e9,
    }


def plain(bench: Bench, dtype: torch.dtype) -> dict[str, Any]:
    """Measure the plain networks, in halves as upstream does it: by autocast."""
    warp, painter = bench.nets["warping"], bench.nets["decoder"]
    is_half = dtype != torch.float32

    def run(network: nn.Module, *inputs: Tensor) -> Callable[[], Tensor]:
        def once() -> Tensor:
            with torch.autocast(bench.device.type, dtype, enabled=is_half):
                return network(*inputs)

        return once

    return bench.compared(
        run(warp, bench.volume, bench.source, bench.driving), run(painter, bench.features)
    )


def without_kernels(bench: Bench, dtype: torch.dtype) -> dict[str, Any]:
    """Measure with the volumes read by PyTorch's own operations."""
    found, sampling3d.HAS_TRITON = sampling3d.HAS_TRITON, False
    try:
        return bench.way(dtype)
    finally:
        sampling3d.HAS_TRITON = found


def kernels(bench: Bench, dtype: torch.dtype) -> dict[str, Any]:
    """Measure the two readings of volumes alone, and how far the kernels are from PyTorch."""
    warp, _ = bench.networks(torch.float32)
    moves = sampling3d.shifts(bench.source, bench.driving)
    report: dict[str, Any] = {"triton": sampling3d.HAS_TRITON}
    truth: dict[str, Tensor] = {}
    logits = bench.on(normal("input:logits", (1, 22, *bench.volume.shape[2:])))
    for has_kernels in sorted({False, sampling3d.HAS_TRITON}):
        found, sampling3d.HAS_TRITON = sampling3d.HAS_TRITON, has_kernels
        with torch.inference_mode():
            thin = warp.source(bench.volume)
        for kind in (torch.float32, dtype):
            runs = {
                "proposals": lambda k=kind, t=thin: sampling3d.proposals(
                    t.to(k), bench.source, bench.driving
                ),
                "mixture": lambda k=kind: sampling3d.mixture(
                    bench.volume.to(k), logits.to(k), moves
                ),
            }
            for name, run in runs.items():
                with torch.inference_mode():
                    truth.setdefault(name, run().float())
                    error = apart(run().float(), truth[name])
                key = f"{name} {str(kind)[6:]} {'Triton' if has_kernels else 'PyTorch'}"
                report |= {f"{key} ms": bench.ms(run), f"{key} error": error}
        sampling3d.HAS_TRITON = found
    return report


def engine(bench: Bench, how: str, batch: int, painter: str | None = None) -> dict[str, Any]:
    """Measure pictures a second of the whole engine, host to host, W beside G."""
    if painter and torch.cuda.device_count() < 2:
        return {"left out": "there is one GPU or none"}
    precision = "float16" if bench.is_gpu else "bfloat16"
    machine = FastTorchEngine(
        bench.nets, str(bench.device), precision, how, batch=batch, painter=painter
    )
    source = machine.volume(np.full((256, 256, 3), 0.5, np.float32))
    start, driving = bench.source[0].cpu().numpy(), bench.driving[0].cpu().numpy()
    count = (64 if bench.is_gpu else 1) * batch
    jobs = [Job(source, start, driving)] * count
    list(machine.draw_together(jobs[: 2 * batch]))
    begin = time.perf_counter()
    next(machine.draw_together(jobs[:1]))
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    list(machine.draw_together(jobs))
    fps = count / (time.perf_counter() - begin)
    memory = torch.cuda.max_memory_allocated() / 2**30 if bench.is_gpu else 0.0
    return {"fps": fps, "sessions at 25": fps / 25, "first ms": 1000 * first, "GiB": memory}


def in_files(bench: Bench, device: str) -> dict[str, Any]:
    """Measure W and G as ONNX files, host to host."""
    try:
        from visavis.nn.export import export
        from visavis.nn.session import Network
    except ImportError as reason:
        return {"left out": str(reason)}
    warp, painter = bench.networks(torch.float32)
    warp.by_products = True
    with torch.inference_mode():
        thin = warp.source(bench.volume)
    points = {"source": bench.source, "driving": bench.driving}
    given = {
        "W": (warp, {"volume": bench.volume, "thin": thin, **points}, bench.features),
        "G": (painter, {"features": bench.features}, bench.picture),
    }
    report: dict[str, Any] = {}
    for name, (network, inputs, expected) in given.items():
        path = Path(tempfile.gettempdir()) / f"gpu_neural_{name}.onnx"
        export(network, path, inputs, ("out",))
        loaded = Network(str(path), device=device)
        arrays = {key: value.cpu().numpy() for key, value in inputs.items()}
        found = torch.from_numpy(loaded(arrays)[0]).to(bench.device)
        report |= {
            f"{name} ms": bench.ms(lambda run=loaded, given=arrays: run(given)),
            f"{name} error": apart(found, expected),
        }
    return report


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", nargs="+", help="steps whose name has one of these in it")
    args = parser.parse_args()
    start = time.perf_counter()
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    done = {step["step"]: step for step in map(json.loads, lines)}
    bench = Bench(args.device, tiny=args.tiny)
    for name, run in steps(bench):
        if "failed" not in done.get(name, {"failed": ""}) or (
            args.only and not any(part in name for part in args.only)
        ):
            continue
        if time.perf_counter() - start > args.seconds:
            print("Out of time: run it again to go on.")
            break
        try:
            found = run()
        except Exception as reason:  # noqa: BLE001 - the other steps are still worth measuring
            found = {
                "failed": type(reason).__name__ + ": " + str(reason).strip().split("\n", 1)[0][:200]
            }
        done[name] = {"step": name, **found}
        with args.out.open("a") as file:
            file.write(json.dumps(done[name]) + "\n")
        told = " ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in found.items()
        )
        print(f"{name:34} {told}", flush=True)
    print(json.dumps(list(done.values())))


if __name__ == "__main__":
    main()
