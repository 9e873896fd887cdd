"""Train the base model of latent video: ``visavis train video``.

Clean frames are guessed from noisy ones (x0, v-weighted), clips of one length at first, then of any
(LLIA): the frames before a clip are given lightly noised, so that they can come from the model
itself. Mouth and eyes weigh more, and so do changes from frame to frame (Ditto's L_t). What the
model is told is dropped now and then, for guidance.

On several devices: ``accelerate launch [--config_file …] -m visavis.train.tasks.video …``, where
``batch`` is what each of them takes.
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.diffusion.schedule import CosineSchedule
from visavis.timing import Stopwatch
from visavis.train import loop
from visavis.train.latent_clips import LatentClips, told
from visavis.train.loop import cosine_rate, follow, keep, mean_of
from visavis.train.team import Team, found_team, restore
from visavis.train.video_exam import examine, judge_samples
from visavis.types import FloatArray
from visavis.video.codec_files import read_codec
from visavis.video.conditions import UNKNOWN_EMOTION, UNKNOWN_PHASE, Conditions
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST, VideoNetworks
from visavis.video.sizes import VideoConfig
from visavis.video.weights import PARTS, adopt, read_part, write_networks

log = logging.getLogger(__name__)

USUAL = 16
"""New frames of every clip in the early steps."""
MOST_PAST_NOISE = 0.3
"""Time of the noise on the frames before a clip, at most."""
PURE = 0.25
"""Share of the clips that are all noise, where one step begins."""
MOST_WEIGHT = 5.0
"""Limit of the weight of nearly clean clips: min-SNR (Hang et al. 2023) for v."""
MOUTH, EYES = 3.0, 1.0
"""What is added to the weight of a cell, 1, that shows them."""
TERMS = (1.0, 1.0, 0.5)
"""Weights of the error, of its change from frame to frame, and of the change of that."""
ALONE = {"portrait": 0.05, "speech": 0.05, "phase": 0.05, "emotion": 0.05, "face": 0.1}
"""How often each condition is dropped by itself."""
TOGETHER = 0.1
"""How often sound and labels are dropped together: what guidance starts from."""

PRESETS = ("tiny", "sd15", "test")


@dataclass(frozen=True)
class Plan:
    """How to train.

    ``batch`` counts frames, past ones too; ``fixed`` is the share of the steps with clips of one
    length. ``codec`` (safetensors) tells the ratio of changes; without it that is measured.
    ``minutes`` (0: any) is how long this run may take; it ends saved, to be resumed. Held-out clips
    are sampled in 20 steps every ``sample_every`` steps and at the end. ``published`` are files of
    ``video/weights.py`` by part, with which ``sd15`` begins.
    """

    data: Path
    out: Path
    codec: Path | None = None
    preset: str = "tiny"
    steps: int = 1600
    batch: int = 100
    rate: float = 1.5e-3
    seed: int = 0
    fixed: float = 0.4
    save_every: int = 200
    sample_every: int = 1000
    minutes: float = 0.0
    average: float = 0.998
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    resume: bool = False
    start: Path | None = None
    published: tuple[tuple[str, Path], ...] = ()


GPU: dict[str, Any] = {
    "steps": 14000, "batch": 1600, "rate": 8e-4, "save_every": 1000, "sample_every": 7000,
    "average": 0.9995, "device": "cuda", "workers": 12,
}  # fmt: skip
"""What ``--gpu`` changes: about 20 minutes of an H200 by count of FLOPs, not yet measured."""


def sizes_of(preset: str, latent: int) -> VideoConfig:
    """Return the sizes of ``preset`` for latents of ``latent`` channels."""
    made = {"tiny": VideoConfig.tiny, "sd15": VideoConfig.sd15, "test": VideoConfig.smallest}
    return replace(made[preset](), latent=latent)


@dataclass
class Work:
    """Everything that training changes: the networks, their average, the optimiser, the steps.

    ``ratio`` (c, 1, 1) of the changes belongs to the weights and is kept with them. With a ``team``
    the average is what it was when ``state`` was last asked for.
    """

    net: nn.Module
    average: VideoNetworks
    optimiser: torch.optim.Optimizer
    ratio: Tensor
    team: Team | None = None
    step: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process judges and writes."""
        return self.team is None or self.team.is_first

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on; all of a team must ask for it at the same step."""
        if self.team is None:
            parts = {n: getattr(self, n).state_dict() for n in ("net", "average", "optimiser")}
        else:
            parts = self.team.gather(self.net, self.optimiser)
            if self.is_first:
                self.average.load_state_dict(parts["average"])
        config = self.average.config.to_json()
        return {**parts, "ratio": self.ratio, "step": self.step, "config": config}


def begin(plan: Plan, clips: LatentClips, team: Team | None = None) -> Work:
    """Return fresh networks, or those that ``plan`` starts from or resumes."""
    torch.manual_seed(plan.seed)
    net = VideoNetworks(sizes_of(plan.preset, clips.sizes[0]), plan.preset == "sd15")
    if plan.published:
        left = adopt(net, {part: read_part(path) for part, path in plan.published})
        log.info("%d tensors have no published counterpart", len(left))
    source = plan.out / "state.pt" if plan.resume else plan.start
    state = {} if source is None else torch.load(source, weights_only=True, map_location="cpu")
    if state:
        net.load_state_dict(state["average"])
    if team is None:
        net = net.to(plan.device, memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    work = Work(net, average, optimiser, torch.from_numpy(clips.ratio), team)
    if team is not None:
        work.net, work.optimiser = team.join(net, optimiser)
    if plan.resume:
        restore(work.net, work.optimiser, state)
        work.step = int(state["step"])
    return work


def draw_length(rng: np.random.Generator, share_done: float, fixed: float) -> int:
    """Return a clip's new frames: USUAL at first, later anything, short ones as often as long."""
    if share_done < fixed:
        return USUAL
    return int(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST + 1))))


