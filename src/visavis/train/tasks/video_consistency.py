"""Distil the latent video model to few calls: ``visavis train video_consistency``.

Stage 1 of OSA-LCM: an adversarial latent consistency model. From noisy new frames the base model,
its guidance folded in, makes ``reach`` steps of a grid of ``grid`` (the skipping step of Luo et al.
2023, LCM); where it stops, the slow copy of the student says where the path ends, and the student
is to say the same from where it began. With ``reach`` equal to ``grid`` the base model walks to the
end itself. Beside it, what the avatar discriminator thinks of the student's guesses
(train/video_judge.py; ``--adversarial 0``: nothing).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.diffusion.samplers import ddim_step, extrapolated
from visavis.train.latent_clips import LatentClips
from visavis.train.video_exam import GUIDANCE, SAMPLED, batch_of, judged, sampled, seen
from visavis.train.video_student import (
    Batch,
    Distillation,
    Draws,
    StudentPlan,
    apart,
    begin,
    cells,
    descended,
    distil,
    hearing,
    opinion,
    parser_of,
    save,
)
from visavis.video.conditions import Conditions
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST
from visavis.video.rolling import SCHEDULE, Rolling, guided

MOST_PAST_NOISE = 0.2
"""Time of the noise on the frames before a clip, at most."""


@dataclass(frozen=True)
class Plan(StudentPlan):
    """How to distil. ``speech`` and ``wishes`` are the weights of guidance (1: none); ``fresh`` the
    share of clips that start from pure noise, where one step begins.
    """

    grid: int = 8
    reach: int = 2
    fresh: float = 0.5
    speech: float = GUIDANCE
    wishes: float = 1.0


GPU: dict[str, Any] = {
    "steps": 4000, "batch": 1600, "rate": 2e-4, "grid": 20, "reach": 2, "slow": 0.98,
    "average": 0.999, "save_every": 500, "device": "cuda", "workers": 12,
}  # fmt: skip
"""What ``--gpu`` changes: about 20 minutes of an H200 by count of FLOPs, not yet measured."""


@dataclass(frozen=True)
class Walk:
    """A stretch of the base model's path: ``start`` (b, c, t, h, w) and its ``level`` (b, t), to
    ``stop`` and its ``later`` level.
    """

    start: Tensor
    level: Tensor
    stop: Tensor
    later: Tensor


def draw_length(rng: np.random.Generator) -> int:
    """Return a clip's new frames, short ones as often as long ones."""
    return int(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST + 1))))


def draw_points(plan: Plan, rng: np.random.Generator, count: int) -> Tensor:
    """Return which points of the grid the clips start at (b,), 1 to ``plan.grid``."""
    points = rng.integers(1, plan.grid + 1, count)
    points[rng.random(count) < plan.fresh] = plan.grid
    return torch.from_numpy(points)


def levels(points: Tensor, past: Tensor, grid: int, frames: int) -> Tensor:
    """Return the times (b, t) of ``frames`` new frames at ``points`` (b,) of the grid.

    Before them stand those of the ``past`` (b, p). Points lie as ``cosine_times`` has them.
    """
    time = 0.5 - 0.5 * torch.cos(torch.pi * points / grid)
    return torch.cat([past, time[:, None].expand(-1, frames).to(past)], 1)


@torch.no_grad()
def walk(plan: Plan, work: Distillation, change: Tensor, points: Tensor, told: Conditions) -> Walk:
    """Return a stretch of the base model's path to clips ``change`` (b, c, t, h, w).

    Steps are those of ``sample_multistep``; past frames have a little noise and stay as they are.
    """
    teach = guided(hearing(work.teacher), told, plan.wishes, plan.speech)
    count, frames = len(change), change.shape[2] - PAST_FRAMES
    past = MOST_PAST_NOISE * torch.rand(count, 1, device=change.device).expand(-1, PAST_FRAMES)
    noise = torch.randn_like(change)
    level = levels(points, past, plan.grid, frames)
    x = SCHEDULE.add_noise(change, noise, _wide(level))
    x = torch.where(_wide(level) == 1.0, noise, x)
    start, first, before, last = x, level, None, level
    for i in range(1, plan.reach + 1):
        earlier = levels((points - i).clip(0), past, plan.grid, frames)
        guess = clean = teach(x, level)
        t, s = _wide(level), _wide(earlier)
        if before is not None:
            clean = extrapolated(guess, before, (_wide(last), t, s), SCHEDULE)
        x = ddim_step(x, clean, t, s, SCHEDULE)
        before, last, level = guess, level, earlier
    return Walk(start, first, x, level)


