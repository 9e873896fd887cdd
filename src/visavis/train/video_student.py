"""What both stages of distilling latent video share: ``video_consistency`` and ``video_eft``.

A student with the base model's weights, its slow copy (which says what is right), its average
(which is kept), the frozen base model, and the discriminator that looks through it
(train/video_judge.py).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.diffusion.samplers import ddim_step, extrapolated
from visavis.nn import sizes
from visavis.timing import Stopwatch
from visavis.train.latent_clips import LatentClips
from visavis.train.loop import cosine_rate, descend, follow, keep, mean_of
from visavis.train.video_exam import GUIDANCE, seen
from visavis.train.video_judge import Eye, VideoJudge, View, judge_loss, student_loss
from visavis.video.conditions import Conditions
from visavis.video.denoiser import PAST_FRAMES, VideoNetworks
from visavis.video.rolling import SCHEDULE, Denoise, Rolling, guided
from visavis.video.sizes import VideoConfig
from visavis.video.weights import write_networks

MOUTH, EYES = 3.0, 1.0
"""What is added to the weight of a cell, 1, that shows them."""
SOFT = 0.1
"""Where the loss turns from a square to a straight line, in deviations of the changes."""
JUDGING = 3e-4
"""The judge's learning rate."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class StudentPlan:
    """How a student is trained.

    ``base`` is the state.pt of the base model; ``batch`` counts frames, past ones too. ``change``
    weighs the error of changes from frame to frame, ``anchor`` the distance to the true mouths.
    ``speech`` and ``wishes`` are the weights of the base model's guidance (1: none), whose path the
    student is to know in steps from points of a grid of ``grid``, ``reach`` of them at a time.
    ``adversarial`` is how hard the discriminator pulls, as a share of how hard all else does, from
    the share ``calm`` of the steps on and in every ``turn``-th step; 0: there is none. ``minutes``
    (0: any) is how long this run may take; it ends saved, to be resumed. ``start`` is the state.pt
    of an earlier student, its discriminator too.
    """

    data: Path
    base: Path
    out: Path
    steps: int = 280
    batch: int = 64
    rate: float = 3e-4
    seed: int = 0
    grid: int = 8
    reach: int = 2
    speech: float = GUIDANCE
    wishes: float = 1.0
    change: float = 1.0
    anchor: float = 0.1
    adversarial: float = 0.2
    calm: float = 0.2
    turn: int = 2
    slow: float = 0.95
    average: float = 0.99
    save_every: int = 100
    minutes: float = 0.0
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    resume: bool = False
    start: Path | None = None


@dataclass
class Distillation:
    """Everything that training changes, and what it is made from.

    ``ratio`` (c, 1, 1) of the changes belongs to the weights and is kept with them.
    """

    teacher: VideoNetworks
    student: VideoNetworks
    slow: VideoNetworks
    average: VideoNetworks
    eye: Eye
    judge: VideoJudge
    optimiser: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    ratio: Tensor
    step: int = 0

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, named as states of the base model name it."""
        names = ("slow", "average", "judge", "optimiser", "judging")
        return {"net": self.student, **{name: getattr(self, name) for name in names}}

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        states = {name: part.state_dict() for name, part in self.parts().items()}
        config = self.student.config.to_json()
        return {**states, "ratio": self.ratio, "step": self.step, "config": config}


def read_state(path: Path, device: str) -> tuple[VideoNetworks, dict[str, Any]]:
    """Return the averaged networks of the state.pt ``path``, frozen, and all that it holds."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    networks = VideoNetworks(VideoConfig.from_json(state["config"]))
    networks = networks.to(device, memory_format=torch.channels_last)
    networks.load_state_dict(state["average"])
    return networks.eval().requires_grad_(False), state


def begin(plan: StudentPlan) -> Distillation:
    """Return a student equal to the base model, or to the one ``plan`` starts from or resumes."""
    torch.manual_seed(plan.seed)
    teacher, learnt = read_state(plan.base, plan.device)
    eye, (slow, average) = Eye(teacher), (copy.deepcopy(teacher) for _ in range(2))
    student = copy.deepcopy(teacher).train().requires_grad_(True)
    judge = VideoJudge(eye.widths).to(plan.device)
    work = Distillation(
        teacher, student, slow, average, eye, judge,
        torch.optim.AdamW(student.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=0.01),
        torch.optim.AdamW(judge.parameters(), JUDGING, betas=(0.5, 0.98), weight_decay=0.01),
        learnt["ratio"],
    )  # fmt: skip
    source = plan.out / "state.pt" if plan.resume else plan.start
    if source is None:
        return work
    state = torch.load(source, weights_only=True, map_location=plan.device)
    if plan.resume:
        for name, part in work.parts().items():
            part.load_state_dict(state[name])
        work.step = int(state["step"])
        return work
    for net in (student, slow, average):
        net.load_state_dict(state["average"])
    judge.load_state_dict(state["judge"])
    return work


