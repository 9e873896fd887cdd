"""The denoiser of latent video: noisy frames of one portrait to its guess of the clean frames.

Past and new frames come as one clip, each with a noise level of its own (Chen et al. 2024,
diffusion forcing, as in the motion model): past frames with none or little, new ones with the
step's. The network itself says v (Salimans and Ho 2022, appendix D), so that its guess of a frame
without noise is that frame, and the call is consistent at time 0 as it is (diffusion/consistency).

==================  ==============  ===============
parameters          ``tiny``        ``sd15``
==================  ==============  ===============
denoiser            7,317,680       1,313,600,516
of it, over time    1,339,200       453,209,280
reference network   2,554,208       859,509,568
both                9,871,888       2,173,110,084
==================  ==============  ===============

A frame of ``tiny`` (8 x 8 latents, one of 20 in a clip) takes 0.378 GFLOP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.diffusion.schedule import CosineSchedule
from visavis.errors import InputError
from visavis.video.attention import Scene
from visavis.video.blocks import Appearance, UNet, time_waves
from visavis.video.conditions import Conditions, FaceLocator, Labels, SpeechEncoder
from visavis.video.reference import ReferenceNet
from visavis.video.sizes import VideoConfig

PAST_FRAMES = 4
"""Frames of the past in front of the new ones (motion context)."""
SHORTEST, LONGEST = 2, 32
"""New frames in a clip that the networks are trained for; any number works."""


class Denoiser(nn.Module):
    """Clean latents from noisy ones, portrait, sound and wishes, all frames in one call."""

    def __init__(self, config: VideoConfig, is_checkpointed: bool = False) -> None:
        """Make the network, with weights that mean nothing yet.

        ``is_checkpointed``: layers are computed again for gradients instead of kept in memory.
        """
        super().__init__()
        self.config = config
        self.schedule = CosineSchedule()
        self.net = UNet(config, True, True, True)
        self.net.is_checkpointed = is_checkpointed
        self.speech = SpeechEncoder(config)
        self.face = FaceLocator(config)
        self.labels = Labels(config)
        heard = config.tokens * config.context
        self.summary = nn.Linear(heard, config.time) if config.has_summary else None
        width = config.widths[0]
        self.still = nn.Conv2d(config.latent, width, 3, padding=1) if config.has_still else None
        self.nobody = nn.Parameter(torch.zeros(width)) if config.has_still else None
        self.norm = nn.GroupNorm(config.groups, config.widths[0])
        self.out = nn.Conv2d(config.widths[0], config.latent, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def appearance(self, portrait: Tensor, tokens: Iterable[Tensor]) -> Appearance:
        """Return what is known of portraits whose latents are ``portrait`` (b, c, h, w).

        ``tokens`` is what ReferenceNet gave for them. It depends on nothing else and so serves all
        clips of a portrait.
        """
        pairs = zip(self.net.transformers(), tokens, strict=True)
        kept = tuple(layer.within.remember(token) for layer, token in pairs)
        if self.still is None:
            return Appearance(kept)
        return Appearance(kept, self.still(portrait.to(self.still.weight.dtype)))

    def forward(
        self, latents: Tensor, time: Tensor, conditions: Conditions, real: Tensor | None = None
    ) -> Tensor:
        """Return the guess (b, c, t, h, w) of what ``latents`` (b, c, t, h, w) are without noise.

        ``time`` (b, t) 0 clean to 1 noise; ``real`` (b, t) is False in frames that only fill a
        batch up, on which nothing depends. Latents and times are float32 even if the network is of
        half precision: inside, it converts what it is given.

        Raises:
            InputError: the latents are of a shape that the network cannot take.
        """
        self._check(latents, time)
        count, frames = latents.shape[0], latents.shape[2]
        x = latents.transpose(1, 2).flatten(0, 1).to(self.net.stem.weight.dtype)
        x = self.net.stem(x.contiguous(memory_format=torch.channels_last))
        added = self.face(conditions.face, conditions.is_known("face")) + self._still(conditions)
        added = added.expand(count, -1, *x.shape[2:])[:, None].expand(-1, frames, -1, -1, -1)
        heard = self.speech(conditions.speech, conditions.is_known("speech"), x.shape[0])
        told = self._told(time, conditions, x.dtype).flatten(0, 1)
        scene = Scene(
            told if self.summary is None else told + self.summary(heard.flatten(1)),
            heard,
            torch.ones_like(time[0], dtype=torch.float32).cumsum(0) - 1.0,  # 0, 1, … also if traced
            count,
            frames,
            conditions.is_known("portrait"),
            real,
        )
        kept = None if conditions.portrait is None else conditions.portrait.kept
        x, _ = self.net(x + added.flatten(0, 1), scene, kept)
        v = self.out(functional.silu(self.norm(x))).unflatten(0, (count, frames)).transpose(1, 2)
        level = time[:, None, :, None, None]
        v = v.to(latents.dtype)
        return self.schedule.alpha(level) * latents - self.schedule.sigma(level) * v

    def _still(self, conditions: Conditions) -> Tensor | float:
        """Return what of the portraits is added to every frame (b, c, h, w)."""
        if self.nobody is None:
            return 0.0
        nobody = self.nobody[None, :, None, None]
        if conditions.portrait is None:
            return nobody
        known, still = conditions.is_known("portrait"), conditions.portrait.still
        return (
            still if known is None else torch.where(known[:, None, None, None] > 0, still, nobody)
        )

    def _told(self, time: Tensor, conditions: Conditions, dtype: torch.dtype) -> Tensor:
        """Return what every layer is told of each frame (b, t, e)."""
        waves = time_waves(time.flatten(), self.config.widths[0]).unflatten(0, time.shape)
        return self.net.time(waves.to(dtype)) + self.labels(conditions)

    def _check(self, latents: Tensor, time: Tensor) -> None:
        """Refuse latents of another shape than the network's."""
        sizes, config = tuple(latents.shape), self.config
        is_whole = all(side % config.stride == 0 for side in sizes[3:])
        if len(sizes) != 5 or sizes[1] != config.latent or not is_whole:
            raise InputError(
                f"Latents of shape {sizes} were given; (b, {config.latent}, t, h, w) is needed, "
                f"h and w multiples of {config.stride}"
            )
        if tuple(time.shape) != (sizes[0], sizes[2]):
            raise InputError(
                f"Times of shape {tuple(time.shape)} were given for latents of shape {sizes}; "
                f"({sizes[0]}, {sizes[2]}) is needed, one for each frame"
            )


class VideoNetworks(nn.Module):
    """Reference network and denoiser: what is trained, and kept in one file, together."""

    def __init__(self, config: VideoConfig, is_checkpointed: bool = False) -> None:
        """Make both; ``is_checkpointed`` as in ``Denoiser``."""
        super().__init__()
        self.config = config
        self.reference = ReferenceNet(config)
        self.reference.net.is_checkpointed = is_checkpointed
        self.denoiser = Denoiser(config, is_checkpointed)

    def appearance(self, portrait: Tensor) -> Appearance:
        """Return what the denoiser looks up of ``portrait`` (b, c, h, w), a clean latent."""
        return self.denoiser.appearance(portrait, self.reference(portrait))

    def forward(
        self,
        latents: Tensor,
        time: Tensor,
        conditions: Conditions,
        real: Tensor | None = None,
        reference: Tensor | None = None,
    ) -> Tensor:
        """Return what the denoiser does.

        ``reference`` (b, c, h, w): latents of the portraits, looked at here instead of before, so
        that one call, as trainings on several devices need it, passes through all weights.
        """
        if reference is not None:
            conditions = replace(conditions, portrait=self.appearance(reference))
        return self.denoiser(latents, time, conditions, real)
