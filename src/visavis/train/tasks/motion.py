"""Train the denoiser of the motion space (the teacher): ``visavis train motion``.

x0-prediction under a cosine schedule; per group of values (lips, jaw, brows, lids, gaze, head)
position, velocity and acceleration; the lips' gap in centimetres of the rig; the step from the
context to the first new frame. The groups' weights adapt: see ``GroupWeights``.
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.diffusion.schedule import CosineSchedule
from visavis.motion import conditions
from visavis.motion.contact import gap_rows
from visavis.motion.layout import SIZE
from visavis.train.loop import cosine_rate, descend, follow, keep
from visavis.train.motion_data import MotionData
from visavis.train.motion_nets import PRESETS, Denoiser, export

log = logging.getLogger(__name__)

GROUPS = tuple(conditions.GROUPS)
LONGEST = 100
MOST_CONTEXT = 16
SHUT_WEIGHT = 3.0
TERMS = (("position", 1.0), ("velocity", 1.0), ("acceleration", 0.5))


@dataclass(frozen=True)
class Plan:
    """How to train; ``fixed`` is the share of the steps with windows of one length."""

    data: Path
    out: Path
    preset: str = "cpu"
    steps: int = 6000
    batch: int = 48
    rate: float = 1e-3
    seed: int = 0
    fixed: float = 0.3
    save_every: int = 250
    average: float = 0.999
    device: str = "cpu"
    workers: int = 0
    adaptive: bool = True
    resume: bool = False
    start: Path | None = None


@dataclass
class GroupWeights:
    """Adaptive weights of the groups: which part learns slower than the rest gets more.

    Ditto calls such weights decisive and leaves their formula open. Ours: after every ``period``
    steps, ``w_g = G softmax(ratio_g / temperature)`` with ``ratio_g`` the group's mean loss over
    that of the period before (dynamic weight averaging, Liu et al. 2019), each group's loss first
    divided by its own mean of the first period, so that units do not count.
    """

    period: int = 100
    temperature: float = 1.0
    weights: list[float] = field(default_factory=lambda: [1.0] * len(GROUPS))
    units: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=lambda: [0.0] * len(GROUPS))
    seen: int = 0

    def weigh(self, losses: Tensor) -> Tensor:
        """Return the weighted sum of ``losses`` (groups,) and learn from them."""
        now = losses.detach().float().cpu().tolist()
        units = self.units or [max(x, 1e-6) for x in now]
        scale = torch.tensor(
            [w / u for w, u in zip(self.weights, units, strict=True)], device=losses.device
        )
        self._count(now)
        return (losses * scale).sum() / len(GROUPS)

    def _count(self, now: list[float]) -> None:
        self.total = [a + b for a, b in zip(self.total, now, strict=True)]
        self.seen += 1
        if self.seen < self.period:
            return
        mean = [x / self.seen for x in self.total]
        if self.last:
            ratio = torch.tensor([a / b for a, b in zip(mean, self.last, strict=True)])
            self.weights = (len(GROUPS) * torch.softmax(ratio / self.temperature, 0)).tolist()
        else:
            self.units = mean
        self.last, self.total, self.seen = mean, [0.0] * len(GROUPS), 0


@cache
def lip_rows() -> Tensor:
    """Return (points, 52): the gap in cm of each pair of inner-lip points per coefficient."""
    return torch.from_numpy(gap_rows()[3:-3].copy())


@cache
def group_columns() -> list[list[int]]:
    """Return the columns of every group of GROUPS."""
    return [conditions.group(name) for name in GROUPS]


def draw_length(rng: np.random.Generator, share_done: float, fixed: float) -> int:
    """Return a window's frames: LONGEST at first, later anything (LLIA's variable length)."""
    if share_done < fixed:
        return LONGEST
    return int(np.exp(rng.uniform(np.log(6), np.log(LONGEST))))


@dataclass(frozen=True)
class Masks:
    """``given`` (b, n, 58) entries that are context or imposed, and ``level`` of their noise."""

    given: Tensor
    level: Tensor


def draw_masks(rng: np.random.Generator, count: int, frames: int) -> Masks:
    """Draw for each window its context (0 to MOST_CONTEXT frames, lightly noised) and what is
    imposed: sometimes one group throughout, or single values.
    """
    given = np.zeros((count, frames, SIZE), bool)
    level = np.zeros((count, frames, SIZE), np.float32)
    for b in range(count):
        context = int(rng.integers(0, min(MOST_CONTEXT, frames - 2) + 1))
        if rng.random() < 0.2:
            context = 0
        given[b, :context] = True
        level[b, :context] = rng.uniform(0.0, 0.12)
        if rng.random() < 0.2:
            columns = group_columns()[int(rng.integers(len(GROUPS)))]
            if rng.random() < 0.4:
                columns = list(rng.choice(SIZE, int(rng.integers(1, 6)), replace=False))
            given[b, :, columns] = True
            level[b, :, columns] = 0.0
    return Masks(torch.from_numpy(given), torch.from_numpy(level))


def noisy(
    clean: Tensor, known: Tensor, masks: Masks, time: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return network input ``motion`` and ``level`` for normalised ``clean`` (b, n, 58).

    Free entries have noise of ``time`` (b, 1, 1), given ones their own, unknown ones are noise.
    """
    known = known[:, None].expand_as(clean)
    level = torch.where(masks.given, masks.level, time.expand_as(clean))
    level = torch.where(known, level, torch.ones_like(level))
    return CosineSchedule().add_noise(clean, noise, level), level


