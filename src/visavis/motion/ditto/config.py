"""The sizes of Ditto's motion denoiser: the published ones, and tiny ones of the same structure."""

from __future__ import annotations

from dataclasses import dataclass

from visavis.nn import sizes


@dataclass(frozen=True)
class LmdmConfig:
    """Widths and counts of the latent motion diffusion model (ditto-spec 3)."""

    frames: int = 80
    """Frames of a window."""
    motion: int = 265
    """Values of a frame of motion."""
    condition: int = 1103
    """Values of what is told of a frame; the last 79 are not the sound's."""
    width: int = 512
    hidden: int = 1024
    """Width inside the feed-forward parts."""
    heads: int = 8
    layers: int = 8
    encoders: int = 2
    """Layers through which the conditions go before they are attended to."""
    is_student: bool = False
    """Distilled to few calls, with its guidance folded in (train/tasks/ditto_distill.py)."""

    @staticmethod
    def tiny(condition: int = 1103) -> LmdmConfig:
        """Return sizes for tests: the same motion and conditions, next to no weights."""
        return LmdmConfig(condition=condition, width=32, hidden=48, layers=2, encoders=1)

    def to_json(self) -> str:
        """Return the sizes as JSON, to be kept beside weights."""
        return sizes.written(self)

    @staticmethod
    def from_json(text: str) -> LmdmConfig:
        """Return the sizes that ``to_json`` wrote.

        Raises:
            WeightsMismatch: ``text`` holds something else.
        """
        return sizes.read(
            LmdmConfig, text, "Convert the published file again: visavis models convert"
        )
