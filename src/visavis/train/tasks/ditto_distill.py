"""Distil Ditto's motion model to one call: ``visavis train ditto_distill``.

Consistency distillation (Song et al. 2023; Luo et al. 2023) of the published denoiser, its guidance
folded in, without any recorded motion: from pure noise the teacher walks ``grid`` guided steps to
the end (DDIM, Song, Meng and Ermon 2021, deterministic), and from the noise and from a point on the
way the student is to say that end in one call. Windows are told what sessions tell: sound, an
emotion, a sitter; they follow the sitter's portrait, or a frame that the teacher has made.

``--data`` is a folder of recordings, or of HuBERT's rows; ``--teacher`` a model's name or folder
(ditto); ``--portraits`` a folder of photographs. ``--out`` gets lmdm.safetensors, which takes the
place of the teacher's file in a model's folder and is asked once per window, state.pt, log.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import logging
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import ddim_step, stepped_times
from visavis.errors import ModelError
from visavis.faces.implicit import BINS
from visavis.hub.folder import found, located
from visavis.motion.ditto.conditions import EXPRESSION, SIZE
from visavis.motion.ditto.network import Lmdm
from visavis.motion.ditto.sampler import SCHEDULE
from visavis.motion.ditto.weights import NAME, made, read_lmdm, write_lmdm
from visavis.motion.ditto.windows import WINDOW
from visavis.train.ditto_data import Material, gather
from visavis.train.loop import cosine_rate, descend, follow, keep, mean_of

PARTS = {
    "scale": slice(0, 1),
    "pose": slice(1, 1 + 3 * BINS),
    "shift": slice(1 + 3 * BINS, EXPRESSION),
    "expression": slice(EXPRESSION, SIZE),
}
"""What the losses tell apart in a frame of motion; each weighs the same."""
_LEAST = 1e-4
"""Least deviation of a value of motion, to divide by."""
_HELD_OUT = 10**6
"""Seed of the windows that are judged, far from those that are learnt from."""


@dataclass(frozen=True)
class Plan:
    """How to distil. The teacher takes ``grid`` steps at ``guidance``. Of the windows ``calm`` is
    the share that follows a portrait, ``felt`` that with an emotion; ``change`` weighs how motion
    changes from frame to frame beside what it is.
    """

    data: Path
    teacher: str
    out: Path
    portraits: Path | None = None
    steps: int = 3000
    batch: int = 16
    rate: float = 1e-4
    seed: int = 0
    grid: int = 10
    guidance: float = 2.0
    calm: float = 0.3
    felt: float = 0.5
    change: float = 0.5
    save_every: int = 100
    average: float = 0.999
    device: str = "cpu"
    resume: bool = False


@dataclass(frozen=True)
class Windows:
    """A batch: what it starts from, ``noise`` (b, 80, 265), the frames ``before`` (b, 265), what is
    ``told`` (b, 80, c).
    """

    noise: Tensor
    before: Tensor
    told: Tensor


@dataclass
class Distillation:
    """Everything that training changes, and what it is made from: ``spread`` (265,) is how much the
    teacher's motion varies, ``last`` (b, 265) are frames that it has made.
    """

    teacher: Lmdm
    student: Lmdm
    average: Lmdm
    optimiser: torch.optim.Optimizer
    spread: Tensor
    last: Tensor
    step: int = 0

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        parts = {n: getattr(self, n).state_dict() for n in ("student", "average", "optimiser")}
        return {**parts, "spread": self.spread, "last": self.last, "step": self.step}


def begin(plan: Plan, material: Material) -> Distillation:
    """Return a student equal to the teacher, or the one that ``plan`` resumes.

    Raises:
        ModelError: there is no such teacher.
    """
    torch.manual_seed(plan.seed)
    folder = located(plan.teacher)
    weights = found(folder, NAME)
    if weights is None:
        raise ModelError(f"{folder} has no motion network. Fetch it: visavis models fetch ditto")
    teacher = read_lmdm(weights).to(plan.device)
    config = replace(teacher.config, is_student=True)
    student = made(copy.deepcopy(teacher.state_dict()), config).requires_grad_(True)
    _, ends = walk(plan, teacher, drawn(plan, material, _HELD_OUT))
    work = Distillation(
        teacher, student, copy.deepcopy(student).requires_grad_(False),
        torch.optim.AdamW(student.parameters(), plan.rate, weight_decay=0.0),
        ends.flatten(0, 1).std(dim=0).clamp_min(_LEAST), ends[:, -1],
    )  # fmt: skip
    if not plan.resume:
        return work
    state = torch.load(plan.out / "state.pt", weights_only=True, map_location=plan.device)
    for name in ("student", "average", "optimiser"):
        getattr(work, name).load_state_dict(state[name])
    work.spread, work.last, work.step = state["spread"], state["last"], int(state["step"])
    return work


def drawn(plan: Plan, material: Material, number: int, last: Tensor | None = None) -> Windows:
    """Return batch ``number``; windows follow portraits, or frames of ``last`` (b, 265)."""
    rng = np.random.default_rng([plan.seed, number])
    told, portraits = material.asked(rng, plan.batch, plan.felt)
    before = torch.from_numpy(portraits)
    if last is not None:
        follows = torch.from_numpy(rng.random(plan.batch) >= plan.calm)
        pose = last[rng.integers(len(last), size=plan.batch), :EXPRESSION].cpu()
        before[follows, :EXPRESSION] = pose[follows]
    noise = rng.standard_normal((plan.batch, WINDOW, SIZE), np.float32)
    tensors = (torch.from_numpy(noise), before, torch.from_numpy(told))
    return Windows(*(x.to(plan.device) for x in tensors))


def times_of(plan: Plan) -> tuple[int, ...]:
    """Return the steps of the schedule at which the teacher is asked, and -1."""
    return stepped_times(plan.grid)


@torch.no_grad()
def walk(plan: Plan, teacher: Lmdm, windows: Windows) -> tuple[list[Tensor], Tensor]:
    """Return where the teacher is before each of its steps (b, 80, 265), and where it ends."""
    count = len(windows.noise)
    is_told = torch.tensor([1.0, 0.0], device=plan.device).repeat_interleave(count)
    kept = teacher.conditions(windows.told.repeat(2, 1, 1), is_told)
    before, motion, stops = windows.before.repeat(2, 1), windows.noise, []
    for t, s in pairwise(times_of(plan)):
        stops.append(motion)
        time = torch.full((2 * count,), float(t), device=plan.device)
        told, untold = teacher.step(motion.repeat(2, 1, 1), before, time, kept).chunk(2)
        motion = ddim_step(motion, guide(untold, [told], [plan.guidance]), t, s, SCHEDULE)
    return stops, motion


def said(student: Lmdm, windows: Windows, points: list[tuple[Tensor, int]]) -> list[Tensor]:
    """Return what the student says of each of ``points`` (motion, step) of the windows' paths."""
    count = len(windows.noise)
    ones = torch.ones(count, device=windows.noise.device)
    kept = student.conditions(windows.told, ones)
    return [student.step(x, windows.before, t * ones, kept) for x, t in points]


