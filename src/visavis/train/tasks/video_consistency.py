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

from visavis.train.latent_clips import LatentClips
from visavis.train.video_exam import SAMPLED, batch_of, judged, sampled, seen
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
    grid_time,
    mouths,
    opinion,
    parser_of,
    save,
    speaker,
    told,
    walk,
    wide,
)
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST
from visavis.video.rolling import SCHEDULE, Rolling

MOST_PAST_NOISE = 0.2
"""Time of the noise on the frames before a clip, at most."""


@dataclass(frozen=True)
class Plan(StudentPlan):
    """How to distil. ``fresh`` is the share of clips that start from pure noise, where one step
    begins.
    """

    fresh: float = 0.5


GPU: dict[str, Any] = {
    "steps": 4000, "batch": 1600, "rate": 2e-4, "grid": 20, "reach": 2, "slow": 0.98,
    "average": 0.999, "save_every": 500, "device": "cuda", "workers": 12,
}  # fmt: skip
"""What ``--gpu`` changes: about 20 minutes of an H200 by count of FLOPs, not yet measured."""


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

    Before them stand those of the ``past`` (b, p).
    """
    time = grid_time(points, grid).to(past)
    return torch.cat([past, time[:, None].expand(-1, frames)], 1)


def begun(plan: Plan, change: Tensor, points: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return ``change`` (b, c, t, h, w) with the noise of ``points`` (b,), and the levels (b, t)
    that a walk from there passes.

    Past frames have a little noise of their own. What begins at the end of the grid is noise alone.
    """
    count, frames = len(change), change.shape[2] - PAST_FRAMES
    past = MOST_PAST_NOISE * torch.rand(count, 1, device=change.device).expand(-1, PAST_FRAMES)
    passed = [levels((points - i).clip(0), past, plan.grid, frames) for i in range(plan.reach + 1)]
    noise, first = torch.randn_like(change), wide(passed[0])
    start = SCHEDULE.add_noise(change, noise, first)
    return torch.where(first == 1.0, noise, start), passed


def learn(plan: Plan, work: Distillation, batch: Batch) -> dict[str, float]:
    """Make one step; return its losses by name."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    rng = np.random.default_rng([plan.seed, work.step, 1])
    change, new = batch["change"], slice(PAST_FRAMES, None)
    points = draw_points(plan, rng, len(change)).to(change.device)
    start, passed = begun(plan, change, points)
    with torch.no_grad():
        known = told(work.teacher, batch)
        stop = walk(plan, work, start, passed, known)
        end = speaker(work.slow, batch)(stop, passed[-1])[:, :, new]
    guess = speaker(work.student, batch)(start, passed[0])[:, :, new]
    made = torch.cat([change[:, :, :PAST_FRAMES], guess], 2)
    found = {
        "path": apart(guess, end, cells(batch), plan.change),
        "anchor": apart(guess, change[:, :, new], mouths(batch), plan.change),
        **opinion(plan, work, batch, made, known),
    }
    return descended(plan, work, guess, found)


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
    known = seen(work.average, batch)
    for name, steps in (("one", 1), ("two", 2), ("four", 4)):
        made = sampled(work.average, batch, known, Rolling(steps), weight=1.0)
        found |= judged(name, made, true, mouth)
        found[f"{name}_apart"] = float((made - base).abs().mean())
    other = replace(known, speech=batch["speech"].roll(1, 0))
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
