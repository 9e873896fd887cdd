"""Distil the motion teacher to one call: ``visavis train motion_distill``.

Consistency distillation (Song et al. 2023; Luo et al. 2023) of the teacher with its guidance
folded in. From a noisy window the teacher makes ``reach`` guided DDIM steps of a grid of ``grid``;
where it stops, the slow copy of the student says where the path ends, and from all points on the
way the student is to say the same. With ``reach`` 1 that is LCM's skipping step; with ``reach``
equal to ``grid`` the teacher walks to the end itself. Beside it: the mouth of recorded speech
(sound decides it, so data may correct the teacher there; all else would be averaged out), and a
discriminator that hears the sound (train/discriminator.py, after OSA-LCM).
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.diffusion.consistency import consistent
from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import ddim_step, sample_ddim, spaced_times
from visavis.diffusion.schedule import CosineSchedule
from visavis.motion import conditions
from visavis.motion.coarticulation import silence
from visavis.train.discriminator import (
    Discriminator,
    discriminator_loss,
    generator_loss,
    mismatched,
)
from visavis.train.loop import follow
from visavis.train.motion_data import MotionData
from visavis.train.motion_nets import PRESETS, Denoiser, export
from visavis.train.tasks.motion import (
    GROUPS,
    LONGEST,
    draw_masks,
    group_columns,
    group_losses,
    lip_rows,
)

log = logging.getLogger(__name__)

SCHEDULE = CosineSchedule()
SHORTEST = 2
MOUTH = tuple(GROUPS.index(name) for name in ("jaw", "lips"))
Guess = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """How to distil. ``speech`` and ``wishes`` are the weights of guidance (1: none); ``fresh`` the
    share of windows that start from pure noise; ``anchor`` and ``adversarial`` weigh these losses,
    the second from the share ``calm`` of the steps on.
    """

    data: Path
    teacher: Path
    out: Path
    preset: str = "cpu"
    steps: int = 2000
    batch: int = 32
    rate: float = 3e-4
    seed: int = 0
    grid: int = 10
    reach: int = 10
    fresh: float = 1.0
    speech: float = 1.0
    wishes: float = 1.0
    anchor: float = 0.1
    adversarial: float = 0.02
    calm: float = 0.3
    save_every: int = 250
    slow: float = 0.95
    average: float = 0.998
    device: str = "cpu"
    resume: bool = False


@dataclass(frozen=True)
class Window:
    """A batch as the networks see it, normalised: ``clean`` (b, n, 58), ``free`` (b, n, 58) the
    entries to make, ``level`` (b, n, 58) the noise of the others, ``facts`` what else is known.
    """

    clean: Tensor
    free: Tensor
    level: Tensor
    facts: dict[str, Tensor]

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
    """Return a student equal to the teacher, or what ``plan`` resumes."""
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
    return work


def draw_window(
    plan: Plan, work: Distillation, data: MotionData, rng: np.random.Generator
) -> tuple[Window, Tensor]:
    """Return windows of one random length, and which point of the grid each starts at (b,).

    What a clip does not know is made where the window starts from pure noise, as in use, and stays
    noise in windows that start from the clip's own motion.
    """
    frames = int(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST + 1))))
    count = max(8, plan.batch * 50 // max(frames, 25))
    batch = {k: v.to(plan.device) for k, v in data.batch(rng, count, frames).items()}
    clean = (batch.pop("motion") - work.mean) / work.std
    masks = draw_masks(rng, count, frames)
    known = batch["known"][:, None].expand_as(clean)
    given = masks.given.to(plan.device) & known
    start = rng.integers(1, plan.grid + 1, count)
    start[rng.random(count) < plan.fresh] = plan.grid
    points = torch.from_numpy(start).to(plan.device)
    free = ~given & (known | (points == plan.grid)[:, None, None])
    level = torch.where(given, masks.level.to(plan.device), torch.ones_like(clean))
    return Window(torch.where(known, clean, 0.0), free, level, batch), points


def speaker(net: nn.Module, facts: dict[str, Tensor], device: str) -> Guess:
    """Return ``net`` as a function of motion and level alone, in half precision inside."""
    kind = device.split(":")[0]

    def guess(motion: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(kind, torch.bfloat16):
            rows = (facts["speech"], facts["other"], facts["controls"])
            clean: Tensor = net(motion, level.expand_as(motion), *rows)
        return clean.float()

    return guess


def guided(
    net: nn.Module, facts: dict[str, Tensor], weights: tuple[float, float], device: str
) -> Guess:
    """Return ``net`` with guidance for the sound and for the wishes folded in.

    Three guesses in one batch: nothing known, sound only, all. Without guidance, the last alone.
    """
    if weights == (1.0, 1.0):
        return speaker(net, facts, device)
    deaf, heard = torch.zeros_like(facts["controls"]), torch.zeros_like(facts["controls"])
    heard[..., conditions.HAS_SPEECH] = facts["controls"][..., conditions.HAS_SPEECH]
    quiet = torch.from_numpy(conditions.speech_rows(silence(conditions.ROWS_PER_FRAME)))
    mute = quiet.to(facts["speech"]).expand_as(facts["speech"])
    together = speaker(
        net,
        {
            "speech": torch.cat([mute, facts["speech"], facts["speech"]]),
            "other": facts["other"].repeat(3, 1, 1),
            "controls": torch.cat([deaf, heard, facts["controls"]]),
        },
        device,
    )

    def guess(motion: Tensor, level: Tensor) -> Tensor:
        many = together(motion.repeat(3, 1, 1), level.expand_as(motion).repeat(3, 1, 1))
        nothing, sound, everything = many.chunk(3)
        return guide(nothing, [sound, everything], weights)

    return guess


@torch.no_grad()
def walk(
    plan: Plan, work: Distillation, window: Window, points: Tensor, noise: Tensor
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the stops (motion, level) of the teacher's path, and where it ends (b, n, 58)."""
    teach = guided(work.teacher, window.facts, (plan.speech, plan.wishes), plan.device)
    level = window.at((points / plan.grid)[:, None, None])
    motion = SCHEDULE.add_noise(window.clean, noise, level)
    motion = torch.where(window.free & (points == plan.grid)[:, None, None], noise, motion)
    stops = [(motion, level)]
    for i in range(1, plan.reach + 1):
        earlier = window.at(((points - i).clip(0) / plan.grid)[:, None, None])
        motion = ddim_step(motion, teach(motion, level), level, earlier, SCHEDULE)
        level = earlier
        stops.append((motion, level))
    if plan.reach >= plan.grid:
        return stops[:-1], motion
    return stops[:-1], consistent(speaker(work.slow, window.facts, plan.device), motion, level)


