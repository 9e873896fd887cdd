"""The full-size latent video model (``VideoConfig.sd15``) on a GPU, one step: one line each, once.

``python recipes/gpu_video.py --out FILE [--seconds 540] [--tiny] [--device cuda] [--only NAME …]``

Steps that FILE (JSON lines) already holds are left out, and no step starts that would not end
within ``--seconds``: run it again to go on, and to try again what failed. Weights are random: speed
does not depend on them. Needs PyTorch and safetensors (``PYTHONPATH=src``); diffusers' decoders and
torchao are used where they are there (two wheels), else layers of the same sizes and our own
8-bit products. ``--tiny`` tries the program on a CPU.

In order: ceilings; the U-Net at 384 and 512 px by number format and way to call it; decoders; the
two as a chain, one after the other and side by side (two streams), by clip length; the first
pictures, from sound on the host to pictures on the host; several sessions in one call. *fps* counts
new frames. LLIA on a 4090D: 78 at 384 px, first pictures after 140 ms; 45 and 215 at 512. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from gpu_video_parts import DECODERS, FORMATS, LEAST_WIDTH, compile_parts, decoder_of, in_bytes
from torch import Tensor, nn

from visavis.nn.compile import Stage, prepared, to_host
from visavis.video.conditions import Conditions
from visavis.video.denoiser import PAST_FRAMES, VideoNetworks
from visavis.video.sizes import VideoConfig

Step = Callable[[], dict[str, Any]]
MARKS = {384: (78.0, 140.0), 512: (45.0, 215.0)}
"""LLIA's frames a second and ms to the first pictures, by pixels."""
LENGTHS = (2, 4, 6, 8, 12, 16, 24, 32)
USUAL = 8
"""New frames of a clip where nothing else is said."""
CONTEXT = 0.05
"""Time of the past frames' noise."""
COMPILE_S = 240.0
"""What compiling may take, in seconds; no such step starts later than that before the end."""


@dataclass(frozen=True)
class Way:
    """One way to run the model: ``numbers`` of FORMATS, ``how`` of nn/compile.py or "parts"."""

    size: int
    frames: int = USUAL
    numbers: str = "half"
    how: str = "graph"
    decoder: str = "tiny"
    sessions: int = 1

    @property
    def name(self) -> str:
        """Return it in words."""
        return f"{self.size} px, {self.frames} frames, {self.numbers}, {self.how}"


