"""How well a latent video model guesses clips of persons it has never seen.

Samples are held against the truth in two ways: how far they are from it at the mouth, 1 being as
far as the unmoved reference, and how much what they change over time is like what changes there.
The second is also taken with the sound of another clip: the difference is what the sound does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from visavis.train.latent_clips import LatentClips, told
from visavis.video import rolling
from visavis.video.conditions import Conditions
from visavis.video.denoiser import PAST_FRAMES, VideoNetworks
from visavis.video.rolling import FEW, SCHEDULE, Rolling, guided

BANDS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Times at which the network's guess is judged."""
CLIPS, FRAMES, SAMPLED = 12, 16, 6
"""Clips of the guesses, their new frames, and how many of them are sampled."""
TWENTY = Rolling(steps=20, context=0.1)
GUIDANCE = 2.0
"""Weight of the sound."""


def batch_of(clips: LatentClips, count: int, device: str) -> dict[str, Tensor]:
    """Return always the same ``count`` clips of FRAMES new frames, as ``LatentClips.draw``."""
    drawn = clips.draw(np.random.default_rng(1), count, FRAMES)
    return {name: value.to(device) for name, value in drawn.items()}


def noised(batch: dict[str, Tensor], time: float, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return the changes (b, c, t, h, w) of ``batch``, noisy, and the times (b, t) of the frames.

    New frames have noise of ``time``, those before them as TWENTY has it.
    """
    clean = batch["change"]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    level = torch.full((len(clean), clean.shape[2]), time, device=clean.device)
    level[:, :PAST_FRAMES] = TWENTY.context
    return SCHEDULE.add_noise(clean, noise, level[:, None, :, None, None]), level


@torch.no_grad()
def sampled(
    networks: VideoNetworks,
    batch: dict[str, Tensor],
    conditions: Conditions,
    how: Rolling = TWENTY,
    weight: float = GUIDANCE,
) -> Tensor:
    """Return new frames (b, c, t, h, w) of ``batch``, after its true past, with sound strengthened
    by ``weight``.
    """
    clean = batch["change"]
    generator = torch.Generator().manual_seed(2)
    noises = [
        torch.randn(clean.shape, generator=generator).to(clean.device)
        for _ in range(how.steps if how.steps <= FEW else 1)
    ]
    past, memory = clean[:, :, :PAST_FRAMES], noises[0][:, :, :PAST_FRAMES]
    new = [noise[:, :, PAST_FRAMES:] for noise in noises]
    made: Tensor = rolling.sampled(
        guided(networks, conditions, speech=weight), past, memory, new, how
    )
    return made


def distance(made: Tensor, true: Tensor, where: Tensor) -> float:
    """Return the squared error of changes (b, c, t, h, w) in cells ``where`` (b, 1, t, h, w).

    In units of the squared changes themselves: no movement at all is 1.
    """
    return float(((made - true).square() * where).sum() / (true.square() * where).sum())


def likeness(made: Tensor, true: Tensor, where: Tensor) -> float:
    """Return the correlation, in cells ``where``, of what changes within clips (b, c, t, h, w)."""
    a, b = ((x - x.mean(2, keepdim=True)) * where.sqrt() for x in (made, true))
    power = a.square().sum() * b.square().sum()
    return float((a * b).sum() / power.sqrt().clamp(min=1e-9))


@torch.no_grad()
def examine(networks: VideoNetworks, held: LatentClips, device: str) -> dict[str, float]:
    """Return errors of one guess by time, and how one call from noise fits mouth and sound."""
    batch = batch_of(held, CLIPS, device)
    true, mouth = (batch[k][:, :, PAST_FRAMES:] for k in ("change", "mouth"))
    conditions = seen(networks, batch)
    found = {}
    for time in BANDS:
        guess = networks.denoiser(*noised(batch, time), conditions)[:, :, PAST_FRAMES:]
        found[f"held_{time}"] = float((guess - true).square().mean())
    found |= judged("call", guess, true, mouth)
    wrong = seen(networks, {**batch, "speech": batch["speech"].roll(1, 0)})
    guess = networks.denoiser(*noised(batch, 1.0), wrong)[:, :, PAST_FRAMES:]
    found["call_other_like"] = likeness(guess, true, mouth)
    return {name: round(value, 4) for name, value in found.items()}


@torch.no_grad()
def judge_samples(networks: VideoNetworks, held: LatentClips, device: str) -> dict[str, float]:
    """Return how samples of held-out clips fit mouth and sound; with another clip's sound, too."""
    batch = batch_of(held, SAMPLED, device)
    true, mouth = (batch[k][:, :, PAST_FRAMES:] for k in ("change", "mouth"))
    found = judged("sample", sampled(networks, batch, seen(networks, batch)), true, mouth)
    wrong = seen(networks, {**batch, "speech": batch["speech"].roll(1, 0)})
    found["sample_other_like"] = likeness(sampled(networks, batch, wrong), true, mouth)
    return {name: round(value, 4) for name, value in found.items()}


def judged(name: str, made: Tensor, true: Tensor, mouth: Tensor) -> dict[str, float]:
    """Return the measures of ``made``, the names of which begin with ``name``."""
    new = {"far": distance(made, true, mouth), "like": likeness(made, true, mouth)}
    new["moves"] = float(made.diff(dim=2).std() / true.diff(dim=2).std().clamp(min=1e-6))
    return {f"{name}_{kind}": value for kind, value in new.items()}


def seen(networks: VideoNetworks, batch: dict[str, Tensor]) -> Conditions:
    """Return all that ``batch`` tells, the portraits looked at."""
    told_all = told(batch)
    return replace(told_all, portrait=networks.appearance(batch["reference"]))
