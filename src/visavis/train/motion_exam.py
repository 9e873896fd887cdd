"""How well one call of a motion student answers, beside its teacher in 50 and in 10 steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from visavis.diffusion.guidance import guide
from visavis.diffusion.samplers import sample_ddim, spaced_times
from visavis.diffusion.schedule import CosineSchedule
from visavis.motion import conditions
from visavis.motion.layout import INDEX
from visavis.train.motion_data import MotionData

Guess = Callable[[Tensor, Tensor], Tensor]
Facts = dict[str, Tensor]
"""``known`` (b, 58), and ``speech``, ``other``, ``controls`` (b, n, …) as networks take them."""

SCHEDULE = CosineSchedule()
SEEDS, FRAMES = 4, 60
MOUTH = sorted(conditions.group("jaw") + conditions.group("lips"))
MANY, FEW = 50, 10
SHUT_CM = 0.04
"""Lips that are nearer than this in the clip should meet."""


@dataclass(frozen=True)
class Exam:
    """Held-out windows, each SEEDS times over: ``true`` and the ``noise`` to start from
    (SEEDS * b, n, 58), normalised by ``mean`` and ``std`` (58,); ``gaps`` (points, 52) the cm by
    which each coefficient parts the lips; what the teacher makes of it in MANY and in FEW steps.
    """

    true: Tensor
    facts: Facts
    noise: Tensor
    mean: Tensor
    std: Tensor
    gaps: Tensor
    many: Tensor
    few: Tensor


def speaker(net: nn.Module, facts: Facts) -> Guess:
    """Return ``net`` as a function of motion and level alone, computing in bfloat16."""

    def guess(motion: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(motion.device.type, torch.bfloat16):
            rows = (facts["speech"], facts["other"], facts["controls"])
            clean: Tensor = net(motion, level.expand_as(motion), *rows)
        return clean.float()

    return guess


def guided(net: nn.Module, facts: Facts, weights: tuple[float, float]) -> Guess:
    """Return ``net`` with guidance folded in; ``weights`` for the sound and for the wishes.

    Up to three guesses in one batch: nothing known, sound only, all. A first weight of 1 makes what
    is before it count for nothing, so it is not asked; weights (1, 1) are the network itself.
    """
    controls, sound = facts["controls"], slice(conditions.HAS_SPEECH, conditions.HAS_SPEECH + 1)
    deaf, heard = torch.zeros_like(controls), torch.zeros_like(controls)
    heard[..., sound] = controls[..., sound]
    asked, spoken = [deaf, heard, controls], [facts["speech"] * 0.0, *[facts["speech"]] * 2]
    first = next((i for i, weight in enumerate(weights) if weight != 1.0), len(weights))
    count = len(asked) - first
    together = speaker(
        net,
        {
            "speech": torch.cat(spoken[first:]),
            "other": torch.cat([facts["other"]] * count),
            "controls": torch.cat(asked[first:]),
        },
    )

    def guess(motion: Tensor, level: Tensor) -> Tensor:
        many = together(torch.cat([motion] * count), torch.cat([level.expand_as(motion)] * count))
        before, *more = many.chunk(count)
        return guide(before, more, weights[first:])

    return guess


@torch.no_grad()
def set_exam(
    teacher: nn.Module,
    data: MotionData,
    units: tuple[Tensor, Tensor, Tensor],
    weights: tuple[float, float],
    count: int = 24,
) -> Exam:
    """Return ``count`` windows of ``data`` without context; ``units`` are mean, std
    and gaps of the exam."""
    mean, std, _ = units
    batch = data.batch(np.random.default_rng(1), count, FRAMES)
    facts = {k: torch.cat([v] * SEEDS).to(mean.device) for k, v in batch.items()}
    true = (facts.pop("motion") - mean) / std
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(1)).to(true)
    teach = guided(teacher, facts, weights)
    many, few = (
        sample_ddim(teach, noise, [torch.full_like(noise, t) for t in spaced_times(n)], SCHEDULE)
        for n in (MANY, FEW)
    )
    return Exam(true, facts, noise, *units, many, few)


@torch.no_grad()
def take(net: nn.Module, exam: Exam) -> dict[str, float]:
    """Return the marks of ``net`` in one call, of the teacher in FEW and in MANY.

    ``path_*`` mean distance to MANY steps from the same noise; ``gap_*`` error in cm of the lips'
    gap, ``shut_*`` the gap where it should be none, ``speed_*`` error of the mouth's velocity (all
    against the clips); ``seeds_*`` spread between seeds and ``moves_*`` mean velocity, both of the
    whole face, normalised.
    """
    one = speaker(net, exam.facts)(exam.noise, torch.ones_like(exam.noise))
    made = {"one": one, "few": exam.few, "many": exam.many}
    marks = {
        f"{mark}_{name}": round(value, 4)
        for name, motion in made.items()
        for mark, value in _marks(motion, exam).items()
    }
    return {name: value for name, value in marks.items() if name != "path_many"}


def _marks(made: Tensor, exam: Exam) -> dict[str, float]:
    """Return the marks of ``take`` for motion ``made`` (SEEDS * b, n, 58)."""
    known, controls = exam.facts["known"], exam.facts["controls"]
    gap, wanted = (_gaps(motion, exam) for motion in (made, exam.true))
    heard = (controls[..., conditions.HAS_SPEECH] > 0) & known[:, None, INDEX["jawOpen"]]
    middle = gap.shape[-1] // 2
    shut = (wanted[..., middle] < SHUT_CM) & heard
    lag = torch.diff(made - exam.true, dim=1)[..., MOUTH].abs()
    by_seed = made.reshape(SEEDS, -1, *made.shape[1:])
    return {
        "path": float((made - exam.many).abs().mean()),
        "gap": float((gap - wanted).abs()[heard].mean()),
        "shut": float(gap[..., middle][shut].mean()),
        "speed": float(lag[known[:, None, MOUTH].expand_as(lag)].mean()),
        "seeds": float(by_seed.std(0).mean()),
        "moves": float(torch.diff(made, dim=1).abs().mean()),
    }


def _gaps(motion: Tensor, exam: Exam) -> Tensor:
    """Return the gaps of the inner lips in cm (b, n, points) of normalised ``motion``."""
    coefficients = (motion * exam.std + exam.mean)[..., :52].clamp(0, 1)
    return (coefficients @ exam.gaps.T).clamp(min=0)
