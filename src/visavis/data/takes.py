"""ARKit recordings (Live Link Face) -> motion for the motion model: curves of real faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.motion.files import read_motion
from visavis.motion.filters import resample
from visavis.motion.layout import COEFFICIENTS, INDEX, ROTATION, SIZE, TRANSLATION, pack
from visavis.types import MOTION_FPS, FloatArray

STILL_DEG = 0.05
"""A head that moves less was not recorded."""


def read_take(path: Path) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return motion (t, 58) at 25 fps and which of its values (58,) were recorded.

    ``path`` is a motion file (motion/files.py). The usual gaze becomes a look at the viewer, as the
    head's usual pose is rest.

    Raises:
        UnreadableMedia: no such file, or damaged.
        InputError: it holds something else.
    """
    values = pack(resample(read_motion(path), MOTION_FPS))
    values[:, COEFFICIENTS] = np.clip(values[:, COEFFICIENTS], 0, 1)
    for part in (ROTATION, TRANSLATION):
        values[:, part] -= np.median(values[:, part], axis=0)
    _centre_gaze(values)
    known = np.ones(SIZE, bool)
    known[ROTATION] = values[:, ROTATION].std(0).max() > STILL_DEG
    known[TRANSLATION.start :] = values[:, TRANSLATION.start :].std(0).max() > 0
    return values, known


def _centre_gaze(values: FloatArray) -> None:
    """Turn the eyes of ``values`` (t, 58) in place so that their median looks straight ahead."""
    for a, b in (("Up", "Down"), ("In", "Out")):
        for side in ("Left", "Right"):
            i, k = INDEX[f"eyeLook{a}{side}"], INDEX[f"eyeLook{b}{side}"]
            turn = values[:, i] - values[:, k]
            turn = turn - np.median(turn)
            values[:, i], values[:, k] = np.clip(turn, 0, 1), np.clip(-turn, 0, 1)