def misses(guess: Tensor, end: Tensor, spread: Tensor, change: float) -> dict[str, Tensor]:
    """Return by how much ``guess`` (b, 80, 265) misses ``end``, for each of PARTS.

    In deviations of the teacher's motion, robust (Huber); with ``change`` times that of the
    differences from frame to frame.
    """
    off = (guess - end) / spread
    both = ((off, 1.0), (off.diff(dim=1), change))
    return {
        name: sum(
            (weight * torch.nn.functional.huber_loss(x[..., part], torch.zeros_like(x[..., part])))
            for x, weight in both
        )
        for name, part in PARTS.items()
    }


def learn(plan: Plan, work: Distillation, material: Material) -> dict[str, float]:
    """Make one step; return its losses by name."""
    windows = drawn(plan, material, work.step, work.last)
    stops, end = walk(plan, work.teacher, windows)
    rng = np.random.default_rng([plan.seed, 1, work.step])
    later = int(rng.integers(1, len(stops))) if len(stops) > 1 else 0
    points = [(stops[i], times_of(plan)[i]) for i in sorted({0, later})]
    rows = [misses(g, end, work.spread, plan.change) for g in said(work.student, windows, points)]
    losses = {name: torch.stack([row[name] for row in rows]).mean() for name in PARTS}
    total = torch.stack(list(losses.values())).mean()
    descend(total, work.student, work.optimiser, rate_at(plan, work.step))
    work.last = end[:, int(rng.integers(WINDOW))]
    work.step += 1
    follow(work.average, work.student, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in losses.items()}


def rate_at(plan: Plan, step: int) -> float:
    """Return the learning rate: 50 steps up, then half a cosine down to 2 %."""
    return cosine_rate(plan.rate, step, plan.steps, rise=50, least=0.02)


@torch.no_grad()
def judged(plan: Plan, work: Distillation, windows: Windows, end: Tensor) -> dict[str, float]:
    """Return how far one call of the student is from the ``end`` of the teacher's path, by part:
    the root mean square, in deviations of the teacher's motion.
    """
    guess = said(work.average, windows, [(windows.noise, times_of(plan)[0])])[0]
    off = (guess - end) / work.spread
    return {
        f"gap_{n}": round(float(off[..., p].square().mean().sqrt()), 4) for n, p in PARTS.items()
    }


def run(plan: Plan) -> None:
    """Distil to the end of ``plan``; ``out`` gets the student, state.pt and log.jsonl."""
    if plan.device == "cpu":
        torch.set_num_threads(1)
    plan.out.mkdir(parents=True, exist_ok=True)
    folder = located(plan.teacher)
    material = gather(plan.data, folder, plan.portraits, plan.out / "rows")
    work = begin(plan, material)
    exam = drawn(plan, material, _HELD_OUT, work.last)
    _, end = walk(plan, work.teacher, exam)
    losses: list[dict[str, float]] = []
    while work.step < plan.steps:
        losses.append(learn(plan, work, material))
        if work.step % plan.save_every == 0 or work.step == plan.steps:
            gaps = judged(plan, work, exam, end)
            keep(plan.out, work.state(), {"step": work.step, **mean_of(losses), **gaps})
            write_lmdm(plan.out, work.average)
            losses = []


def arguments() -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train ditto_distill", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--portraits", type=Path)
    for name in ("steps", "batch", "seed", "grid", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Plan, name))
    for name in ("rate", "guidance", "calm", "felt", "change", "average"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan, name))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