def hearing(networks: VideoNetworks) -> Callable[[Tensor, Tensor, Conditions], Tensor]:
    """Return ``networks`` as a function that computes in bfloat16 and gives float32."""

    def guess(frames: Tensor, time: Tensor, told: Conditions) -> Tensor:
        with torch.autocast(frames.device.type, torch.bfloat16):
            clean: Tensor = networks(frames, time, told)
        return clean.float()

    return guess


def told(networks: VideoNetworks, batch: Batch) -> Conditions:
    """Return all that ``batch`` tells, the portraits looked at by ``networks`` in bfloat16."""
    with torch.autocast(batch["change"].device.type, torch.bfloat16):
        return seen(networks, batch)


def speaker(networks: VideoNetworks, batch: Batch) -> Denoise:
    """Return ``networks`` told what ``batch`` tells."""
    return guided(hearing(networks), told(networks, batch))


def cells(batch: Batch) -> Tensor:
    """Return the weights (b, 1, n, h, w) of the new frames' cells; their mean is 1."""
    both = (1 + MOUTH * batch["mouth"] + EYES * batch["eyes"])[:, :, PAST_FRAMES:]
    return both / both.mean()


def mouths(batch: Batch) -> Tensor:
    """Return weights (b, 1, n, h, w) of the mouths that can be heard; their mean is 1, if any can.

    There sound decides, so that the truth may correct the base model; elsewhere it would only
    average out what can be one way or another.
    """
    heard = batch["heard"].float()[:, None, None, None, None]
    shown = batch["mouth"][:, :, PAST_FRAMES:] * heard
    return shown / shown.mean().clamp(min=1e-6)


@torch.no_grad()
def walk(
    plan: StudentPlan, work: Distillation, start: Tensor, levels: Sequence[Tensor], told: Conditions
) -> Tensor:
    """Return where the base model's path from ``start`` (b, c, t, h, w) is after some steps.

    ``levels`` (b, t) are the times it passes, the first that of the start; frames whose time does
    not change stay as they are. Steps are those of ``sample_multistep``.
    """
    teach = guided(hearing(work.teacher), told, plan.wishes, plan.speech)
    x, before = start, None
    for i, (level, later) in enumerate(pairwise(levels)):
        guess = clean = teach(x, level)
        t, s = wide(level), wide(later)
        if before is not None:
            clean = extrapolated(guess, before, (wide(levels[i - 1]), t, s), SCHEDULE)
        x, before = ddim_step(x, clean, t, s, SCHEDULE), guess
    return x


def wide(level: Tensor) -> Tensor:
    """Return ``level`` (b, t) as (b, 1, t, 1, 1)."""
    return level[:, None, :, None, None]


def grid_time(points: Tensor, grid: int) -> Tensor:
    """Return the times of ``points`` of the grid, 0 to ``grid``, as ``cosine_times`` has them."""
    return 0.5 - 0.5 * torch.cos(torch.pi * points / grid)


def apart(made: Tensor, right: Tensor, weight: Tensor, change: float) -> Tensor:
    """Return how far ``made`` is from ``right`` (b, c, n, h, w), cells counting by ``weight``.

    Pseudo-Huber (Song and Dhariwal 2024), also, ``change``-fold, of what changes from each frame to
    the next; both go on from the same frame.
    """
    off = made - right
    steps = torch.diff(off, dim=2, prepend=torch.zeros_like(off[:, :, :1]))
    each = [((x.square() + SOFT**2).sqrt() - SOFT) * weight for x in (off, steps)]
    return each[0].mean() + change * each[1].mean()


def opinion(
    plan: StudentPlan, work: Distillation, batch: Batch, made: Tensor, told: Conditions
) -> dict[str, Tensor]:
    """Teach the discriminator with ``made`` (b, c, t, h, w), past and new frames; return its loss
    and what it has against them. Nothing while its time has not come.

    ``told`` has the base network's own portrait in it.
    """
    if plan.adversarial == 0 or work.step < plan.calm * plan.steps or work.step % plan.turn:
        return {}
    rng = np.random.default_rng([plan.seed, work.step, 2])
    view = View.drawn(made, told, PAST_FRAMES, batch["heard"])
    loss = judge_loss(work.judge, work.eye, (batch["change"], made.detach()), view, rng)
    descend(loss, work.judge, work.judging, JUDGING)
    return {"judge": loss, "adversarial": student_loss(work.judge, work.eye, made, view)}


