"""Distil the motion teacher to one call: ``visavis train motion_distill``.

Consistency distillation (Song et al. 2023; Luo et al. 2023) of the teacher with its guidance
folded in. From a noisy window the teacher makes ``reach`` guided steps of a grid of ``grid``;
where it stops, the slow copy of the student says where the path ends, and from all points on the
way the student is to say the same. With ``reach`` 1 that is LCM's skipping step; with ``reach``
equal to ``grid`` the teacher walks to the end itself. Beside it: the mouth of recorded speech
(sound decides it, so data may correct the teacher there; all else would be averaged out), and a
discriminator that hears the sound (train/discriminator.py, after OSA-LCM).
"""

from __future__ import annotations

import argparse
import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.diffusion.consistency import consistent
from visavis.diffusion.samplers import ddim_step, extrapolated
from visavis.train.discriminator import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    is_heard,
    mismatched,
)
from visavis.train.loop import cosine_rate, descend, follow, keep, mean_of
from visavis.train.motion_data import MotionData
from visavis.train.motion_exam import SCHEDULE, Facts, guided, set_exam, speaker, take
from visavis.train.motion_nets import PRESETS, Denoiser, export
from visavis.train.tasks.motion import (
    GROUPS,
    LONGEST,
    draw_masks,
    group_losses,
    lip_rows,
)

log = logging.getLogger(__name__)

SHORTEST = 2
MOUTH = tuple(GROUPS.index(name) for name in ("jaw", "lips"))


@dataclass(frozen=True)
class Plan:
    """How to distil. ``speech`` and ``wishes`` are the weights of guidance (1: none); ``fresh`` the
    share of windows that start from pure noise, ``own`` of those in which all motion that is given
    is the student's; ``anchor`` and ``adversarial`` weigh these losses, the second from the share
    ``calm`` of the steps on.
    """

    data: Path
    teacher: Path
    out: Path
    preset: str = "cpu"
    steps: int = 2000
    batch: int = 16
    rate: float = 5e-4
    seed: int = 0
    grid: int = 10
    reach: int = 10
    fresh: float = 1.0
    own: float = 0.5
    speech: float = 1.0
    wishes: float = 1.0
    anchor: float = 0.05
    adversarial: float = 0.005
    calm: float = 0.3
    save_every: int = 250
    slow: float = 0.95
    average: float = 0.998
    device: str = "cpu"
    resume: bool = False
    start: Path | None = None


@dataclass(frozen=True)
class Window:
    """A batch as the networks see it, normalised: ``true`` (b, n, 58) as recorded, ``clean`` the
    same with all that is not known made up; ``free`` the entries to make, ``level`` the noise of
    the others; ``facts`` known, speech, other and controls.
    """

    true: Tensor
    clean: Tensor
    free: Tensor
    level: Tensor
    facts: Facts

    def at(self, time: Tensor) -> Tensor:
        """Return the level of every entry when the free ones are at ``time`` (b, 1, 1)."""
        return torch.where(self.free, time, self.level)


@dataclass
class Distillation:
    """Everything that training changes, and what it is made from."""

    teacher: nn.Module
    student: nn.Module
    slow: nn.Module
    average: nn.Module
    judge: Discriminator
    optimiser: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    mean: Tensor
    std: Tensor
    step: int = 0

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own, but for the teacher."""
        names = ("student", "slow", "average", "judge", "optimiser", "judging")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on, and ``net`` as the teacher's state has it."""
        states = {name: part.state_dict() for name, part in self.parts().items()}
        return {**states, "mean": self.mean, "std": self.std, "step": self.step}