def group_losses(
    guess: Tensor, clean: Tensor, free: Tensor, units: tuple[Tensor, Tensor]
) -> Tensor:
    """Return the loss of every group (groups,) on normalised motion; ``free`` (b, n, 58) counts.

    Each is the sum of position, velocity and acceleration terms; jaw and lips also carry the lips'
    gap. Differences across the border to the context are included. ``units`` are the mean and the
    standard deviation (58,) of the motion.
    """
    off = (guess - clean) * free
    parts = []
    for order, (_, weight) in enumerate(TERMS):
        known = free
        for _ in range(order):
            known = torch.maximum(known[:, 1:], known[:, :-1])
        error = (torch.diff(off, n=order, dim=1) if order else off).square() * known
        amount = known.sum((0, 1))
        parts.append(weight * error.sum((0, 1)) / amount.clamp(min=1))
    each = torch.stack(parts).sum(0)
    losses = [each[columns].mean() for columns in group_columns()]
    losses[GROUPS.index("lips")] = losses[GROUPS.index("lips")] + lip_loss(off, clean, units)
    return torch.stack(losses)


def lip_loss(off: Tensor, clean: Tensor, units: tuple[Tensor, Tensor]) -> Tensor:
    """Return the error of the lips' gap, in units of 0.2 cm, SHUT_WEIGHT-fold where lips meet."""
    mean, std = (x[:52] for x in units)
    rows = lip_rows().to(off)
    error = (off[..., :52] * std) @ rows.T / 0.2
    gap = (clean[..., :52] * std + mean) @ rows.T
    weight = 1 + (SHUT_WEIGHT - 1) * (gap < 0.04).to(off)
    steps = torch.diff(error, dim=1).square().mean()
    return (weight * error.square()).mean() + 0.5 * steps


@dataclass
class Teacher:
    """Everything that training changes, and what it is made from."""

    net: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    weights: GroupWeights
    mean: Tensor
    std: Tensor
    step: int = 0

    def state(self) -> dict[str, Any]:
        """Return all of it as tensors, numbers and lists."""
        return {
            "net": self.net.state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "weights": vars(self.weights).copy(),
            "mean": self.mean, "std": self.std, "step": self.step,
        }  # fmt: skip


def begin(plan: Plan, data: MotionData) -> Teacher:
    """Return a fresh teacher, or the one that ``plan`` resumes or starts from."""
    torch.manual_seed(plan.seed)
    net = Denoiser(PRESETS[plan.preset]).to(plan.device)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), plan.rate, weight_decay=0.02)
    mean, std = (torch.from_numpy(x).to(plan.device) for x in data.statistics())
    teacher = Teacher(net, average, optimiser, GroupWeights(), mean, std)
    source = plan.out / "state.pt" if plan.resume else plan.start
    if source is None:
        for each in (net, average):
            each.trust_rules(teacher.std)
        return teacher
    state = torch.load(source, weights_only=True, map_location=plan.device)
    teacher.mean, teacher.std = state["mean"], state["std"]
    average.load_state_dict(state["average"])
    net.load_state_dict(state["net" if plan.resume else "average"])
    if plan.resume:
        optimiser.load_state_dict(state["optimiser"])
        teacher.weights = GroupWeights(**state["weights"])
        teacher.step = int(state["step"])
    return teacher


def rate_at(plan: Plan, step: int) -> float:
    """Return the learning rate: 200 steps up, then half a cosine down to 2 %."""
    return cosine_rate(plan.rate, step, plan.steps, rise=200, least=0.02)