def draw_times(rng: np.random.Generator, count: int, past: int, frames: int) -> FloatArray:
    """Return the noise of every frame (b, past + frames): past ones have their own, and little."""
    new = rng.uniform(0.0, 1.0, (count, 1))
    new[rng.random(count) < PURE] = 1.0
    old = rng.uniform(0.0, MOST_PAST_NOISE, (count, 1))
    both = np.concatenate([old.repeat(past, 1), new.repeat(frames, 1)], axis=1)
    return both.astype(np.float32)


class Draws(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The batch of each step: a function of the seed and the step alone, whoever makes it."""

    def __init__(self, plan: Plan, clips: LatentClips, rank: int = 0) -> None:
        """Draw from ``clips`` as ``plan`` says, for the device numbered ``rank``."""
        self._plan, self._clips, self._rank = plan, clips, rank

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return a batch of clips (see ``LatentClips.draw``), with ``time`` (b, t)."""
        plan = self._plan
        length = draw_length(
            np.random.default_rng([plan.seed, step]), step / plan.steps, plan.fixed
        )
        rng = np.random.default_rng([plan.seed, step, self._rank + 1])
        count = max(1, round(plan.batch / (length + PAST_FRAMES)))
        batch = self._clips.draw(rng, count, length)
        frames = batch["change"].shape[2] - PAST_FRAMES
        return {**batch, "time": torch.from_numpy(draw_times(rng, count, PAST_FRAMES, frames))}


def drawn(plan: Plan, clips: LatentClips, first: int, rank: int = 0) -> Iterable[dict[str, Tensor]]:
    """Yield the batches of the steps from ``first`` on, made by ``plan.workers`` processes."""
    loader: Iterable[dict[str, Tensor]] = torch.utils.data.DataLoader(
        Draws(plan, clips, rank), batch_size=None, sampler=range(first, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    return loader


def dropped(batch: dict[str, Tensor]) -> Conditions:
    """Return what ``batch`` tells, now and then less of it."""
    untold = (torch.rand(len(batch["heard"])) < TOGETHER).to(batch["heard"].device)
    less = {
        "heard": batch["heard"] & ~untold,
        "phase": torch.where(untold[:, None], UNKNOWN_PHASE, batch["phase"]),
        "emotion": torch.where(untold[:, None], UNKNOWN_EMOTION, batch["emotion"]),
    }
    return told({**batch, **less}).dropped(ALONE)


def losses(guess: Tensor, batch: dict[str, Tensor], past: int = PAST_FRAMES) -> dict[str, Tensor]:
    """Return the errors of the new frames of ``guess`` (b, c, t, h, w), weighted by their noise.

    ``error``, ``velocity`` and ``acceleration``; ``total`` is their sum by TERMS. The frames before
    a clip are known: the step from them to the first new one counts.
    """
    off = (guess - batch["change"])[:, :, past - 1 :]
    off = torch.cat([torch.zeros_like(off[:, :, :1]), off[:, :, 1:]], dim=2)
    noise = CosineSchedule().sigma(batch["time"][:, -1]).square()
    weight = (1 / noise.clamp(min=1e-6)).clamp(max=MOST_WEIGHT)[:, None, None, None, None]
    cells = (1 + MOUTH * batch["mouth"] + EYES * batch["eyes"])[:, :, past:]
    weight = weight * cells / cells.mean()
    found, total = {}, off.new_zeros(())
    for order, (name, share) in enumerate(
        zip(("error", "velocity", "acceleration"), TERMS, strict=True)
    ):
        change = torch.diff(off, n=order, dim=2) if order else off[:, :, 1:]
        if change.shape[2]:
            found[name] = (change.square() * weight[:, :, -change.shape[2] :]).mean()
            total = total + share * found[name]
    return {**found, "total": total}


def learn(plan: Plan, work: Work, draw: dict[str, Tensor]) -> dict[str, float]:
    """Make one step; return the losses."""
    rank = 0 if work.team is None else work.team.rank
    torch.manual_seed(plan.seed * 1_000_003 + work.step + 500_009 * rank)
    batch = {k: v.to(plan.device, non_blocking=True) for k, v in draw.items()}
    clean, time = batch["change"], batch["time"]
    noisy = CosineSchedule().add_noise(clean, torch.randn_like(clean), time[:, None, :, None, None])
    with torch.autocast(plan.device.split(":")[0], torch.bfloat16):
        guess = work.net(noisy, time, dropped(batch), reference=batch["reference"])
    found = losses(guess.float(), batch)
    rate = cosine_rate(plan.rate, work.step, plan.steps, 100, 0.02)
    (work.team or loop).descend(found["total"], work.net, work.optimiser, rate)
    work.step += 1
    share = min(plan.average, work.step / (work.step + 10))
    if work.team is None:
        follow(work.average, work.net, share)
    else:
        work.team.follow(work.net, share)
    return {name: float(value.detach()) for name, value in found.items()}


def save(plan: Plan, work: Work, state: dict[str, Any], row: dict[str, float]) -> None:
    """Write ``state``, log line and the averaged networks."""
    keep(plan.out, state, row)
    write_networks(plan.out / "networks.safetensors", work.average)


def run(plan: Plan) -> None:
    """Train to the end of ``plan``; `out` gets state.pt, networks.safetensors and log.jsonl."""
    team = found_team()
    plan = plan if team is None else replace(plan, device=team.device)
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    clips = LatentClips(plan.data, "train", ratio_of(plan.codec))
    held = LatentClips(plan.data, "validation", clips.ratio)
    log.info("%d clips to learn from, %d to judge by", len(clips), len(held))
    work = begin(plan, clips, team)
    rows, watch = [], Stopwatch()
    for draw in drawn(plan, clips, work.step, 0 if team is None else team.rank):
        rows.append(learn(plan, work, draw))
        is_over = 0 < 60 * plan.minutes < watch.elapsed_s() or work.step == plan.steps
        is_over = is_over if team is None else team.agree(is_over)
        if is_over or work.step % plan.save_every == 0:
            spent = {"minutes": round(watch.elapsed_s() / 60, 2)}
            conclude(plan, work, held, {"step": work.step, **mean_of(rows), **spent}, is_over)
            rows = []
        if is_over:
            return


def conclude(
    plan: Plan, work: Work, held: LatentClips, row: dict[str, float], is_last: bool
) -> None:
    """Judge the average by clips ``held`` out and save all; the others of a team wait."""
    state = work.state()
    if work.is_first:
        average = work.average.to(plan.device)
        found = examine(average, held, plan.device)
        if is_last or work.step % plan.sample_every == 0:
            found |= judge_samples(average, held, plan.device)
        save(plan, work, state, {**row, **found})
    if work.team is not None:
        work.average.to("cpu")
        work.team.wait()


def ratio_of(codec: Path | None) -> FloatArray | None:
    """Return the ratio of changes (c, 1, 1) of the file ``codec``, if there is one."""
    if codec is None:
        return None
    ratio: FloatArray = read_codec(codec).ratio.numpy()
    return ratio


def arguments(given: list[str] | None = None) -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train video", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="shards with latents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--codec", type=Path, help="codec.safetensors that made the latents")
    parser.add_argument("--gpu", action="store_true", help="defaults for one H200, 20 minutes")
    parser.add_argument("--preset", choices=PRESETS)
    parser.add_argument("--start", type=Path, help="state.pt whose averaged weights to start from")
    parser.add_argument("--published", nargs="+", metavar="PART=FILE", type=_part, help=str(PARTS))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device")
    for name in ("steps", "batch", "seed", "save_every", "sample_every", "threads", "workers"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    for name in ("rate", "fixed", "minutes", "average"):
        parser.add_argument(f"--{name}", type=float)
    options = {k: v for k, v in vars(parser.parse_args(given)).items() if v is not None}
    options["published"] = tuple(options.get("published", ()))
    preset = GPU if options.pop("gpu") else {}
    return Plan(**{**preset, **options})


def _part(text: str) -> tuple[str, Path]:
    """Return part and file of ``text``, as ``unet=FILE``."""
    part, _, path = text.partition("=")
    if part not in PARTS or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not PART=FILE, PART one of {list(PARTS)}")
    return part, Path(path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