class Bench:
    """Networks and inputs; those of the last number format are kept."""

    def __init__(self, device: str, *, tiny: bool) -> None:
        """Work on ``device``; ``tiny`` takes next to no weights and pixels."""
        self.device = torch.device(device)
        self.is_gpu = self.device.type == "cuda"
        torch.backends.cudnn.benchmark = True
        self.config = VideoConfig.smallest(is_published=True) if tiny else VideoConfig.sd15()
        self.sizes = (32, 64) if tiny else tuple(MARKS)
        self.lengths = LENGTHS[:2] if tiny else LENGTHS
        self.least = 16 if tiny else LEAST_WIDTH
        self.rounds = 12 if self.is_gpu else 1
        self.half = torch.float16 if self.is_gpu else torch.bfloat16
        self._made: tuple[tuple[str, bool], VideoNetworks] | None = None
        self._decoders: dict[str, Any] = {}
        self._truths: dict[tuple[int, int], Tensor] = {}

    def networks(self, numbers: str, *, in_parts: bool = False) -> VideoNetworks:
        """Return the networks in ``numbers``; ``in_parts``: their blocks are compiled each."""
        key = (numbers, in_parts)
        if self._made is None or self._made[0] != key:
            self._made = None  # two at a time need twice the memory
            torch.manual_seed(0)
            with self.device:
                nets = VideoNetworks(self.config).eval().requires_grad_(False)
            for value in nets.parameters():
                if not value.any():
                    nn.init.normal_(value, std=0.02)  # zeros would hide what is lost
            nets = nets.to(self.dtype(numbers), memory_format=torch.channels_last)
            if numbers not in ("float32", "half", "bfloat16"):
                in_bytes(nets.denoiser, numbers, self.half, self.least)
            if in_parts:
                compile_parts(nets.denoiser)
            self._made = (key, nets)
        return self._made[1]

    def dtype(self, numbers: str) -> torch.dtype:
        """Return what activations are in."""
        kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        return kinds.get(numbers, self.half)

    def maker(self, way: Way) -> Callable[..., Tensor]:
        """Return noise, past and speech -> new latents (b, c, n, h, w), one step."""
        nets = self.networks(way.numbers, in_parts="parts" in way.how)
        count, frames, side = way.sessions, PAST_FRAMES + way.frames, way.size // 8
        on = {"device": self.device}
        with torch.inference_mode():
            portrait = self.portrait(count, side)
            known = nets.appearance(portrait)
            time_of = torch.ones(count, frames, **on)
            time_of[:, :PAST_FRAMES] = CONTEXT
            labels = torch.full((count, frames), 2, **on)
            face = torch.ones(count, 1, side, side, **on)
            schedule = nets.denoiser.schedule
            share = schedule.alpha(CONTEXT), schedule.sigma(CONTEXT)

        def make(noise: Tensor, past: Tensor, speech: Tensor) -> Tensor:
            before = share[0] * past + share[1] * noise[:, :, :PAST_FRAMES]
            clip = torch.cat([before, noise[:, :, PAST_FRAMES:]], 2)
            told = Conditions(known, speech, labels, labels, face)
            return nets.denoiser(clip, time_of, told)[:, :, PAST_FRAMES:] + portrait[:, :, None]

        return prepared(make, self.device, way.how.replace("parts", ""))

    def portrait(self, count: int, side: int) -> Tensor:
        """Return latents (count, c, side, side), the same at every call."""
        made = torch.Generator().manual_seed(2)
        shape = (count, self.config.latent, side, side)
        return torch.randn(shape, generator=made).to(self.device)

    def painter(self, way: Way) -> Callable[[Tensor], Tensor]:
        """Return latents (b, c, n, h, w) -> pictures (b * n, H, W, 3) uint8."""
        if way.decoder not in self._decoders:
            torch.manual_seed(0)
            net = decoder_of(way.decoder, self.config.latent, tiny=self.sizes[0] < 100)
            net = net.eval().requires_grad_(False).to(self.device, self.half)
            self._decoders[way.decoder] = net.to(memory_format=torch.channels_last)
        decode = self._decoders[way.decoder]

        def paint(latents: Tensor) -> Tensor:
            rows = latents.transpose(1, 2).flatten(0, 1).to(self.half)
            made = decode(rows.contiguous(memory_format=torch.channels_last))
            return ((made.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).to(torch.uint8)

        return prepared(paint, self.device, way.how.replace("parts", ""))

    def given(self, way: Way) -> tuple[Tensor, Tensor, Tensor]:
        """Return noise, past and speech for one call."""
        c, side, frames = self.config, way.size // 8, PAST_FRAMES + way.frames
        made = torch.Generator().manual_seed(1)
        shapes = [
            (way.sessions, c.latent, frames, side, side),
            (way.sessions, c.latent, PAST_FRAMES, side, side),
            (way.sessions, frames, c.tokens, c.speech),
        ]
        noise, past, speech = (torch.randn(s, generator=made).to(self.device) for s in shapes)
        return noise, past, speech

    def truth(self, way: Way) -> Tensor:
        """Return what ``maker`` makes in float32, kept by size and length."""
        key = way.size, way.frames
        if key not in self._truths:
            exact = replace(way, numbers="float32", how="eager")
            self._truths[key] = self.maker(exact)(*self.given(exact)).float()
        return self._truths[key]

    def wait(self) -> None:
        """Return when the device has nothing left to do."""
        if self.is_gpu:
            torch.cuda.synchronize()

    def ms(self, run: Callable[[], Any]) -> float:
        """Return the median time of ``run`` in ms, until the device is done."""
        with torch.inference_mode():
            for _ in range(3 if self.is_gpu else 1):
                run()
            times = []
            for _ in range(self.rounds):
                self.wait()
                start = time.perf_counter()
                run()
                self.wait()
                times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)