def _wide(level: Tensor) -> Tensor:
    """Return ``level`` (b, t) as (b, 1, t, 1, 1)."""
    return level[:, None, :, None, None]


def learn(plan: Plan, work: Distillation, batch: Batch) -> dict[str, float]:
    """Make one step; return its losses by name."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    rng = np.random.default_rng([plan.seed, work.step, 1])
    change = batch["change"]
    points = draw_points(plan, rng, len(change)).to(change.device)
    with torch.no_grad(), torch.autocast(change.device.type, torch.bfloat16):
        told, later = seen(work.teacher, batch), seen(work.slow, batch)
    path = walk(plan, work, change, points, told)
    with torch.no_grad():
        end = hearing(work.slow)(path.stop, path.later, later)
    with torch.autocast(change.device.type, torch.bfloat16):
        own = seen(work.student, batch)
    guess = hearing(work.student)(path.start, path.level, own)
    new = slice(PAST_FRAMES, None)
    found = {"path": apart(guess[:, :, new], end[:, :, new], cells(batch), plan.change)}
    made = torch.cat([change[:, :, :PAST_FRAMES], guess[:, :, new]], 2)
    found |= opinion(plan, work, batch, made, told)
    return descended(plan, work, guess, found["path"], found)


@torch.no_grad()
def set_exam(plan: Plan, work: Distillation, held: LatentClips) -> tuple[Batch, Tensor]:
    """Return held-out clips and what the base model makes of them in 20 guided steps."""
    batch = batch_of(held, SAMPLED, plan.device)
    return batch, sampled(work.teacher, batch, seen(work.teacher, batch), weight=plan.speech)


@torch.no_grad()
def take(work: Distillation, exam: tuple[Batch, Tensor]) -> dict[str, float]:
    """Return the marks of the averaged student in 1, 2 and 4 steps, of the base model in 20.

    As ``video_exam.judged``; ``apart_*``: mean distance to the base model's clip from the same
    noise.
    """
    batch, base = exam
    true, mouth = (batch[k][:, :, PAST_FRAMES:] for k in ("change", "mouth"))
    found = judged("twenty", base, true, mouth)
    told = seen(work.average, batch)
    for name, steps in (("one", 1), ("two", 2), ("four", 4)):
        made = sampled(work.average, batch, told, Rolling(steps), weight=1.0)
        found |= judged(name, made, true, mouth)
        found[f"{name}_apart"] = float((made - base).abs().mean())
    other = replace(told, speech=batch["speech"].roll(1, 0))
    made = sampled(work.average, batch, other, Rolling(1), weight=1.0)
    found["one_other_like"] = judged("x", made, true, mouth)["x_like"]
    return {name: round(value, 4) for name, value in found.items()}


def run(plan: Plan) -> None:
    """Distil to the end of ``plan``; `out` gets state.pt, networks.safetensors, rolling.json and
    log.jsonl.
    """
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    work = begin(plan)
    ratio = work.ratio.cpu().numpy()
    clips, held = (LatentClips(plan.data, split, ratio) for split in ("train", "validation"))
    exam = set_exam(plan, work, held)
    draws = Draws(plan, clips, draw_length)
    rows = distil(plan, work, draws, lambda b: learn(plan, work, b), lambda: take(work, exam))
    for row in rows:
        save(plan, work, row, Rolling())


def arguments(given: list[str] | None = None) -> Plan:
    """Return the plan given on the command line."""
    parser = parser_of("video_consistency", __doc__, Plan)
    options = {k: v for k, v in vars(parser.parse_args(given)).items() if v is not None}
    return Plan(**{**(GPU if options.pop("gpu") else {}), **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
