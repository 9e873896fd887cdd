"""The sizes of the latent video networks: one definition, a small configuration and a full one.

``tiny`` is trained here and made for CPUs; ``sd15`` has the structure of the family that EMO (Tian
et al. 2024), Hallo and EchoMimic belong to, so that published weights fit (video/weights.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from visavis.motion.conditions import SPEECH
from visavis.nn import sizes

SPEECH_ROWS = 4
"""Rows of speech features a frame (100 a second at 25 frames a second)."""
SPEECH_WIDTH = SPEECH
"""Values of a token of speech: the rows of audio/phones.py in one frame, and a mouth
(inputs.speech_tokens)."""
PHASES, EMOTIONS = 3, 8
"""Known classes of both labels; the number after the last one says that it is not known."""


@dataclass(frozen=True)
class VideoConfig:
    """Widths and counts of the denoiser and its reference network.

    A latent's sides must be multiples of ``stride``.
    """

    latent: int
    """Channels of a latent."""
    widths: tuple[int, ...]
    """Channels of each level, finest first; half the resolution from level to level."""
    layers: int
    """Layers of a level on the way down; one more on the way up."""
    attends: tuple[bool, ...]
    """Which levels attend within a frame, to the portrait and to the sound."""
    heads: int
    groups: int
    """Groups of each group norm."""
    feed: int
    """Width inside feed-forward parts, in widths of the level."""
    context: int
    """Width of a token of sound as the layers attend to it."""
    speech: int
    """Values of a token of speech as it is given."""
    tokens: int
    """Tokens of speech that go with a frame: its own and its neighbours'."""
    motion_heads: int
    motion_attentions: int
    """Attentions over time in each temporal module."""
    is_rotary: bool
    """Frames are told apart by turning queries and keys; else by waves added, as published."""
    has_places: bool
    """Attention within a frame is told where in it; published networks find that out themselves."""
    has_still: bool
    """The portrait is also added to every frame, place by place, before the first level."""
    has_summary: bool
    """Every layer is also told in one vector what is heard, beside the noise; learns sooner."""
    is_reference_whole: bool
    """The reference network has a way up, too; else levels on the way up read the way down's."""

    def __post_init__(self) -> None:
        """Refuse sizes that do not go together."""
        if len(self.attends) != len(self.widths):
            raise ValueError(f"attends {self.attends} must say of each of {self.widths} yes or no")
        for width in self.widths:
            odd = [n for n in (self.heads, self.groups, self.motion_heads) if width % n]
            if odd:
                raise ValueError(f"width {width} is no multiple of {odd[0]} heads or groups")
            if self.is_rotary and width // self.motion_heads % 2:
                raise ValueError(f"width {width} has odd heads, which cannot be turned")
            if self.has_places and width % 4:
                raise ValueError(f"width {width} cannot tell two places; it is no multiple of 4")

    @property
    def stride(self) -> int:
        """The sides of latents are multiples of this many."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def time(self) -> int:
        """Width of what is told of a frame's noise, phase and emotion."""
        return 4 * self.widths[0]

    @staticmethod
    def tiny(latent: int = 32) -> VideoConfig:
        """Return the shipped model's: 256 x 256 pixels as 8 x 8 latents of 32 channels."""
        return VideoConfig(
            latent=latent, widths=(96, 144), layers=1, attends=(True, True), heads=4,
            groups=16, feed=2, context=128, speech=SPEECH_WIDTH, tokens=5, motion_heads=4,
            motion_attentions=1, is_rotary=True, has_places=True, has_still=True,
            has_summary=True, is_reference_whole=False,
        )  # fmt: skip

    @staticmethod
    def sd15() -> VideoConfig:
        """Return those of Stable Diffusion 1.5: 512 x 512 pixels as 64 x 64 latents of 4."""
        return VideoConfig(
            latent=4, widths=(320, 640, 1280, 1280), layers=2, attends=(True, True, True, False),
            heads=8, groups=32, feed=4, context=768, speech=SPEECH_WIDTH, tokens=5, motion_heads=8,
            motion_attentions=2, is_rotary=False, has_places=False, has_still=False,
            has_summary=False, is_reference_whole=True,
        )  # fmt: skip

    @staticmethod
    def smallest(is_published: bool = False) -> VideoConfig:
        """Return sizes for tests: everything there, next to no weights.

        ``is_published`` takes the choices of ``sd15``, else those of ``tiny``. Speech is given as
        to the others, so that both learn from the same data.
        """
        return VideoConfig(
            latent=4, widths=(16, 32), layers=1, attends=(True, True), heads=2, groups=4, feed=2,
            context=16, speech=SPEECH_WIDTH, tokens=5, motion_heads=2,
            motion_attentions=2 if is_published else 1, is_rotary=not is_published,
            has_places=not is_published, has_still=not is_published,
            has_summary=not is_published, is_reference_whole=is_published,
        )  # fmt: skip

    def to_json(self) -> str:
        """Return the sizes as JSON, to be kept beside weights."""
        return sizes.written(self)

    @staticmethod
    def from_json(text: str) -> VideoConfig:
        """Return the sizes that ``to_json`` wrote.

        Raises:
            WeightsMismatch: ``text`` holds something else.
        """
        return sizes.read(VideoConfig, text, "Export the training state again: visavis train video")
