"""LivePortrait's networks by every way to run them here: ms, pictures a second, and the error.

``python benchmarks/neural.py [--frames 5] [--threads 2] [--only NAME …] [--tiny] [--compile]``

All ways hold the same weights, by the golden rule (visavis/nn/rule.py; time does not depend on
what weights are), get the same inputs and run in one process, in turn, ``--frames`` times round;
the median counts. *plain* does upstream's work: the same convolutions, samplings and norms in
PyTorch's float32. Error: largest difference to *plain*, relative to the largest value, of each
network on the same input; dB: PSNR of G's picture. Whoever measures leaves the machine alone
meanwhile. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from visavis.machine import cpu_name, cpu_threads
from visavis.nn.export import export
from visavis.nn.openvino import OpenVinoNetwork
from visavis.nn.rule import normal
from visavis.nn.session import Network
from visavis.render.liveportrait.config import LivePortraitConfig
from visavis.render.liveportrait.export import export_engine
from visavis.render.liveportrait.fast import FastDecoder, FastWarp
from visavis.render.liveportrait.onnx_engine import KEPT
from visavis.render.liveportrait.weights import NETWORKS, from_published, made, rule_state

W, G = "warping", "decoder"
KEYS = {
    W: ("volume", "thin", "source", "driving"),
    G: ("features",),
    "appearance": ("image",),
    "motion": ("image",),
    "stitching": ("rows",),
}
"""What each network is given; only the fast W takes what was made for the portrait beforehand."""
Run = Callable[[], np.ndarray]


def networks(config: LivePortraitConfig) -> dict[str, torch.nn.Module]:
    """Return all networks with the rule's weights."""
    states = {
        name: {key: torch.from_numpy(value) for key, value in rule_state(name, config).items()}
        for name in NETWORKS
    }
    return {
        name: made(name, from_published(name, state, config), config)
        for name, state in states.items()
    }


def inputs(nets: dict[str, torch.nn.Module], config: LivePortraitConfig) -> dict[str, torch.Tensor]:
    """Return what the networks are given, by name."""
    image = np.clip(0.5 + 0.25 * normal("input:img", (1, 3, 256, 256)), 0, 1)
    source = 0.2 * normal("input:source", (1, 21, 3))
    values = {
        "image": image,
        "source": source,
        "driving": source + 0.03 * normal("input:driving", (1, 21, 3)),
        "rows": normal("input:rows", (1, 126)),
    }
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in values.items()}
    volume = nets["appearance"](tensors["image"])
    tensors["volume"] = volume
    tensors["thin"] = FastWarp(nets[W]).source(volume)
    tensors["features"] = nets[W](volume, tensors["source"], tensors["driving"])
    return tensors


def in_torch(
    nets: dict[str, Any], given: dict[str, torch.Tensor], *, halves: bool = False
) -> dict[str, Run]:
    """Return networks in PyTorch as functions; the fast W is the one that comes without F."""

    def run(name: str) -> Run:
        names = [key for key in KEYS[name] if key != "thin" or "appearance" not in nets]

        def once() -> np.ndarray:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=halves):
                out = nets[name](*(given[key] for key in names))
                return (out[0] if isinstance(out, tuple) else out).float().numpy()

        return once

    return {name: run(name) for name in KEYS if name in nets}


def in_files(
    folder: Path, given: dict[str, torch.Tensor], load: Callable[[Path], Any]
) -> dict[str, Run]:
    """Return the networks in ``folder`` as functions, loaded by ``load``."""
    arrays = {name: value.numpy() for name, value in given.items()}

    def run(network: Any, keys: tuple[str, ...]) -> Run:
        return lambda: network({key: arrays[key] for key in keys})[0].copy()

    return {
        name: run(load(folder / f"{name}.onnx"), keys)
        for name, keys in KEYS.items()
        if (folder / f"{name}.onnx").is_file()
    }