def begin(plan: Plan) -> Distillation:
    """Return a student equal to the teacher, or to the one ``plan`` starts from or resumes."""
    torch.manual_seed(plan.seed)
    learnt = torch.load(plan.teacher, weights_only=True, map_location=plan.device)
    teacher = Denoiser(PRESETS[plan.preset]).to(plan.device).requires_grad_(False).eval()
    teacher.load_state_dict(learnt["average"])
    student = copy.deepcopy(teacher).requires_grad_(True)
    judge = Discriminator().to(plan.device)
    work = Distillation(
        teacher, student, copy.deepcopy(teacher), copy.deepcopy(teacher), judge,
        torch.optim.AdamW(student.parameters(), plan.rate, weight_decay=0.01),
        torch.optim.AdamW(judge.parameters(), 3e-4, betas=(0.5, 0.98), weight_decay=0.01),
        learnt["mean"], learnt["std"],
    )  # fmt: skip
    if plan.resume:
        state = torch.load(plan.out / "state.pt", weights_only=True, map_location=plan.device)
        for name, part in work.parts().items():
            part.load_state_dict(state[name])
        work.step = int(state["step"])
    elif plan.start:
        state = torch.load(plan.start, weights_only=True, map_location=plan.device)
        for net in (work.student, work.slow, work.average):
            net.load_state_dict(state["average"])
        judge.load_state_dict(state["judge"])
    return work