class Draws(torch.utils.data.Dataset[dict[str, Tensor]]):
    """What every step of a plan learns from: a function of the seed and the step alone.

    So any number of worker processes makes the same run, and a killed one goes on exactly.
    """

    def __init__(self, plan: Plan, data: MotionData) -> None:
        """Draw from ``data`` as ``plan`` says."""
        self._plan = plan
        self._data = data

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return a batch of windows (see ``MotionData.batch``), with given, level and time."""
        plan, rng = self._plan, np.random.default_rng([self._plan.seed, step])
        frames = draw_length(rng, step / plan.steps, plan.fixed)
        count = max(8, plan.batch * 64 // max(frames, 24))
        batch = self._data.batch(rng, count, frames)
        masks = draw_masks(rng, count, frames)
        time = torch.from_numpy(draw_times(rng, count))[:, None, None]
        return {**batch, "given": masks.given, "level": masks.level, "time": time}


def drawn(plan: Plan, data: MotionData, first: int) -> Iterable[dict[str, Tensor]]:
    """Yield the draws of the steps from ``first`` on, made by ``plan.workers`` processes."""
    loader: Iterable[dict[str, Tensor]] = torch.utils.data.DataLoader(
        Draws(plan, data), batch_size=None, sampler=range(first, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    return loader


def learn(plan: Plan, teacher: Teacher, draw: dict[str, Tensor]) -> Tensor:
    """Make one step; return the groups' losses (groups,)."""
    torch.manual_seed(plan.seed * 1_000_003 + teacher.step)
    batch = {k: v.to(plan.device, non_blocking=True) for k, v in draw.items()}
    masks, time = Masks(batch["given"], batch["level"]), batch["time"]
    clean = (batch["motion"] - teacher.mean) / teacher.std
    motion, level = noisy(clean, batch["known"], masks, time, torch.randn_like(clean))
    with torch.autocast(plan.device.split(":")[0], torch.bfloat16):
        guess = teacher.net(motion, level, batch["speech"], batch["other"], batch["controls"])
    free = (~masks.given & batch["known"][:, None]).float()
    losses = group_losses(guess.float(), clean, free, (teacher.mean, teacher.std))
    loss = teacher.weights.weigh(losses) if plan.adaptive else losses.mean()
    descend(loss, teacher.net, teacher.optimiser, rate_at(plan, teacher.step))
    teacher.step += 1
    follow(teacher.average, teacher.net, min(plan.average, teacher.step / (teacher.step + 10)))
    return losses.detach()


def draw_times(rng: np.random.Generator, count: int) -> Any:
    """Return times in (0, 1] (count,): a quarter at the very start, where one step begins."""
    times = rng.uniform(0.0, 1.0, count).astype(np.float32)
    times[rng.random(count) < 0.25] = 1.0
    return times


@torch.no_grad()
def validate(net: nn.Module, teacher: Teacher, data: MotionData, device: str) -> dict[str, float]:
    """Return errors of one call from noise, in motion units, on the same windows each time."""
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    batch = {k: v.to(device) for k, v in data.batch(rng, 64, 60).items()}
    clean = (batch["motion"] - teacher.mean) / teacher.std
    nothing = torch.zeros_like(clean, dtype=torch.bool)
    masks = Masks(nothing, torch.zeros_like(clean))
    time = torch.ones(len(clean), 1, 1, device=device)
    motion, level = noisy(clean, batch["known"], masks, time, torch.randn_like(clean))
    guess = net(motion, level, batch["speech"], batch["other"], batch["controls"])
    free = batch["known"][:, None].expand_as(clean).float()
    losses = group_losses(guess, clean, free, (teacher.mean, teacher.std))
    found = {f"{k}": round(float(v), 4) for k, v in zip(GROUPS, losses, strict=True)}
    rows = lip_rows().to(guess)
    made = ((guess * teacher.std + teacher.mean)[..., :52] @ rows.T).clamp(min=0)[..., 2]
    true = (batch["motion"][..., :52] @ rows.T).clamp(min=0)[..., 2]
    heard = batch["controls"][..., conditions.HAS_SPEECH] > 0
    shut = (true < 0.04) & heard
    found["gap_cm"] = round(float((made - true).abs()[heard].mean()), 4)
    found["shut_gap_cm"] = round(float(made[shut].mean()), 4)
    return found


def save(plan: Plan, teacher: Teacher, row: dict[str, float]) -> None:
    """Write state, log line and the ONNX file."""
    keep(plan.out, teacher.state(), row)
    mean, std = teacher.mean.cpu().numpy(), teacher.std.cpu().numpy()
    export(teacher.average, mean, std, plan.out / "model.onnx")


def run(plan: Plan) -> None:
    """Train to the end of ``plan``; `out` gets state.pt, model.onnx and log.jsonl."""
    if plan.device == "cpu":
        torch.set_num_threads(1)
    plan.out.mkdir(parents=True, exist_ok=True)
    data, judged = MotionData(plan.data), MotionData(plan.data, "validation")
    teacher = begin(plan, data)
    since: list[Tensor] = []
    for draw in drawn(plan, data, teacher.step):
        since.append(learn(plan, teacher, draw).cpu())
        if teacher.step % plan.save_every == 0 or teacher.step == plan.steps:
            found = validate(teacher.average, teacher, judged, plan.device)
            mean = torch.stack(since).mean(0).tolist()
            learnt = {f"train_{k}": round(v, 4) for k, v in zip(GROUPS, mean, strict=True)}
            save(plan, teacher, {"step": teacher.step, **learnt, **found})
            since.clear()


def arguments() -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train motion", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="made by train.motion_data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    for name, value in (("steps", 6000), ("batch", 48), ("seed", 0), ("workers", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--fixed", type=float, default=0.3)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--even", dest="adaptive", action="store_false", help="equal group weights")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state.pt whose averaged weights to start from")
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
