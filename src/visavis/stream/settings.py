"""How a session runs, and what it takes for sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, check_whole
from visavis.motion.chunks import ChunkPlan
from visavis.stream.policy import SESSION
from visavis.types import MOTION_FPS, FloatArray


@dataclass(frozen=True)
class Settings:
    """How a session runs.

    ``sound_rate`` of what is heard, a multiple of 25 Hz. ``is_paced``: frames come at their time,
    not as fast as they can be made. ``ahead`` frames are drawn before they are due. ``plan`` says
    how chunks grow. More than ``longest_queue_s`` seconds of sound cannot wait.
    """

    seed: int = 0
    sound_rate: int = 48_000
    longest_queue_s: float = 60.0
    is_paced: bool = True
    ahead: int = 3
    plan: ChunkPlan = SESSION

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("sound_rate", self.sound_rate, 8_000, 192_000)
        check_whole("ahead", self.ahead, 1, 25)
        if self.sound_rate % MOTION_FPS:
            raise InputError(f"sound_rate {self.sound_rate} is not a multiple of {MOTION_FPS} Hz.")


def as_sound(samples: NDArray[Any], rate: int) -> FloatArray:
    """Return ``samples`` (n,) float or int16 as finite float32 in [-1, 1].

    Raises:
        InputError: they are neither, or the rate is none from 8 to 192 kHz.
    """
    check_whole("rate", rate, 8_000, 192_000)
    given = np.asarray(samples)
    if given.ndim != 1 or given.dtype.kind not in "fi":
        raise InputError(
            f"The sound is an array of {given.dtype} with shape {given.shape}. "
            "Give (samples,) float in [-1, 1] or int16."
        )
    if given.dtype.kind == "i":
        if given.dtype != np.int16:
            raise InputError(f"The sound is {given.dtype}; of whole numbers only int16 is taken.")
        return given.astype(np.float32) / np.float32(32768)
    sound = np.nan_to_num(given.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(sound, -1.0, 1.0)
