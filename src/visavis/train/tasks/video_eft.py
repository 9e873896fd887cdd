"""Train a latent video student for one call in a row of clips: ``visavis train video_eft``.

Stage 2 of OSA-LCM, the editing fine-tuned method: a clip is made as an edit of what there is
already, so that one call begins in training as it begins in use (video/rolling.py). How that is
meant is not public; both readings are here. ``--begin previous``: from the frame before the clip,
all along the clip, with noise of time ``--strength`` over it. ``--begin reference``: from the
portrait, so that even the noisiest beginning keeps a trace of a signal. ``--begin noise``: neither,
to compare. The past, too, comes from the student itself in the share ``--own`` of the steps.

The base model denoises such a beginning as SDEdit (Meng et al. 2022) edits pictures; the student
is to know where its path ends, as in stage 1 (consistency from there on, the discriminator). The
true clip corrects what it says of mouths.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.train.latent_clips import LatentClips
from visavis.train.tasks.video_consistency import draw_length as length_of_clip
from visavis.train.video_exam import judged
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
)
from visavis.video import rolling
from visavis.video.denoiser import PAST_FRAMES, SHORTEST, VideoNetworks
from visavis.video.rolling import SCHEDULE, Rolling

OWN = 8
"""Frames that the student makes itself before a clip, if its past is to be its own."""
BLEND = 0.7
"""How much of what parts own from true past is left in the truth, from frame to frame."""
ROLLED, CLIPS = (4, 8, 8, 8), 6
"""New frames of the held-out clips that are rolled one after the other, and how many at once."""


@dataclass(frozen=True)
class Plan(StudentPlan):
    """How to train. ``begin``, ``strength`` and ``context`` are those of ``Rolling``; ``own`` the
    share of the steps whose past the student makes, ``later`` that of those that begin further on
    instead, as the second and later calls do.
    """

    rate: float = 2e-4
    steps: int = 240
    begin: str = "previous"
    strength: float = 0.9
    context: float = 0.05
    own: float = 0.6
    later: float = 0.2
    anchor: float = 0.2

    @property
    def how(self) -> Rolling:
        """Return how the student's clips are rolled, in one call each."""
        strength = 1.0 if self.begin == "noise" else self.strength
        return Rolling(1, self.begin, strength, self.context)


GPU: dict[str, Any] = {
    "steps": 4000, "batch": 1600, "rate": 1e-4, "slow": 0.98, "average": 0.999,
    "save_every": 500, "device": "cuda", "workers": 12,
}  # fmt: skip
"""What ``--gpu`` changes: about 20 minutes of an H200 by count of FLOPs, not yet measured."""


def window(batch: Batch, first: int, frames: int) -> Batch:
    """Return ``frames`` of the clips of ``batch`` from ``first`` on, as a batch."""
    part, along = slice(first, first + frames), {"change": 2, "mouth": 2, "eyes": 2}
    along |= dict.fromkeys(("speech", "phase", "emotion"), 1)
    cut = {
        name: batch[name][:, part] if axis == 1 else batch[name][:, :, part]
        for name, axis in along.items()
    }
    return {**batch, **cut}


def draw_length(rng: np.random.Generator) -> int:
    """Return the new frames of a draw: OWN, and those of a clip as in stage 1."""
    return OWN + length_of_clip(rng)


@torch.no_grad()
def past_of(plan: Plan, work: Distillation, batch: Batch, is_own: bool) -> tuple[Tensor, Batch]:
    """Return the past (b, c, p, h, w) of a clip, and the part of ``batch`` that has such a clip.

    If ``is_own`` the student's slow copy makes the first new frames, which are its past; else the
    past is the true one and the last frames are left out.
    """
    true, own = batch["change"][:, :, :PAST_FRAMES], _spare(batch)
    left = batch["change"].shape[2] - own
    if not is_own or own < PAST_FRAMES:
        return true, window(batch, 0, left)
    first = window(batch, 0, PAST_FRAMES + own)
    noise = torch.randn_like(first["change"][:, :, PAST_FRAMES:])
    denoise = speaker(work.slow, first)
    made = rolling.sampled(denoise, true, torch.randn_like(true), [noise], plan.how)
    return made[:, :, -PAST_FRAMES:], window(batch, own, left)


def _spare(batch: Batch) -> int:
    """Return how many of the new frames of ``batch`` come before the clip."""
    return min(OWN, batch["change"].shape[2] - PAST_FRAMES - SHORTEST)


def aim(past: Tensor, change: Tensor) -> Tensor:
    """Return the true new frames (b, c, n, h, w) of ``change`` (b, c, p + n, h, w), led over from
    ``past`` (b, c, p, h, w): the step between both fades.
    """
    new = change[:, :, PAST_FRAMES:]
    gap = (past - change[:, :, :PAST_FRAMES])[:, :, -1:]
    fall = BLEND ** torch.arange(1, new.shape[2] + 1, device=new.device, dtype=new.dtype)
    return new + gap * fall[:, None, None]


def beginning(plan: Plan, past: Tensor, right: Tensor, point: int) -> Tensor:
    """Return what a call begins from (b, c, n, h, w) at ``point`` of the grid.

    At its end that is what clips are started from; further on, what the clip ``right`` is with
    noise.
    """
    noise, how = torch.randn_like(right), plan.how
    if point == plan.grid:
        return rolling.started(past, noise, how)
    return SCHEDULE.add_noise(right, noise, passed(plan, point)[0])


