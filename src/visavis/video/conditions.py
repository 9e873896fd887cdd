"""What the denoiser is told of a clip beside its latents, and the layers that take it in.

Every condition can be left out, for guidance (Ho and Salimans 2021): in its place comes what the
network has learnt for "not known". Shapes: ``b`` clips of ``t`` frames, ``k`` tokens of speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from visavis.video.blocks import Appearance
from visavis.video.sizes import EMOTIONS, PHASES, VideoConfig

UNKNOWN_PHASE, UNKNOWN_EMOTION = PHASES, EMOTIONS
KNOWN = ("portrait", "speech", "face")
"""Columns of ``Conditions.known``; the labels have a number for "not known" of their own."""


@dataclass(frozen=True)
class Conditions:
    """What is known of b clips of t frames; None: not known of any of them.

    ``portrait`` from ``Denoiser.appearance``, of b portraits or one for all; ``speech``
    (b, t, k, 196) from ``inputs.speech_tokens``; ``phase`` and ``emotion`` (b, t) whole numbers,
    the order of ``types.Phase`` and ``motion.controls.EMOTIONS``, the number after the last one
    when not known; ``face`` (b, 1, h, w) 1 where the face may be, at the latents' resolution;
    ``known`` (b, 3) is 0 where the one of ``KNOWN`` is given but to be passed over.
    """

    portrait: Appearance | None = None
    speech: Tensor | None = None
    phase: Tensor | None = None
    emotion: Tensor | None = None
    face: Tensor | None = None
    known: Tensor | None = None

    def without(self, *names: str) -> Conditions:
        """Return these without those named, as guidance needs them."""
        kept = {field.name for field in fields(self)} - {"known"}
        if not kept.issuperset(names):
            raise ValueError(f"{names} was to be left out; there are {', '.join(sorted(kept))}")
        return replace(self, **dict.fromkeys(names))

    def dropped(
        self, chances: Mapping[str, float], generator: torch.Generator | None = None
    ) -> Conditions:
        """Return these, each condition passed over in some clips, as training needs them.

        ``chances`` by name; what it does not name stays. ``generator`` is one of the CPU.
        """
        given = (self.speech, self.phase, self.emotion, self.face)
        shown = next((value for value in given if value is not None), None)
        if shown is None:
            raise ValueError("without a tensor of clips there is nothing to drop clip by clip")
        drawn = torch.rand(len(shown), 5, generator=generator).to(shown.device)
        order = (*KNOWN, "phase", "emotion")
        stays = drawn >= torch.tensor([chances.get(n, 0.0) for n in order], device=shown.device)
        known = stays[:, :3].float()
        labels = {}
        for column, name, unknown in ((3, "phase", UNKNOWN_PHASE), (4, "emotion", UNKNOWN_EMOTION)):
            label = getattr(self, name)
            if label is not None:
                labels[name] = torch.where(stays[:, column, None], label, unknown)
        return replace(self, known=known if self.known is None else known * self.known, **labels)

    def is_known(self, name: str) -> Tensor | None:
        """Return the column (b,) of ``known`` for ``name``; None: wherever it is given."""
        return None if self.known is None else self.known[:, KNOWN.index(name)]


class SpeechEncoder(nn.Module):
    """Tokens of speech as the layers attend to them."""

    def __init__(self, config: VideoConfig) -> None:
        """Make the layers and what stands for unknown sound."""
        super().__init__()
        self.enter = nn.Linear(config.speech, config.context)
        self.place = nn.Parameter(0.02 * torch.randn(config.tokens, config.context))
        self.leave = nn.Linear(config.context, config.context)
        self.norm = nn.LayerNorm(config.context)
        self.nothing = nn.Parameter(0.02 * torch.randn(config.context))

    def forward(self, speech: Tensor | None, known: Tensor | None, frames: int) -> Tensor:
        """Return the context (n, k, c) for ``speech`` (b, t, k, d), ``known`` (b,) or everywhere.

        Without speech n is ``frames``.
        """
        if speech is None:
            return self.nothing.expand(frames, len(self.place), -1)
        near = nn.functional.silu(self.enter(speech.to(self.place.dtype)) + self.place)
        tokens = self.norm(self.leave(near))
        if known is not None:
            tokens = torch.where(known[:, None, None, None] > 0, tokens, self.nothing)
        return tokens.flatten(0, 1)


class FaceLocator(nn.Module):
    """Where the face may be, as features to be added to the latents'."""

    def __init__(self, config: VideoConfig) -> None:
        """Make the layers; they add nothing before they are trained."""
        super().__init__()
        width = config.widths[0]
        self.enter = nn.Conv2d(1, config.groups, 3, padding=1)
        self.leave = nn.Conv2d(config.groups, width, 3, padding=1)
        self.nowhere = nn.Parameter(torch.zeros(width))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, face: Tensor | None, known: Tensor | None) -> Tensor:
        """Return features (b, c, h, w) for ``face`` (b, 1, h, w), ``known`` (b,) or everywhere.

        Without a face (1, c, 1, 1).
        """
        nowhere = self.nowhere[None, :, None, None]
        if face is None:
            return nowhere
        where = self.leave(nn.functional.silu(self.enter(face.to(nowhere.dtype))))
        if known is None:
            return where
        return torch.where(known[:, None, None, None] > 0, where, nowhere)


class Labels(nn.Module):
    """Phase and emotion as something to be added to what is told of the noise."""

    def __init__(self, config: VideoConfig) -> None:
        """Make both tables, with a row for "not known"."""
        super().__init__()
        self.phase = nn.Embedding(PHASES + 1, config.time)
        self.emotion = nn.Embedding(EMOTIONS + 1, config.time)
        for table in (self.phase, self.emotion):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, conditions: Conditions) -> Tensor:
        """Return (b, t, e), or (e,) where no label is given."""
        phase, emotion = conditions.phase, conditions.emotion
        first = self.phase.weight[UNKNOWN_PHASE] if phase is None else self.phase(phase)
        second = self.emotion.weight[UNKNOWN_EMOTION] if emotion is None else self.emotion(emotion)
        return first + second
