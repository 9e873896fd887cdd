"""What lies beside the networks of a latent model in ``latent.json``: how they are to be used."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from visavis.errors import InputError, WeightsMismatch
from visavis.motion.chunks import ChunkPlan
from visavis.video.config import FACTOR
from visavis.video.inputs import AFTER
from visavis.video.rolling import FEW, Rolling

FILE = "latent.json"
LONGEST = 32
"""New frames of the longest clips that networks are trained for."""


@dataclass(frozen=True)
class LatentSettings:
    """How a model is used: pictures of ``side`` px, changes of latents times ``ratio`` (c,).

    ``past`` frames go before each clip. ``rolling`` is how clips are drawn; they have ``first``
    frames, then ``growth`` times as many as the one before, ``longest`` at most.

    Raises:
        InputError: a number is not possible.
    """

    side: int
    ratio: tuple[float, ...]
    rolling: Rolling = Rolling()
    past: int = 4
    first: int = 4
    growth: float = 2.0
    longest: int = 16

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.side < FACTOR or self.side % FACTOR:
            raise InputError(f"side {self.side} is no multiple of {FACTOR}.")
        if not self.ratio or min(self.ratio) <= 0:
            raise InputError("ratio must hold a number above 0 for each channel of the latents.")
        if self.past < 1:
            raise InputError(f"past {self.past} is no number of frames; give 1 or more.")
        if self.longest > LONGEST:
            raise InputError(f"Clips of {self.longest} frames are too long; {LONGEST} at most.")
        self.plan()

    @property
    def cells(self) -> int:
        """Cells of a picture's latents along each side."""
        return self.side // FACTOR

    def plan(self, is_live: bool = False) -> ChunkPlan:
        """Return how clips grow; those of sound as it is spoken (``is_live``) stay short."""
        growth = 1.0 if is_live else self.growth
        return ChunkPlan(self.first, growth, self.longest, ahead=AFTER, context=0)

    def stepped(self, steps: int | None) -> LatentSettings:
        """Return these for ``steps`` calls of the denoiser for each clip; None: as they are.

        Raises:
            InputError: the networks cannot be used like that.
        """
        if steps is None:
            return self
        is_few = self.rolling.steps <= FEW
        low, high = (1, FEW) if is_few else (FEW + 1, 100)
        if not low <= steps <= high:
            raise InputError(
                f"steps {steps!r} is not possible with this latent model: {low} to {high}."
            )
        return replace(self, rolling=replace(self.rolling, steps=steps))

    def to_json(self) -> str:
        """Return them as text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str, name: str = FILE) -> LatentSettings:
        """Return what ``to_json`` wrote to the file ``name``.

        Raises:
            WeightsMismatch: it holds something else.
        """
        try:
            given: dict[str, Any] = json.loads(text)
            unknown = set(given) - {f.name for f in fields(LatentSettings)}
            if unknown:
                raise ValueError(f"{', '.join(sorted(unknown))} is unknown")
            rolling = Rolling(**given.pop("rolling", {}))
            return LatentSettings(rolling=rolling, **given | {"ratio": tuple(given["ratio"])})
        except (ValueError, TypeError, KeyError, AttributeError, InputError) as reason:
            raise WeightsMismatch(
                f"{name} does not tell how a latent model is used ({reason}). Export the model "
                "again: recipes/export_latent.py"
            ) from reason
