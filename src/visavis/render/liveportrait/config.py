"""The sizes of LivePortrait's networks: the published ones, and tiny ones of the same structure.

Pictures go in with ``IMAGE`` pixels a side and come out with ``OUTPUT``, whatever the sizes are.
"""

from __future__ import annotations

from dataclasses import dataclass

from visavis.nn import sizes

IMAGE = 256
"""Side of the pictures the networks look at."""
GRID = 64
"""Side of the feature volume."""
OUTPUT = 512
"""Side of the pictures the decoder draws."""


@dataclass(frozen=True)
class LivePortraitConfig:
    """Channels and counts of every network (Guo et al. 2024, LivePortrait; ditto-spec 1)."""

    volume_channels: int = 32
    """Channels of the feature volume (c, depth, 64, 64)."""
    volume_depth: int = 16
    appearance_widths: tuple[int, ...] = (64, 128, 256)
    """F: channels after the first convolution and after each of two halvings."""
    appearance_blocks: int = 6
    """F: residual blocks on the volume."""
    motion_widths: tuple[int, ...] = (96, 192, 384, 768)
    """M: channels of the four stages."""
    motion_depths: tuple[int, ...] = (3, 3, 9, 3)
    """M: blocks of the four stages."""
    warp_compressed: int = 4
    """W: channels of the volume that the dense motion network sees."""
    warp_widths: tuple[int, ...] = (32, 64, 128, 256, 512, 1024)
    """W: channels of the hourglass, from the finest level to the coarsest."""
    feature_channels: int = 256
    """Channels of the picture (c, 64, 64) that W hands to G."""
    decoder_width: int = 512
    """G: channels of the middle blocks."""
    decoder_blocks: int = 6
    decoder_ups: tuple[int, ...] = (256, 64)
    """G: channels after each doubling."""
    decoder_hidden: int = 128
    """G: channels between the features and the modulation of a SPADE layer."""
    stitching_hidden: tuple[int, ...] = (128, 128, 64)
    eyes_hidden: tuple[int, ...] = (256, 256, 128, 128, 64)
    lips_hidden: tuple[int, ...] = (128, 128, 64)

    @staticmethod
    def tiny() -> LivePortraitConfig:
        """Return sizes for tests: same structure, a frame in a fraction of a second."""
        return LivePortraitConfig(
            volume_channels=4,
            volume_depth=2,
            appearance_widths=(4, 6, 8),
            appearance_blocks=2,
            motion_widths=(4, 6, 8, 10),
            motion_depths=(1, 1, 2, 1),
            warp_compressed=2,
            warp_widths=(4, 6, 8),
            feature_channels=8,
            decoder_width=10,
            decoder_blocks=2,
            decoder_ups=(8, 4),
            decoder_hidden=6,
            stitching_hidden=(8, 6),
            eyes_hidden=(8, 8, 6),
            lips_hidden=(8, 6),
        )

    def to_json(self) -> str:
        """Return the sizes as JSON, to be kept beside weights."""
        return sizes.written(self)

    @staticmethod
    def from_json(text: str) -> LivePortraitConfig:
        """Return the sizes that ``to_json`` wrote.

        Raises:
            WeightsMismatch: ``text`` holds something else.
        """
        return sizes.read(
            LivePortraitConfig, text, "Convert the published files again: visavis models convert"
        )
