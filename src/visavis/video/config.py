"""The sizes of the face video codec: the shipped ones, and small ones for tests."""

from __future__ import annotations

from dataclasses import dataclass

from visavis.nn import sizes

FACTOR = 32
"""Pixels of a picture, along each axis, to a cell of its latents."""


@dataclass(frozen=True)
class CodecConfig:
    """Channels and blocks of encoder and decoder, fine to coarse in the first, back in the second.

    ``side`` of the pictures it is trained on, in pixels; any multiple of FACTOR can be coded.
    """

    side: int = 256
    latent_channels: int = 32
    encoder_widths: tuple[int, int, int] = (64, 128, 256)
    """At an eighth, a sixteenth, a thirty-second of the side; each at most four times the one
    before."""
    encoder_depths: tuple[int, int, int] = (1, 1, 1)
    decoder_widths: tuple[int, int, int, int] = (256, 128, 64, 32)
    """At a thirty-second to a quarter; each at least a quarter of the one before."""
    decoder_depths: tuple[int, int, int, int] = (1, 1, 2, 1)
    painter_width: int = 48
    """Of the last layers, at a quarter of the side, which paint over the warped portrait."""

    def to_json(self) -> str:
        """Return it as text, for the metadata of a file of weights."""
        return sizes.written(self)

    @staticmethod
    def from_json(text: str) -> CodecConfig:
        """Return what ``to_json`` wrote.

        Raises:
            WeightsMismatch: a name in it is unknown or missing.
        """
        return sizes.read(CodecConfig, text, "Train the codec again: visavis train vae")


PRESETS: dict[str, CodecConfig] = {
    "tiny": CodecConfig(),
    "wide": CodecConfig(
        encoder_depths=(1, 2, 2), decoder_widths=(256, 128, 64, 64), decoder_depths=(2, 2, 3, 2),
        painter_width=96,
    ),
    "test": CodecConfig(64, 4, (8, 16, 16), (1, 1, 1), (16, 16, 8, 8), (1, 1, 1, 1), 8),
}  # fmt: skip
"""``tiny`` for CPUs, ``wide`` for a GPU to train, ``test`` for tests."""