def pulled(total: Tensor, opinion: Tensor, made: Tensor, share: float) -> Tensor:
    """Return ``total`` with the gradient of ``opinion`` at what was ``made`` in it.

    That is ``share`` times as long as the gradient of ``total`` there (Esser et al. 2021, eq. 7, at
    the output instead of the last layer), whatever the discriminator's scores are worth.
    """
    (ahead,) = torch.autograd.grad(total, made, retain_graph=True)
    (aside,) = torch.autograd.grad(opinion, made)
    aside = aside * (share * ahead.norm() / aside.norm().clamp(min=1e-12))
    return total + (aside.detach() * made).sum()


def descended(
    plan: StudentPlan, work: Distillation, made: Tensor, found: dict[str, Tensor]
) -> dict[str, float]:
    """Make one step of the student, which ``made`` clips, down the losses ``found``; return these.

    What the discriminator thinks, if it is among them, pulls too. The student's copies follow.
    """
    total = found["path"] + plan.anchor * found["anchor"]
    if "adversarial" in found:
        total = pulled(total, found["adversarial"], made, plan.adversarial)
    rate = cosine_rate(plan.rate, work.step, plan.steps, 30, 0.05)
    descend(total, work.student, work.optimiser, rate)
    work.step += 1
    follow(work.slow, work.student, plan.slow)
    follow(work.average, work.student, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in found.items()}


class Draws(torch.utils.data.Dataset[Batch]):
    """The batch of each step: a function of the seed and the step alone, whoever makes it."""

    def __init__(
        self, plan: StudentPlan, clips: LatentClips, lengths: Callable[[np.random.Generator], int]
    ) -> None:
        """Draw from ``clips``, as many new frames as ``lengths`` says."""
        self._plan, self._clips, self._lengths = plan, clips, lengths

    def __getitem__(self, step: int) -> Batch:
        """Return a batch of clips (see ``LatentClips.draw``)."""
        rng = np.random.default_rng([self._plan.seed, step])
        frames = self._lengths(rng)
        count = max(2, round(self._plan.batch / (frames + PAST_FRAMES)))
        return self._clips.draw(rng, count, frames)


def distil(
    plan: StudentPlan,
    work: Distillation,
    draws: Draws,
    learn: Callable[[Batch], dict[str, float]],
    examine: Callable[[], dict[str, float]],
) -> Iterable[dict[str, Any]]:
    """Make the steps of ``plan``; yield a row of the log when it is time to save."""
    batches: Iterable[Batch] = torch.utils.data.DataLoader(
        draws, batch_size=None, sampler=range(work.step, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    rows, watch = [], Stopwatch()
    for batch in batches:
        moved = {k: v.to(plan.device, non_blocking=True) for k, v in batch.items()}
        rows.append(learn(moved))
        is_over = 0 < 60 * plan.minutes < watch.elapsed_s() or work.step == plan.steps
        if is_over or work.step % plan.save_every == 0:
            spent = {"minutes": round(watch.elapsed_s() / 60, 2)}
            yield {"step": work.step, **mean_of(rows), **examine(), **spent}
            rows = []
        if is_over:
            return


def save(plan: StudentPlan, work: Distillation, row: dict[str, Any], how: Rolling) -> None:
    """Write state, log line, the averaged networks and ``how`` they are to be rolled."""
    keep(plan.out, work.state(), row)
    write_networks(plan.out / "networks.safetensors", work.average)
    (plan.out / "rolling.json").write_text(sizes.written(how), "utf-8")


def parser_of(name: str, text: str | None, kind: type[StudentPlan]) -> argparse.ArgumentParser:
    """Return a parser that knows the numbers and paths of the plan ``kind`` of task ``name``."""
    parser = argparse.ArgumentParser(prog=f"visavis train {name}", description=text)
    parser.add_argument("--data", type=Path, required=True, help="shards with latents")
    parser.add_argument("--base", type=Path, required=True, help="state.pt of the base model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="state.pt of an earlier student to start from")
    parser.add_argument("--gpu", action="store_true", help="defaults for one H200, 20 minutes")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device")
    types = {"int": int, "float": float}
    for field in fields(kind):
        if field.type in types:
            flag = f"--{field.name.replace('_', '-')}"
            parser.add_argument(flag, type=types[str(field.type)])
    return parser
