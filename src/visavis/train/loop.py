"""The one training loop: AdamW, warm-up and cosine, moving average of the weights, resume.

A task gives `build`, `batch`, `loss`, `validate` and `export`; `run` does the rest. The exported
ONNX file is written at every save, so a run can be stopped at any time and used.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from visavis.train.renderer_nets import PatchJudge

log = logging.getLogger(__name__)

Net = TypeVar("Net", bound=nn.Module)


@dataclass
class Judged(Generic[Net]):
    """Everything that a training with a judge changes: networks, optimisers, steps so far."""

    net: Net
    average: Net
    judge: PatchJudge
    optimiser: torch.optim.Optimizer
    judging: torch.optim.Optimizer
    step: int = 0

    def parts(self) -> dict[str, Any]:
        """Return what has a state of its own."""
        names = ("net", "average", "judge", "optimiser", "judging")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {**{n: p.state_dict() for n, p in self.parts().items()}, "step": self.step}


class Task(Protocol):
    """What a file in tasks/ must give."""

    def build(self) -> nn.Module:
        """Return the untrained network."""
        ...

    def batch(self, rng: np.random.Generator, count: int) -> dict[str, Tensor]:
        """Return a training batch."""
        ...

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss, a scalar."""
        ...

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return named numbers on the held-out split."""
        ...

    def export(self, net: nn.Module, path: Path) -> None:
        """Write the network as ONNX."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and how hard to train."""

    out: Path
    steps: int
    seed: int = 0
    batch_size: int = 64
    rate: float = 2e-3
    save_every: int = 300
    average: float = 0.998
    resume: bool = False
    start: Path | None = None


def cosine_rate(rate: float, step: int, steps: int, rise: int, least: float) -> float:
    """Return the learning rate of ``step``: ``rise`` steps up to ``rate``, then half a cosine down
    to the share ``least`` of it at ``steps``.
    """
    share = min(1.0, max(0, step - rise) / max(1, steps - rise))
    fall = least + (1 - least) * 0.5 * (1 + math.cos(math.pi * share))
    return rate * min(1.0, (step + 1) / rise) * fall


def rate_at(plan: Plan, step: int) -> float:
    """Return the learning rate of ``step``: 200 steps up, then half a cosine down to 1 %."""
    return cosine_rate(plan.rate, step, plan.steps, rise=200, least=0.01)


def descend(loss: Tensor, net: nn.Module, optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Make one step of ``optimiser`` down ``loss`` at ``rate``, gradients limited to norm 1."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each loss over those of ``rows`` that have it, to four places."""
    names = sorted({name for row in rows for name in row})
    return {n: round(float(np.mean([r[n] for r in rows if n in r])), 4) for n in names}


def keep(out: Path, state: dict[str, Any], row: dict[str, Any]) -> None:
    """Write ``state`` to state.pt in ``out``, whole or not at all; append ``row`` to log.jsonl."""
    torch.save(state, out / "state.tmp")
    (out / "state.tmp").replace(out / "state.pt")
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)


def run(task: Task, plan: Plan) -> None:
    """Train ``task`` to the end of ``plan``; `out` gets state.pt, model.onnx and log.jsonl."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    plan.out.mkdir(parents=True, exist_ok=True)
    net = task.build().to(memory_format=torch.channels_last)
    if plan.start:
        net.load_state_dict(torch.load(plan.start, weights_only=True)["average"], strict=False)
    average = copy.deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), plan.rate, weight_decay=0.02)
    first = 0
    if plan.resume:
        state = torch.load(plan.out / "state.pt", weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        first = int(state["step"])
    total = 0.0
    for step in range(first, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(plan, step)
        rng = np.random.default_rng((plan.seed, step))
        net.train()
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.loss(net, task.batch(rng, plan.batch_size))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        follow(average, net, min(plan.average, (step + 1) / (step + 10)))
        total += loss.item()
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            _save(task, plan, (net, average, optimiser), step + 1, total / plan.save_every)
            total = 0.0


def follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    """Move the averaged weights towards the trained ones; copy the batch statistics alike."""
    with torch.no_grad():
        pairs = zip(average.state_dict().values(), net.state_dict().values(), strict=True)
        for slow, fast in pairs:
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1 - keep)
            else:
                slow.copy_(fast)


def _save(task: Task, plan: Plan, parts: Any, step: int, loss: float) -> None:
    """Write the training state and the finished network; append the held-out numbers."""
    net, average, optimiser = parts
    state = {
        "net": net.state_dict(), "average": average.state_dict(),
        "optimiser": optimiser.state_dict(), "step": step,
    }  # fmt: skip
    keep(plan.out, state, {"step": step, "loss": round(loss, 5), **task.validate(average)})
    task.export(average, plan.out / "model.onnx")


def arguments(name: str, steps: int) -> tuple[Path, Plan]:
    """Return the data folder and the plan given on the command line of task ``name``."""
    parser = argparse.ArgumentParser(prog=f"python -m visavis.train.tasks.{name}")
    parser.add_argument("--data", type=Path, required=True, help="folder made by face_data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--start", type=Path, help="state.pt of a like network to start from")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = {k: v for k, v in vars(args).items() if k != "data"}
    return args.data, Plan(**options)


def export_onnx(
    net: nn.Module, example: Tensor, path: Path, outputs: list[str], **axes: Any
) -> None:
    """Write ``net`` as ONNX (opset 17, input "image") with weights stored in half precision."""
    import onnx

    copied = copy.deepcopy(net).eval().float()
    torch.onnx.export(
        copied, (example,), str(path), input_names=["image"], output_names=outputs,
        opset_version=17, dynamo=False, **axes,
    )  # fmt: skip
    model = onnx.load(str(path))
    halve(model)
    onnx.save(model, str(path))


def halve(model: Any, bytes_from: int = 500_000) -> None:
    """Store large weights in half precision, matrices from ``bytes_from`` weights on in bytes with
    a scale per row.

    The casts are folded when the file is loaded; the network computes in float32.
    """
    from onnx import TensorProto, helper, numpy_helper

    before: list[Any] = []
    for tensor in list(model.graph.initializer):
        values, name = numpy_helper.to_array(tensor), tensor.name
        if values.dtype != np.float32 or values.size < 256:
            continue
        if values.ndim != 2 or values.size < bytes_from:
            half = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
            before.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
            tensor.CopyFrom(half)
            continue
        scale = (np.abs(values).max(1, keepdims=True) / 127).astype(np.float32) + 1e-12
        steps = np.round(values / scale).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(steps, f"{name}_steps"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        cast = helper.make_node("Cast", [tensor.name], [f"{name}_cast"], to=TensorProto.FLOAT)
        before += [cast, helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name])]
    nodes = before + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