def passed(plan: Plan, point: int) -> list[float]:
    """Return the times that a walk from ``point`` of the grid passes; its end is ``strength``."""
    points = torch.arange(point, point - plan.reach - 1, -1).clip(0)
    times: list[float] = (plan.how.strength * grid_time(points, plan.grid)).tolist()
    return times


def learn(plan: Plan, work: Distillation, batch: Batch) -> dict[str, float]:
    """Make one step; return its losses by name."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    rng = np.random.default_rng([plan.seed, work.step, 1])
    past, batch = past_of(plan, work, batch, bool(rng.random() < plan.own))
    point = int(rng.integers(1, plan.grid)) if rng.random() < plan.later else plan.grid
    right = aim(past, batch["change"])
    shown = SCHEDULE.add_noise(past, torch.randn_like(past), plan.context)
    start = torch.cat([shown, beginning(plan, past, right, point)], 2)
    levels = [_levels(start, plan.context, time) for time in passed(plan, point)]
    with torch.no_grad():
        known = told(work.teacher, batch)
        stop = walk(plan, work, start, levels, known)
        end = speaker(work.slow, batch)(stop, levels[-1])[:, :, PAST_FRAMES:]
    guess = speaker(work.student, batch)(start, levels[0])[:, :, PAST_FRAMES:]
    found = {
        "path": apart(guess, end, cells(batch), plan.change),
        "anchor": apart(guess, right, mouths(batch), plan.change),
        **opinion(plan, work, batch, torch.cat([past, guess], 2), known),
    }
    return descended(plan, work, guess, found)


def _levels(frames: Tensor, past: float, new: float) -> Tensor:
    """Return the times (b, t) of ``frames`` (b, c, t, h, w): of the past ones and the new ones."""
    level = frames.new_full((frames.shape[0], frames.shape[2]), new)
    level[:, :PAST_FRAMES] = past
    return level


def lengths_of(batch: Batch) -> list[int]:
    """Return the lengths ROLLED, as far as the new frames of ``batch`` go."""
    ends = np.minimum(np.cumsum(ROLLED), batch["change"].shape[2] - PAST_FRAMES)
    return [int(n) for n in np.diff(ends, prepend=0) if n > 0]


@torch.no_grad()
def rolled(networks: VideoNetworks, batch: Batch, how: Rolling) -> Tensor:
    """Return new frames (b, c, n, h, w), as many as ``batch`` has, of clips that ``networks`` make
    one after the other, from the true past on.
    """
    state = rolling.opened(batch["change"][:, :, :PAST_FRAMES])
    seeds, parts = range(len(batch["heard"])), []
    for frames in lengths_of(batch):
        denoise = speaker(networks, window(batch, state.frame, PAST_FRAMES + frames))
        state, shown = rolling.after(state, rolling.drawn(denoise, state, seeds, frames, how), how)
        parts.append(shown)
    return torch.cat(parts, 2)


def marks(name: str, networks: VideoNetworks, batch: Batch, how: Rolling) -> dict[str, float]:
    """Return how clips of ``networks`` rolled as ``how`` says fit mouth and sound.

    As ``video_exam.judged``; ``other_like`` with the sound of another clip, ``seam``: how far the
    step between two clips is, one within a clip being 1.
    """
    true, mouth = (batch[k][:, :, PAST_FRAMES:] for k in ("change", "mouth"))
    made = rolled(networks, batch, how)
    found = judged(name, made, true, mouth)
    other = rolled(networks, {**batch, "speech": batch["speech"].roll(1, 0)}, how)
    found[f"{name}_other_like"] = judged("x", other, true, mouth)["x_like"]
    steps = made.diff(dim=2).abs().mean((0, 1, 3, 4))
    seams = np.cumsum(lengths_of(batch))[:-1] - 1
    within = np.setdiff1d(np.arange(len(steps)), seams)
    found[f"{name}_seam"] = float(steps[seams].mean() / steps[within].mean().clamp(min=1e-9))
    return {key: round(value, 4) for key, value in found.items()}


def run(plan: Plan) -> None:
    """Train to the end of ``plan``; `out` gets state.pt, networks.safetensors, rolling.json and
    log.jsonl. ``plain_*`` in it are marks of the beginning: one call from noise.
    """
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    work = begin(plan)
    ratio = work.ratio.cpu().numpy()
    clips, held = (LatentClips(plan.data, split, ratio) for split in ("train", "validation"))
    drawn = held.draw(np.random.default_rng(1), CLIPS, sum(ROLLED))
    batch = {name: value.to(plan.device) for name, value in drawn.items()}
    plain = marks("plain", work.average, batch, Rolling(context=plan.context))
    rows = distil(
        plan, work, Draws(plan, clips, draw_length), lambda b: learn(plan, work, b),
        lambda: {**plain, **marks("rolled", work.average, batch, plan.how)},
    )  # fmt: skip
    for row in rows:
        save(plan, work, row, plan.how)


def arguments(given: list[str] | None = None) -> Plan:
    """Return the plan given on the command line."""
    parser = parser_of("video_eft", __doc__, Plan)
    parser.add_argument("--begin", choices=rolling.STARTS)
    options = {k: v for k, v in vars(parser.parse_args(given)).items() if v is not None}
    return Plan(**{**(GPU if options.pop("gpu") else {}), **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
