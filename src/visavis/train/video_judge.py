"""The avatar discriminator: it looks at clips of latents through the frozen base network.

OSA-LCM (Guo et al. 2024) judges one-step portrait videos by two kinds of heads, for how
expressively it moves and for whether lips and sound agree; of what they are made is not public.
Ours sit on the way down of the base model's U-Net (as Sauer et al. 2024, "Fast high-resolution
image synthesis with latent adversarial diffusion distillation", do for pictures): temporal heads
read what its attentions over time put out, audio heads what its attentions to the sound did. The
clips are made noisy before they are looked at. Everything is told to the base network that was told
to the student; audio heads are also shown true frames with other sound.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visavis.train.discriminator import mismatched
from visavis.video.attention import SpatialTransformer
from visavis.video.conditions import Conditions
from visavis.video.denoiser import VideoNetworks
from visavis.video.rolling import SCHEDULE
from visavis.video.temporal import TemporalBlock

JITTER, STEEP = 0.05, 0.05
"""Deviation of the noise that measures how steep the judge is at true clips, and its weight."""
LEAST, MOST = 0.05, 0.6
"""Times of the noise through which new frames are looked at."""
PAST = 0.05
"""The time of that on past frames."""

Features = list[Tensor]
"""One (b, t, l, c) for each attention: t frames, l places."""


@dataclass(frozen=True)
class Scores:
    """What each head says of the new frames, high for true: ``temporal`` (b, n, l) of every place,
    ``audio`` (b, n, 1) of every frame.
    """

    temporal: list[Tensor]
    audio: list[Tensor]


@dataclass(frozen=True)
class View:
    """Through what clips are looked at: ``told`` to the base network, its own portrait in it;
    ``time`` (b, t) of the ``noise`` (b, c, t, h, w); ``past`` frames before the new ones; ``heard``
    (b,) False where the sound is not known.
    """

    told: Conditions
    time: Tensor
    noise: Tensor
    past: int
    heard: Tensor

    @staticmethod
    def drawn(like: Tensor, told: Conditions, past: int, heard: Tensor) -> View:
        """Return a view of clips like ``like`` (b, c, t, h, w) through fresh noise."""
        count, frames = like.shape[0], like.shape[2]
        new = LEAST + (MOST - LEAST) * torch.rand(count, 1, device=like.device)
        time = torch.cat([torch.full_like(new, PAST).expand(-1, past),
                          new.expand(-1, frames - past)], 1)  # fmt: skip
        return View(told, time, torch.randn_like(like), past, heard)


class _Silent(nn.Module):
    """Stands where a network goes on that is only watched."""

    def forward(self, x: Tensor) -> Tensor:
        """Return one zero for each of ``x`` (n, …)."""
        return x.new_zeros(len(x), 1, 1, 1)


class Eye:
    """The denoiser's way down, with the weights of ``networks``, and what its attentions see."""

    def __init__(self, networks: VideoNetworks) -> None:
        """Watch ``networks``; their weights are shared, not copied."""
        whole = networks.denoiser
        shared = {id(value): value for value in (*whole.parameters(), *whole.buffers())}
        self._net = copy.deepcopy(whole, shared)
        self._net.net.is_checkpointed = False  # layers would be seen twice
        self._net.net.ups = nn.ModuleList()
        self._net.norm, self._net.out = nn.Identity(), _Silent()
        self._moved: Features = []
        self._heard: Features = []
        self._sound: Features = []
        self.widths: tuple[list[int], list[int]] = [], []
        """Channels of what is seen: of movement, and of sound."""
        for module in self._net.net.modules():
            if isinstance(module, TemporalBlock):
                module.norm_feed.register_forward_hook(_noted(self._moved))
                self.widths[0].append(module.norm_feed.normalized_shape[0])
            elif isinstance(module, SpatialTransformer):
                module.norm_feed.register_forward_hook(_noted(self._heard))
                module.across.register_forward_hook(_noted(self._sound))
                self.widths[1].append(2 * module.norm_feed.normalized_shape[0])

    def __call__(self, frames: Tensor, view: View) -> tuple[Features, Features]:
        """Return what is seen of clean ``frames`` (b, c, t, h, w): of movement, and of sound.

        The second is what attention found in the sound beside what had looked for it.
        """
        for seen in (self._moved, self._heard, self._sound):
            seen.clear()
        count, length = view.time.shape
        noisy = SCHEDULE.add_noise(frames, view.noise, view.time[:, None, :, None, None])
        with torch.autocast(frames.device.type, torch.bfloat16):
            self._net(noisy, view.time, view.told)
        moved = [x.float().unflatten(0, (count, -1)).transpose(1, 2) for x in self._moved]
        sound = [nn.functional.layer_norm(x.float(), x.shape[-1:]) for x in self._sound]
        heard = [torch.cat(p, -1) for p in zip(sound, map(Tensor.float, self._heard), strict=True)]
        return moved, [x.unflatten(0, (count, length)) for x in heard]


