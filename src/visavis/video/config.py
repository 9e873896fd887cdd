"""The sizes of the face video codec: the shipped ones, and smaller ones for a CPU and for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from visavis.errors import WeightsMismatch

FACTOR = 16
"""Pixels of a picture, along each axis, to a cell of its latents."""


@dataclass(frozen=True)
class CodecConfig:
    """Channels and blocks of encoder and decoder, fine to coarse in the first, back in the second.

    ``side`` of the pictures it is trained on, in pixels; any multiple of FACTOR can be coded.
    """

    side: int = 256
    latent_channels: int = 16
    encoder_widths: tuple[int, int, int] = (64, 128, 256)
    """At a quarter, an eighth, a sixteenth of the side; each at most four times the one before."""
    encoder_depths: tuple[int, int, int] = (1, 2, 1)
    decoder_widths: tuple[int, int, int, int] = (160, 80, 40, 20)
    """At a sixteenth, an eighth, a quarter, a half; the first a multiple of the latents'."""
    decoder_depths: tuple[int, int, int, int] = (2, 2, 2, 0)
    """Spatial blocks; at the two coarsest levels each is followed by a look at the frame before."""

    def to_json(self) -> str:
        """Return it as text, for the metadata of a file of weights."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> CodecConfig:
        """Return what ``to_json`` wrote.

        Raises:
            WeightsMismatch: a name in it is unknown or missing.
        """
        given: Mapping[str, Any] = json.loads(text)
        known = {f.name for f in fields(CodecConfig)}
        if set(given) != known:
            odd = ", ".join(sorted(set(given) ^ known))
            raise WeightsMismatch(f"The codec's sizes differ from what is known here: {odd}.")
        sizes: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.items()
        }
        return CodecConfig(**sizes)


PRESETS: dict[str, CodecConfig] = {
    "tiny": CodecConfig(),
    "cpu": CodecConfig(128, 16, (32, 64, 128), (1, 2, 2), (128, 64, 32, 16), (2, 2, 1, 0)),
    "test": CodecConfig(64, 4, (8, 16, 16), (1, 1, 1), (16, 16, 8, 8), (1, 1, 1, 0)),
}
"""``tiny`` for a GPU at 256 px, ``cpu`` for two cores at 128 px, ``test`` for tests."""
