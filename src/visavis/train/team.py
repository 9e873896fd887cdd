"""Training on one device, or on several by ``accelerate`` (DDP, or FSDP if its config says so).

``accelerate launch [--config_file FILE] -m visavis.train.tasks.NAME …`` starts a process for each
device; they find each other here. Averaged weights are kept in the same pieces as the trained ones,
so that no device ever holds more than its share; they are put together when they are saved.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from visavis.errors import InputError, MissingExtra

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Team:
    """The processes that train one network together; this one has number ``rank``."""

    def __init__(self, accelerator: Any) -> None:
        """Make it of an ``accelerate.Accelerator``."""
        self._accelerator = accelerator
        self._average: list[Tensor] = []
        self.rank: int = accelerator.process_index
        self.device = str(accelerator.device)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that judges and writes."""
        return self.rank == 0

    def join(
        self, net: nn.Module, optimiser: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return both as the team shares them; what ``net`` is now is what its average begins as.

        All weights are to be used by calls of ``net`` itself.
        """
        net, optimiser = self._accelerator.prepare(net, optimiser)
        self._average = [p.detach().clone() for p in net.parameters()]
        return net, optimiser

    def descend(
        self, loss: Tensor, net: nn.Module, optimiser: torch.optim.Optimizer, rate: float
    ) -> None:
        """Do as ``loop.descend`` with the gradients of all."""
        optimiser.zero_grad()
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(net.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()

    @torch.no_grad()
    def follow(self, net: nn.Module, keep: float) -> None:
        """Move the averaged weights towards those of ``net``."""
        for slow, fast in zip(self._average, net.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    @torch.no_grad()
    def gather(self, net: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Return "net", "average" and "optimiser", whole, on the CPU; empty but for the first."""
        found = {
            "net": get_model_state_dict(net, options=_WHOLE),
            "optimiser": get_optimizer_state_dict(net, _plain(optimiser), options=_WHOLE),
        }
        self._swap(net)
        found["average"] = get_model_state_dict(net, options=_WHOLE)
        found["average"] = {key: value.clone() for key, value in found["average"].items()}
        self._swap(net)
        return found

    def _swap(self, net: nn.Module) -> None:
        """Exchange the weights of ``net`` and their averages."""
        for slow, fast in zip(self._average, net.parameters(), strict=True):
            kept = fast.detach().clone()
            fast.copy_(slow)
            slow.copy_(kept)

    def agree(self, is_over: bool) -> bool:
        """Return whether it is over for any of them; each is to ask at the same step."""
        flag = torch.tensor(float(is_over), device=self.device)
        return float(self._accelerator.reduce(flag, reduction="sum")) > 0

    def wait(self) -> None:
        """Return when all have come here."""
        self._accelerator.wait_for_everyone()


def restore(net: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give ``net`` and ``optimiser`` their parts of ``state``, kept by a team or by one alone."""
    if any(isinstance(key, int) for key in state["optimiser"]["state"]):
        set_model_state_dict(net, state["net"], options=_WHOLE)
        _plain(optimiser).load_state_dict(state["optimiser"])
    else:
        set_model_state_dict(net, state["net"], options=_WHOLE)
        set_optimizer_state_dict(net, _plain(optimiser), state["optimiser"], options=_WHOLE)


def _plain(optimiser: Any) -> torch.optim.Optimizer:
    """Return the optimiser inside what ``accelerate`` makes of it."""
    inner: torch.optim.Optimizer = getattr(optimiser, "optimizer", optimiser)
    return inner


def found_team() -> Team | None:
    """Return the team that this process was launched into; None: it trains alone.

    Raises:
        MissingExtra: there is one, but no ``accelerate``.
        InputError: ``accelerate`` does not bring its processes together.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 and "ACCELERATE_USE_FSDP" not in os.environ:
        return None
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError as error:
        raise MissingExtra(
            f"This is one of {count} processes, and training on several devices needs accelerate: "
            "pip install accelerate"
        ) from error
    # what is known of everything in a batch leaves the weights for "not known" without gradients
    accelerator = Accelerator(
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    if accelerator.num_processes != count:
        raise InputError(
            f"accelerate started {count} processes that know nothing of each other. FSDP needs "
            "GPUs; on CPUs use: accelerate launch --cpu --num_processes N"
        )
    return Team(accelerator)
