"""A discriminator of motion that hears the sound.

OSA-LCM (Guo et al. 2024) judges one-step portrait videos by an "avatar discriminator" with two
kinds of heads, for how expressively it moves and for whether lips and sound agree. This is that
idea in motion space, with two small trunks of 1-D convolutions instead of a frozen video network:
temporal heads see the whole motion and the wishes but no sound, audio heads see the mouth and the
sound. Every head judges every frame, from what lies within its reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from visavis.motion import conditions
from visavis.motion.layout import SIZE
from visavis.train.motion_nets import SPEECH

MOUTH = sorted(conditions.group("jaw") + conditions.group("lips"))
SHIFTS = (3, 10)
"""Least and most frames (120 to 400 ms) by which sound is moved to make it a lie."""
AUDIBLE = 0.02
"""Mean difference of two speech rows from which on they call for different lips."""
JITTER = 0.05
"""Standard deviation of the noise that measures how steep the discriminator is."""


@dataclass(frozen=True)
class Scores:
    """What the heads say of each frame, (b, n, heads), high for real: ``temporal`` of how it moves,
    ``audio`` of how it goes with the sound.
    """

    temporal: Tensor
    audio: Tensor


class Trunk(nn.Module):
    """Residual 1-D convolutions of growing dilation; a head on every second one."""

    def __init__(self, size: int, width: int, layers: int) -> None:
        """Make a trunk for rows of ``size`` values."""
        super().__init__()
        self.entry = nn.Linear(size, width)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=2**i, dilation=2**i) for i in range(layers)
        )
        self.heads = nn.ModuleList(nn.Conv1d(width, 1, 1) for _ in range(layers // 2))

    def forward(self, rows: Tensor) -> Tensor:
        """Return scores (b, n, heads) of ``rows`` (b, n, size), any n."""
        x = self.entry(rows).transpose(1, 2)
        scores = []
        for i, layer in enumerate(self.layers):
            x = 0.7 * (x + layer(nn.functional.leaky_relu(x, 0.2)))
            if i % 2:
                scores.append(self.heads[i // 2](nn.functional.leaky_relu(x, 0.2)))
        return torch.cat(scores, 1).transpose(1, 2)


class Discriminator(nn.Module):
    """Scores of motion; about 0.25 million weights at the default ``width``."""

    def __init__(self, width: int = 96, layers: int = 4) -> None:
        """Make a discriminator with random weights."""
        super().__init__()
        self.temporal = Trunk(3 * SIZE + conditions.SIZE, width, layers)
        self.audio = Trunk(3 * len(MOUTH) + SPEECH, width, layers)

    def forward(self, motion: Tensor, known: Tensor, speech: Tensor, controls: Tensor) -> Scores:
        """Judge ``motion`` (b, n, 58), normalised, of which only ``known`` (b, 58) is looked at.

        ``speech`` (b, n, 196) and ``controls`` (b, n, 25) as in motion/conditions.py; n >= 2.
        """
        seen = known[:, None].to(motion.dtype).expand_as(motion)
        still = motion * seen
        moves = nn.functional.pad(still.diff(dim=1), (0, 0, 1, 0))
        rows = torch.stack([still, 3.0 * moves, seen], -1)
        face = torch.cat([rows.flatten(2), controls], -1)
        mouth = torch.cat([rows[:, :, MOUTH].flatten(2), speech], -1)
        return Scores(self.temporal(face), self.audio(mouth))


def mismatched(speech: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return sound that belongs to other motion, and the frames (b, n) where that can be heard.

    Half of the rows get the sound of the next clip in the batch, the others their own, moved by
    SHIFTS frames either way (SyncNet's lies, Chung and Zisserman 2016) as far as it is that long.
    """
    count, frames = speech.shape[:2]
    rows = []
    for i in range(count):
        shift = int(rng.integers(SHIFTS[0], SHIFTS[1] + 1)) * (1 if rng.random() < 0.5 else -1)
        is_moved = rng.random() < 0.5 and abs(shift) < frames
        rows.append(speech[i].roll(shift, 0) if is_moved else speech[(i + 1) % count])
    wrong = torch.stack(rows)
    return wrong, (wrong - speech).abs().mean(-1) > AUDIBLE


def discriminator_loss(
    net: Discriminator,
    real: Tensor,
    fake: Tensor,
    facts: dict[str, Tensor],
    lies: tuple[Tensor, Tensor],
) -> Tensor:
    """Return what the discriminator learns from: hinges on real, made and wrongly dubbed motion.

    ``real`` and ``fake`` (b, n, 58); ``facts`` are known, speech and controls of both; ``lies`` as
    ``mismatched`` gives them. The last term keeps the discriminator from being steep at real motion
    (R1 of Mescheder et al. 2018, by finite differences as in Lin et al. 2025, APT).
    """
    known, speech, controls = facts["known"], facts["speech"], facts["controls"]
    heard = is_heard(controls)
    true = net(real, known, speech, controls)
    near = net(real + JITTER * torch.randn_like(real), known, speech, controls)
    made = net(fake.detach(), known, speech, controls)
    dubbed = net(real, known, lies[0], controls).audio
    relu = nn.functional.relu
    steep = (true.temporal - near.temporal).square().mean() + _mean(
        (true.audio - near.audio).square(), heard
    )
    return (
        relu(1 - true.temporal).mean()
        + relu(1 + made.temporal).mean()
        + _mean(relu(1 - true.audio), heard)
        + 0.5 * _mean(relu(1 + made.audio), heard)
        + 0.5 * _mean(relu(1 + dubbed), heard * lies[1])
        + 0.1 / JITTER**2 * steep
    )


def generator_loss(net: Discriminator, fake: Tensor, facts: dict[str, Tensor]) -> Tensor:
    """Return what the student learns from the discriminator's scores of ``fake`` (b, n, 58)."""
    made = net(fake, facts["known"], facts["speech"], facts["controls"])
    return -made.temporal.mean() - _mean(made.audio, is_heard(facts["controls"]))


def is_heard(controls: Tensor) -> Tensor:
    """Return 1 where a frame's sound is given, else 0: (b, n)."""
    return controls[..., conditions.HAS_SPEECH]


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of ``values`` (b, n, heads) over the frames of ``weight`` (b, n)."""
    each = values.mean(-1)
    return (each * weight).sum() / weight.sum().clamp(min=1.0)