def ways(
    args: argparse.Namespace, nets: dict[str, torch.nn.Module], given: dict[str, torch.Tensor]
) -> Iterator[tuple[str, Callable[[], dict[str, Run]]]]:
    """Yield every way to run the networks: its name, and what makes it ready."""
    threads, folder = args.threads, Path(args.folder)
    fast = {W: FastWarp(nets[W]), G: FastDecoder(nets[G])}
    yield "plain", lambda: in_torch(nets, given)
    yield "plain, bf16", lambda: in_torch(nets, given, halves=True)
    yield "fast", lambda: in_torch(fast, given)
    yield "fast, bf16", lambda: in_torch(fast, given, halves=True)
    if args.compile:
        compiled = {name: torch.compile(net) for name, net in fast.items()}
        yield "fast, compiled, bf16", lambda: in_torch(compiled, given, halves=True)

    def ort(path: Path) -> Network:
        return Network(str(path), threads)

    def ov(path: Path) -> OpenVinoNetwork:
        return OpenVinoNetwork(path, threads)

    def ov_halves(path: Path) -> OpenVinoNetwork:
        halves = path.stem in (W, G)
        return OpenVinoNetwork(path, threads, halves=halves, kept=KEPT.get(path.stem, ()))

    yield "fast, ONNX Runtime", lambda: in_files(folder / "fast", given, ort)
    yield "products, ONNX Runtime", lambda: in_files(folder / "products", given, ort)
    if find_spec("openvino"):
        yield "fast, OpenVINO", lambda: in_files(folder / "fast", given, ov)
        yield "products, OpenVINO", lambda: in_files(folder / "products", given, ov)
        yield "fast, OpenVINO bf16", lambda: in_files(folder / "fast", given, ov_halves)
        yield "products, OpenVINO bf16", lambda: in_files(folder / "products", given, ov_halves)


def write_files(
    folder: Path, nets: dict[str, torch.nn.Module], given: dict[str, torch.Tensor]
) -> None:
    """Write the ONNX files: W and G as saved work alone, and all as the engine wants them."""
    warp = FastWarp(nets[W])
    warp.by_products = True  # its reading by rows, not its convolutions: no volumes are sampled
    export(warp, folder / f"fast/{W}.onnx", {key: given[key] for key in KEYS[W]}, ("features",))
    painter, features = FastDecoder(nets[G]), {"features": given["features"]}
    export(painter, folder / f"fast/{G}.onnx", features, ("picture",))
    export_engine(nets, folder / "products")


def measured(runs: dict[str, Run], rounds: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the median ms and the output of each of ``runs`` after one run to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    outputs = {name: run() for name, run in runs.items()}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}, outputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5, help="times round")
    parser.add_argument("--threads", type=int, default=cpu_threads())
    parser.add_argument("--only", nargs="+", help="ways whose name is one of these")
    parser.add_argument("--tiny", action="store_true", help="tiny networks, to try this program")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (a minute)")
    parser.add_argument("--folder", help="where ONNX files lie, or are written to and kept")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = LivePortraitConfig.tiny() if args.tiny else LivePortraitConfig()
    with tempfile.TemporaryDirectory() as passing:
        args.folder = args.folder or passing
        with torch.inference_mode():
            nets = networks(config)
            given = inputs(nets, config)
        if not (Path(args.folder) / "products").is_dir():
            write_files(Path(args.folder), nets, given)
        report = {"cpu": cpu_name(), "threads": args.threads, "frames": args.frames, "ways": {}}
        truth: dict[str, np.ndarray] = {}
        for name, make in ways(args, nets, given):
            if args.only and name not in (*args.only, "plain"):
                continue
            ms, outputs = measured(make(), args.frames)
            truth = truth or outputs
            report["ways"][name] = line(name, ms, outputs, truth, report["ways"])
    print(json.dumps(report))


def line(
    name: str,
    ms: dict[str, float],
    outputs: dict[str, np.ndarray],
    truth: dict[str, np.ndarray],
    before: dict[str, Any],
) -> dict[str, Any]:
    """Print and return what was measured of one way."""
    error = {
        key: float(np.abs(out - truth[key]).max() / np.abs(truth[key]).max())
        for key, out in outputs.items()
    }
    spread = float(np.sqrt(np.mean((outputs[G] - truth[G]) ** 2)))
    decibels = 200.0 if spread == 0 else -20 * float(np.log10(spread))
    both = ms[W] + ms[G]
    plain = before["plain"]["W+G"] if before else both
    print(
        f"{name:26} W {ms[W]:7.1f}  G {ms[G]:7.1f}  W+G {both:7.1f} ms  {1000 / both:6.2f} fps  "
        f"x{plain / both:5.2f}  error W {error[W]:.1e} G {error[G]:.1e} ({decibels:.0f} dB)  "
        + " ".join(f"{key} {value:.1f}" for key, value in ms.items() if key not in (W, G)),
        flush=True,
    )
    return {"ms": ms, "W+G": both, "fps": 1000 / both, "error": error, "G dB": decibels}


if __name__ == "__main__":
    main()