def steps(bench: Bench) -> Iterator[tuple[str, float, Step]]:
    """Yield every step: its name, the seconds it may take, and what it does."""
    yield "ceilings", 20, lambda: ceilings(bench)
    for size in bench.sizes:
        for numbers in ("float32", "bfloat16", "half"):
            way = Way(size, numbers=numbers, how="eager")
            yield f"U-Net {way.name}", 30, lambda w=way: unet(bench, w)
        way = Way(size)
        yield f"U-Net {way.name}", 30, lambda w=way: unet(bench, w)
        for kind in DECODERS:
            painted = replace(way, decoder=kind)
            yield f"decoder {kind} {size} px", 30, lambda w=painted: decode(bench, w)
        yield f"chain {way.name}", 30, lambda w=way: chain(bench, w)
        yield f"first pictures {size} px", 60, lambda s=size: first(bench, Way(s))
    for size in bench.sizes:
        for frames in bench.lengths:
            way = Way(size, frames)
            yield f"length {way.name}", 30, lambda w=way: chain(bench, w)
        for sessions in (2, 4, 8):
            way = Way(size, sessions=sessions)
            yield f"{sessions} sessions, {way.name}", 40, lambda w=way: chain(bench, w)
    for size in bench.sizes:
        for numbers in ("half", *FORMATS):
            way = Way(size, numbers=numbers, how="parts+graph")
            yield f"chain {way.name}", COMPILE_S, lambda w=way: chain(bench, w, has_error=True)
        way = Way(size, how="compile+graph")
        yield f"chain {way.name}", 1.5 * COMPILE_S, lambda w=way: chain(bench, w)


def ceilings(bench: Bench) -> dict[str, Any]:
    """Measure copying and products of matrices, on random numbers."""
    side, cells = (8192, 2**29) if bench.is_gpu else (128, 2**16)
    a = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16)
    long = torch.randn(cells, device=bench.device)
    into = torch.empty_like(long)
    return {
        "device": torch.cuda.get_device_name() if bench.is_gpu else "cpu",
        "torch": torch.__version__,
        "copy GB/s": 8 * cells / bench.ms(lambda: into.copy_(long)) / 1e6,
        "bf16 TFLOP/s": 2 * side**3 / bench.ms(lambda: a @ a) / 1e9,
        "weights M": sum(p.numel() for p in bench.networks("half").parameters()) / 1e6,
    }


def unet(bench: Bench, way: Way) -> dict[str, Any]:
    """Measure one call of the denoiser, and how far it is from float32."""
    make, given = bench.maker(way), bench.given(way)
    ms = bench.ms(lambda: make(*given))
    return {"ms": ms, "ms a frame": ms / way.frames, "error": error(bench, way)}


