"""The feature-extractor protocol: sound in, rows of evidence out, on a grid of 100 rows a second.

Row ``i`` describes the sound around sample ``i * HOP_SAMPLES``. Whatever the cutting of the sound
into pieces, the rows are the same bit for bit: extractors compute in blocks of a fixed number of
rows, so that every matrix product has the same shape online and offline.
"""

from __future__ import annotations

from typing import Any, Protocol

from visavis.types import SAMPLE_RATE, Audio, Features

ROWS_PER_SECOND = 100
"""Rows of features per second of sound."""

HOP_SAMPLES = SAMPLE_RATE // ROWS_PER_SECOND
"""Samples between two rows (10 ms)."""

BLOCK_ROWS = 4
"""Rows computed together (40 ms): one frame of motion at 25 frames per second."""


class FeatureExtractor(Protocol):
    """Turns pieces of sound into rows. Holds weights, never a conversation.

    After the last piece (``final``) exactly ``ceil(samples / HOP_SAMPLES)`` rows have come out.
    """

    @property
    def rate(self) -> int:
        """Rows per second."""
        ...

    @property
    def size(self) -> int:
        """Values per row."""
        ...

    @property
    def look_ahead_samples(self) -> int:
        """Samples after a row's instant that must be known before it comes out, at most."""
        ...

    def start(self) -> Any:
        """Return the state of a fresh stream."""
        ...

    def step(self, state: Any, audio: Audio, final: bool = False) -> tuple[Any, Features]:
        """Take the next piece of sound; return the new state and the rows now known."""
        ...


def row_count(samples: int) -> int:
    """Return how many rows ``samples`` samples of sound have."""
    return -(-samples // HOP_SAMPLES)