def _noted(seen: Features) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """Return a hook that puts what a module gives into ``seen``."""

    def hook(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append(out)

    return hook


class Head(nn.Module):
    """Scores of one attention's output."""

    def __init__(self, channels: int, width: int, is_gathered: bool) -> None:
        """Make a head; if ``is_gathered`` it finds out which places matter, and scores frames."""
        super().__init__()
        self.enter = nn.Linear(channels, width)
        self.where = nn.Linear(channels, 1) if is_gathered else None
        self.along = nn.Conv1d(width, width, 3, padding=1)
        self.score = nn.Linear(width, 1)

    def forward(self, seen: Tensor) -> Tensor:
        """Return scores (b, t, l), or (b, t, 1) if gathered, of ``seen`` (b, t, l, c)."""
        x = nn.functional.leaky_relu(self.enter(seen), 0.2)
        if self.where is not None:
            x = (self.where(seen).softmax(2) * x).sum(2, keepdim=True)
        rows = x.permute(0, 2, 3, 1)  # (b, l, width, t)
        moves = self.along(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])
        x = 0.7 * (rows + moves).permute(0, 3, 1, 2)
        return self.score(nn.functional.leaky_relu(x, 0.2))[..., 0]


class VideoJudge(nn.Module):
    """Heads on what an ``Eye`` sees; all that is trained of the discriminator."""

    def __init__(self, widths: tuple[Sequence[int], Sequence[int]], width: int = 64) -> None:
        """Make heads for the ``widths`` of an eye."""
        super().__init__()
        self.temporal = nn.ModuleList(Head(c, width, False) for c in widths[0])
        self.audio = nn.ModuleList(Head(c, width, True) for c in widths[1])

    def forward(self, seen: tuple[Features, Features], past: int) -> Scores:
        """Return the scores of the frames after the first ``past`` ones."""
        groups = [
            [head(x)[:, past:] for head, x in zip(heads, features, strict=True)]
            for heads, features in zip((self.temporal, self.audio), seen, strict=True)
        ]
        return Scores(*groups)


def judge_loss(
    judge: VideoJudge, eye: Eye, clips: tuple[Tensor, Tensor], view: View, rng: np.random.Generator
) -> Tensor:
    """Return what the judge learns from: hinges on true, made and wrongly dubbed ``clips``.

    ``clips`` are the true and the made one (b, c, t, h, w). The last term keeps the judge from
    being steep at true clips (R1 of Mescheder et al. 2018, by finite differences as in Lin et al.
    2025, APT).
    """
    real, fake = clips
    near = real + JITTER * torch.randn_like(real)
    lie, audible = dubbed(view, rng)
    with torch.no_grad():
        seen = [eye(*pair) for pair in ((real, view), (near, view), (fake, view), (real, lie))]
    true, beside, made, wrong = (judge(each, view.past) for each in seen)
    heard = view.heard.float()[:, None]
    steep = _mean(zip(true.temporal, beside.temporal, strict=True), _apart)
    steep = steep + _mean(zip(true.audio, beside.audio, strict=True), _apart, heard)
    return (
        _mean(true.temporal, _low) + _mean(made.temporal, _high)
        + _mean(true.audio, _low, heard) + 0.5 * _mean(made.audio, _high, heard)
        + 0.5 * _mean(wrong.audio, _high, audible) + STEEP / JITTER**2 * steep
    )  # fmt: skip


def student_loss(judge: VideoJudge, eye: Eye, made: Tensor, view: View) -> Tensor:
    """Return what the student learns from the scores of what it ``made`` (b, c, t, h, w)."""
    scores = judge(eye(made, view), view.past)
    heard = view.heard.float()[:, None]
    return _mean(scores.temporal, torch.neg) + _mean(scores.audio, torch.neg, heard)


def dubbed(view: View, rng: np.random.Generator) -> tuple[View, Tensor]:
    """Return ``view`` with sound that belongs to other frames, and in which new ones (b, n) that
    can be heard.
    """
    speech = view.told.speech
    assert speech is not None
    wrong, audible = mismatched(speech.flatten(2), rng)
    told = replace(view.told, speech=wrong.unflatten(2, speech.shape[2:]))
    return replace(view, told=told), (audible & view.heard[:, None]).float()[:, view.past :]


def _low(scores: Tensor) -> Tensor:
    return nn.functional.relu(1 - scores)


def _high(scores: Tensor) -> Tensor:
    return nn.functional.relu(1 + scores)


def _apart(pair: tuple[Tensor, Tensor]) -> Tensor:
    return (pair[0] - pair[1]).square()


def _mean(
    heads: Iterable[Any], loss: Callable[[Any], Tensor], weight: Tensor | None = None
) -> Tensor:
    """Return the mean over ``heads`` of ``loss`` of each, over frames by ``weight`` (b, n or 1)."""
    found = []
    for scores in heads:
        values = loss(scores).mean(-1)
        if weight is None:
            found.append(values.mean())
        else:
            shares = weight.expand_as(values)
            found.append((values * shares).sum() / shares.sum().clamp(min=1.0))
    return torch.stack(found).mean()
