"""Chunks joined without a step: what a chunk foresaw of the next one's first frame holds there.

Two chunks draw the frames at their border from different windows, and where the sound does not say
(head, brows, gaze, lids) they differ a little. The new chunk begins where the old one was going;
what it was off by is gone over some frames. Jaw and lips follow the sound: only their first frame
is the mean of both.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from visavis.motion.conditions import group
from visavis.motion.layout import SIZE
from visavis.types import FloatArray

_FRAMES = {"head": (12, 1.0), "brows": (8, 1.0), "gaze": (3, 1.0), "lids": (3, 1.0),
           "jaw": (1, 0.5), "lips": (1, 0.5)}  # fmt: skip
"""Frames over which each group finds its own way, and the share of the difference at first."""


@cache
def _fading(length: int) -> FloatArray:
    """Return the share (length, 58) of the difference that is left in each frame of a chunk."""
    out = np.zeros((length, SIZE), np.float32)
    for name, (frames, first) in _FRAMES.items():
        t = np.clip(np.arange(length) / min(frames, length), 0.0, 1.0)
        out[:, group(name)] = first * (1.0 - t * t * (3.0 - 2.0 * t))[:, None]
    return out


def joined(values: FloatArray, foreseen: FloatArray) -> FloatArray:
    """Return a chunk's ``values`` (t, 58) begun at ``foreseen`` (1, 58); (0, 58): as they are."""
    if not len(foreseen):
        return values
    return values + _fading(len(values)) * (foreseen - values[:1])