def learn(plan: Plan, work: Distillation, data: MotionData) -> dict[str, float]:
    """Make one step; return its losses by name."""
    rng = np.random.default_rng([plan.seed, work.step])
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    window, points = draw_window(plan, work, data, rng)
    stops, end = walk(plan, work, window, points, torch.randn_like(window.clean))
    later = [] if len(stops) == 1 else [stops[int(rng.integers(1, len(stops)))]]
    say = speaker(work.student, window.facts, plan.device)
    guesses = [consistent(say, motion, level) for motion, level in (stops[0], *later)]
    free = window.free.float()
    losses = {
        "path": torch.stack([group_losses(g, end, free, work.std).mean() for g in guesses]).mean()
    }
    sure = free * window.facts["known"][:, None]
    losses["anchor"] = group_losses(guesses[0], window.clean, sure, work.std)[list(MOUTH)].mean()
    total = losses["path"] + plan.anchor * losses["anchor"]
    if plan.adversarial > 0 and work.step >= plan.calm * plan.steps:
        made = torch.where(window.free, guesses[0], window.clean)
        losses["judge"] = _judge(work, window, made, rng)
        losses["adversarial"] = generator_loss(work.judge, made, window.facts)
        total = total + plan.adversarial * losses["adversarial"]
    _descend(total, work.student, work.optimiser, rate_at(plan, work.step))
    work.step += 1
    follow(work.slow, work.student, plan.slow)
    follow(work.average, work.student, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in losses.items()}


def _judge(work: Distillation, window: Window, made: Tensor, rng: np.random.Generator) -> Tensor:
    """Teach the discriminator once; return its loss."""
    lies = mismatched(window.facts["speech"], rng)
    loss = discriminator_loss(work.judge, window.clean, made, window.facts, lies)
    _descend(loss, work.judge, work.judging, 3e-4)
    return loss


def _descend(loss: Tensor, net: nn.Module, optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Make one step of ``optimiser`` down ``loss`` at ``rate``, gradients limited."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def rate_at(plan: Plan, step: int) -> float:
    """Return the learning rate: 50 steps up, then half a cosine down to 2 %."""
    share = max(0, step - 50) / max(1, plan.steps - 50)
    fall = 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * share)))
    return plan.rate * min(1.0, (step + 1) / 50) * fall


@dataclass(frozen=True)
class Exam:
    """Held-out windows, the noise each is made from, in ``seeds`` versions, and the teacher's
    answers with many and with few steps: (seeds * b, n, 58), normalised.
    """

    window: Window
    noise: Tensor
    seeds: int
    many: Tensor
    few: Tensor