def draw_window(
    plan: Plan, work: Distillation, data: MotionData, rng: np.random.Generator
) -> tuple[Window, Tensor]:
    """Return windows of one random length, and which point of the grid each starts at (b,)."""
    frames = int(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST + 1))))
    count = max(8, plan.batch * 50 // max(frames, 25))
    batch = {k: v.to(plan.device) for k, v in data.batch(rng, count, frames).items()}
    true = (batch.pop("motion") - work.mean) / work.std
    masks = draw_masks(rng, count, frames)
    start = rng.integers(1, plan.grid + 1, count)
    start[rng.random(count) < plan.fresh] = plan.grid
    forgotten = torch.from_numpy(rng.random(count) < plan.own).to(plan.device)
    known = batch["known"] & ~forgotten[:, None]
    window = Window(
        true, completed(work.slow, true, known, batch),
        ~masks.given.to(plan.device), masks.level.to(plan.device), batch,
    )  # fmt: skip
    return window, torch.from_numpy(start).to(plan.device)


@torch.no_grad()
def completed(slow: nn.Module, true: Tensor, known: Tensor, facts: Facts) -> Tensor:
    """Return ``true`` (b, n, 58) with what is not ``known`` (b, 58) made by the slow copy.

    In use, all of the past is the student's own; so it is here, the same way, as far as need be.
    """
    held = known[:, None].expand_as(true)
    motion = torch.where(held, true, torch.randn_like(true))
    made = speaker(slow, facts)(motion, (~held).to(true))
    return torch.where(held, true, made)


def time_of(points: Tensor, grid: int) -> Tensor:
    """Return the times (b, 1, 1) of ``points`` (b,) of the grid, as ``cosine_times`` has them."""
    return (0.5 - 0.5 * torch.cos(torch.pi * points / grid))[:, None, None]


@torch.no_grad()
def walk(
    plan: Plan, work: Distillation, window: Window, points: Tensor, noise: Tensor
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the stops (motion, level) of the teacher's path, and where it ends (b, n, 58).

    Steps are those of ``sample_multistep``.
    """
    teach = guided(work.teacher, window.facts, (plan.speech, plan.wishes))
    level = window.at(time_of(points, plan.grid))
    motion = SCHEDULE.add_noise(window.clean, noise, level)
    motion = torch.where(window.free & (points == plan.grid)[:, None, None], noise, motion)
    stops, before, last = [(motion, level)], None, level
    for i in range(1, plan.reach + 1):
        earlier = window.at(time_of((points - i).clip(0), plan.grid))
        guess = clean = teach(motion, level)
        if before is not None:
            clean = extrapolated(guess, before, (last, level, earlier), SCHEDULE)
        motion = ddim_step(motion, clean, level, earlier, SCHEDULE)
        before, last, level = guess, level, earlier
        stops.append((motion, level))
    if plan.reach >= plan.grid:
        return stops[:-1], motion
    return stops[:-1], consistent(speaker(work.slow, window.facts), motion, level)


def learn(plan: Plan, work: Distillation, data: MotionData) -> dict[str, float]:
    """Make one step; return its losses by name."""
    rng = np.random.default_rng([plan.seed, work.step])
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    window, points = draw_window(plan, work, data, rng)
    stops, end = walk(plan, work, window, points, torch.randn_like(window.true))
    later = [] if len(stops) == 1 else [stops[int(rng.integers(1, len(stops)))]]
    say = speaker(work.student, window.facts)
    guesses = [consistent(say, motion, level) for motion, level in (stops[0], *later)]
    free, units = window.free.float(), (work.mean, work.std)
    losses = {
        "path": torch.stack([group_losses(g, end, free, units).mean() for g in guesses]).mean()
    }
    sure = free * window.facts["known"][:, None] * is_heard(window.facts["controls"])[..., None]
    losses["anchor"] = group_losses(guesses[0], window.true, sure, units)[list(MOUTH)].mean()
    total = losses["path"] + plan.anchor * losses["anchor"]
    if plan.adversarial > 0 and work.step >= plan.calm * plan.steps:
        made = torch.where(window.free, guesses[0], window.clean)
        losses["judge"] = _judge(work, window, made, rng)
        losses["adversarial"] = generator_loss(work.judge, made, window.facts)
        total = total + plan.adversarial * losses["adversarial"]
    descend(total, work.student, work.optimiser, rate_at(plan, work.step))
    work.step += 1
    follow(work.slow, work.student, plan.slow)
    follow(work.average, work.student, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in losses.items()}


def _judge(work: Distillation, window: Window, made: Tensor, rng: np.random.Generator) -> Tensor:
    """Teach the discriminator once; return its loss."""
    lies = mismatched(window.facts["speech"], rng)
    loss = discriminator_loss(work.judge, window.true, made, window.facts, lies)
    descend(loss, work.judge, work.judging, 3e-4)
    return loss


def rate_at(plan: Plan, step: int) -> float:
    """Return the learning rate: 50 steps up, then half a cosine down to 2 %."""
    return cosine_rate(plan.rate, step, plan.steps, rise=50, least=0.02)


def save(plan: Plan, work: Distillation, row: dict[str, float]) -> None:
    """Write state, log line and the ONNX file."""
    keep(plan.out, work.state(), row)
    mean, std = work.mean.cpu().numpy(), work.std.cpu().numpy()
    export(work.average, mean, std, plan.out / "model.onnx")


def run(plan: Plan) -> None:
    """Distil to the end of ``plan``; `out` gets state.pt, model.onnx and log.jsonl."""
    if plan.device == "cpu":
        torch.set_num_threads(1)
    plan.out.mkdir(parents=True, exist_ok=True)
    data, work = MotionData(plan.data), begin(plan)
    judged = MotionData(plan.data, "validation")
    units = (work.mean, work.std, lip_rows().to(work.mean))
    exam = set_exam(work.teacher, judged, units, (plan.speech, plan.wishes))
    losses: list[dict[str, float]] = []
    while work.step < plan.steps:
        losses.append(learn(plan, work, data))
        if work.step % plan.save_every == 0 or work.step == plan.steps:
            mean = {f"train_{name}": value for name, value in mean_of(losses).items()}
            found = take(work.average, exam)
            save(plan, work, {"step": work.step, **mean, **found})
            losses = []


def arguments() -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train motion_distill", description=__doc__)
    for name in ("data", "teacher", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    for name in ("steps", "batch", "seed", "grid", "reach", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Plan, name))
    for name in (
        "rate",
        "fresh",
        "own",
        "speech",
        "wishes",
        "anchor",
        "adversarial",
        "calm",
        "slow",
    ):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan, name))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state.pt of an earlier student to start from")
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