def error(bench: Bench, way: Way) -> float:
    """Return the RMS difference of changes to those in float32, in RMS of these."""
    with torch.inference_mode():
        found = bench.maker(replace(way, how="eager"))(*bench.given(way)).float()
        truth = bench.truth(way)
    change = truth - bench.portrait(way.sessions, way.size // 8)[:, :, None]
    return float((found - truth).square().mean().sqrt() / change.square().mean().sqrt())


def decode(bench: Bench, way: Way) -> dict[str, Any]:
    """Measure a decoder on the latents of one clip."""
    side = way.size // 8
    latents = torch.randn(1, bench.config.latent, way.frames, side, side, device=bench.device)
    report: dict[str, Any] = {"by": type(decoder_of(way.decoder, 4, tiny=True)).__module__}
    for how in ("eager", way.how):
        paint = bench.painter(replace(way, how=how))
        ms = bench.ms(lambda run=paint: run(latents))
        report |= {f"{how} ms": ms, f"{how} ms a frame": ms / way.frames}
    return report


def chain(bench: Bench, way: Way, *, has_error: bool = False) -> dict[str, Any]:
    """Measure U-Net and decoder one after the other and side by side, clip after clip."""
    make, paint, given = bench.maker(way), bench.painter(way), bench.given(way)
    with torch.inference_mode():
        latents = make(*given)
    u, v = bench.ms(lambda: make(*given)), bench.ms(lambda: paint(latents))
    alone = played(bench, way, (make, paint), is_piped=False)
    beside = played(bench, way, (make, paint), is_piped=True)
    frames = way.frames * way.sessions
    report = {
        "U-Net ms": u,
        "decoder ms": v,
        "fps": 1000 * frames / alone,
        "piped fps": 1000 * frames / beside,
        "overlap": (alone - beside) / max(1e-9, min(u, v)),
        "GiB": torch.cuda.max_memory_allocated() / 2**30 if bench.is_gpu else 0.0,
    }
    if way.size in MARKS:
        report["x LLIA"] = max(report["fps"], report["piped fps"]) / MARKS[way.size][0]
    return report | ({"error": error(bench, way)} if has_error else {})


def played(
    bench: Bench,
    way: Way,
    pair: tuple[Callable[..., Tensor], Callable[..., Tensor]],
    *,
    is_piped: bool,
) -> float:
    """Return ms a clip, pictures on the host included; each clip begins where the last one ended.

    ``is_piped``: a clip is painted while the next one is made; at most two are under way.
    """
    make, paint = pair
    stages = [Stage(make, bench.device), Stage(lambda x: to_host(paint(x)), bench.device)]
    noise, past, speech = bench.given(way)
    clips = 30 if bench.is_gpu else 2

    def once() -> None:
        before, waiting = past, None
        for _ in range(clips):
            latents, done = stages[0](noise, before, speech)
            before = torch.cat([before, latents], 2)[:, :, -PAST_FRAMES:].contiguous()
            _, shown = stages[1](latents, after=done)
            last = waiting if is_piped else shown
            if last is not None:
                last.synchronize()
            waiting = shown
        bench.wait()

    with torch.inference_mode():
        once()
        start = time.perf_counter()
        once()
    return 1000 * (time.perf_counter() - start) / clips


def first(bench: Bench, way: Way) -> dict[str, Any]:
    """Measure from speech on the host to the pictures of a first clip on the host, by length.

    The sound of the clip itself (40 ms a frame) comes on top for any system. *portrait*: what is
    made once before.
    """
    report: dict[str, Any] = {}
    for frames in bench.lengths[:4]:
        short = replace(way, frames=frames)
        make, paint = bench.maker(short), bench.painter(short)
        noise, past, speech = bench.given(short)
        heard = speech.cpu()

        def run(parts: Any = (make, paint, noise, past, heard)) -> None:
            made = parts[0](parts[2], parts[3], parts[4].to(bench.device))
            to_host(parts[1](made))

        report[f"{frames} frames ms"] = bench.ms(run)
    nets = bench.networks(way.numbers)
    side = way.size // 8
    portrait = bench.portrait(1, side)
    report["portrait ms"] = bench.ms(lambda: nets.appearance(portrait))
    if way.size in MARKS:
        report["LLIA ms"] = MARKS[way.size][1]
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
    for name, seconds, run in steps(bench):
        is_done = not {"failed", "left out"} & set(done.get(name, ["failed"]))
        if is_done or (args.only and not any(part in name for part in args.only)):
            continue
        spent = time.perf_counter() - start
        if spent > 0.1 * args.seconds and spent + seconds > args.seconds:
            print(f"{name}: no time left for it; run this again to go on.")
            continue
        done[name] = {"step": name, **tried(run)}
        with args.out.open("a") as file:
            file.write(json.dumps(done[name]) + "\n")
        told = " ".join(
            f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in done[name].items()
        )
        print(told, flush=True)
    print(json.dumps(list(done.values())))


def tried(run: Step) -> dict[str, Any]:
    """Return what ``run`` measures, or why it cannot."""
    try:
        return run()
    except ImportError as reason:
        return {"left out": str(reason)}
    except Exception as reason:  # noqa: BLE001 - the other steps are still worth measuring
        said = str(reason).strip().split("\n", 1)[0][:200]
        return {"failed": f"{type(reason).__name__}: {said}"}


if __name__ == "__main__":
    main()