@torch.no_grad()
def set_exam(plan: Plan, work: Distillation, data: MotionData, count: int = 24) -> Exam:
    """Return ``count`` held-out windows of 60 frames without context, and 4 seeds of each."""
    seeds, rng = 4, np.random.default_rng(1)
    batch = {k: v.to(plan.device) for k, v in data.batch(rng, count, 60).items()}
    batch = {k: torch.cat([v] * seeds) for k, v in batch.items()}
    known = batch["known"][:, None]
    clean = torch.where(known, (batch.pop("motion") - work.mean) / work.std, 0.0)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1)).to(clean)
    window = Window(clean, torch.ones_like(clean, dtype=torch.bool), torch.ones_like(clean), batch)
    teach = guided(work.teacher, batch, (plan.speech, plan.wishes), plan.device)
    times = [[window.at(torch.tensor(t)) for t in spaced_times(n)] for n in (50, 10)]
    many, few = (sample_ddim(teach, noise, t, SCHEDULE) for t in times)
    return Exam(window, noise, seeds, many, few)


@torch.no_grad()
def validate(net: nn.Module, work: Distillation, exam: Exam, device: str) -> dict[str, float]:
    """Return how ``net`` answers in one call beside the teacher in 50 and in 10.

    ``path_*`` mean distance to the 50 steps from the same noise; ``gap_*`` error in cm of the lips'
    gap, ``shut_*`` the gap where it should be none, ``speed_*`` error of the mouth's velocity (all
    against the clips); ``seeds_*`` spread between seeds and ``moves_*`` mean velocity, both of the
    whole face, normalised.
    """
    level = torch.ones_like(exam.noise)
    one = speaker(net, exam.window.facts, device)(exam.noise, level)
    row: dict[str, float] = {}
    for name, made in (("one", one), ("few", exam.few), ("many", exam.many)):
        for key, value in _marks(made, work, exam).items():
            row[f"{key}_{name}"] = round(value, 4)
    return {k: v for k, v in row.items() if k != "path_many"}


def _marks(made: Tensor, work: Distillation, exam: Exam) -> dict[str, float]:
    """Return the numbers of ``validate`` for the motion ``made`` (seeds * b, n, 58)."""
    true, facts = exam.window.clean, exam.window.facts
    rows = lip_rows().to(made)
    gaps = [((x * work.std + work.mean)[..., :52] @ rows.T).clamp(min=0) for x in (made, true)]
    heard = (facts["controls"][..., conditions.HAS_SPEECH] > 0) & facts["known"][:, None, 24]
    shut = (gaps[1][..., 2] < 0.04) & heard
    mouth = [c for group in MOUTH for c in group_columns()[group]]
    speeds = [torch.diff(x[..., mouth], dim=1) for x in (made, true)]
    seen = facts["known"][:, None, mouth].expand_as(speeds[0])
    by_seed = made.reshape(exam.seeds, -1, *made.shape[1:])
    return {
        "path": float((made - exam.many).abs().mean()),
        "gap": float((gaps[0] - gaps[1]).abs()[heard].mean()),
        "shut": float(gaps[0][..., 2][shut].mean()),
        "speed": float((speeds[0] - speeds[1]).abs()[seen].mean()),
        "seeds": float(by_seed.std(0).mean()),
        "moves": float(torch.diff(made, dim=1).abs().mean()),
    }


def save(plan: Plan, work: Distillation, row: dict[str, float]) -> None:
    """Write state, log line and the ONNX file."""
    torch.save(work.state(), plan.out / "state.tmp")
    (plan.out / "state.tmp").replace(plan.out / "state.pt")
    with (plan.out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)
    mean, std = work.mean.cpu().numpy(), work.std.cpu().numpy()
    export(work.average, mean, std, plan.out / "model.onnx")


def run(plan: Plan) -> None:
    """Distil to the end of ``plan``; `out` gets state.pt, model.onnx and log.jsonl."""
    if plan.device == "cpu":
        torch.set_num_threads(1)
    plan.out.mkdir(parents=True, exist_ok=True)
    data, work = MotionData(plan.data), begin(plan)
    exam = set_exam(plan, work, MotionData(plan.data, "validation"))
    losses: list[dict[str, float]] = []
    while work.step < plan.steps:
        losses.append(learn(plan, work, data))
        if work.step % plan.save_every == 0 or work.step == plan.steps:
            names = {name for row in losses for name in row}
            mean = {
                f"train_{n}": round(float(np.mean([r[n] for r in losses if n in r])), 4)
                for n in sorted(names)
            }
            found = validate(work.average, work, exam, plan.device)
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
    for name in ("rate", "fresh", "speech", "wishes", "anchor", "adversarial", "calm", "slow"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan, name))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
