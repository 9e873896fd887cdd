"""What both plans of Ditto's motion share: rows of sound, what frames are told, when lids close."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visavis.errors import InputError, WeightsMismatch
from visavis.faces.implicit import Sitter
from visavis.motion import blinks
from visavis.motion.controls import Controls, Timeline
from visavis.motion.ditto.conditions import BESIDES, SIZE, felt, told
from visavis.motion.ditto.sampler import Denoiser
from visavis.motion.ditto.windows import WINDOW
from visavis.types import MOTION_FPS, SAMPLE_RATE, Features, FloatArray, Phase

FRAME_SAMPLES = SAMPLE_RATE // MOTION_FPS


def quiet(denoiser: Denoiser, silence: FloatArray | None) -> FloatArray:
    """Return ``silence`` (k, d), or one row of zeros, for a denoiser that is told d values.

    Raises:
        InputError: it has another width.
        WeightsMismatch: the denoiser makes something else than windows of Ditto's motion.
    """
    config = denoiser.config
    if (config.frames, config.motion) != (WINDOW, SIZE):
        raise WeightsMismatch(
            f"The motion network makes windows of {config.frames} frames of {config.motion} "
            f"values; {WINDOW} of {SIZE} are Ditto's."
        )
    width = config.condition - BESIDES
    if silence is None:
        return np.zeros((1, width), np.float32)
    if np.ndim(silence) != 2 or silence.shape[1] != width or not len(silence):
        raise InputError(
            f"Silence has the shape {np.shape(silence)}; rows of {width} values are needed, "
            "as this motion model has learnt from."
        )
    return silence.astype(np.float32)


def fitting(features: Features, silence: FloatArray) -> FloatArray:
    """Return the rows (t, d) of ``features``.

    Raises:
        InputError: the motion model knows other features.
    """
    width = silence.shape[1]
    if features.values.shape[1:] != (width,) or features.rate != MOTION_FPS:
        raise InputError(
            f"The sound comes as rows of {features.values.shape[-1]} values at {features.rate} Hz; "
            f"this motion model needs {width} at {MOTION_FPS}, of Ditto's HuBERT."
        )
    return features.values


def wanted(timeline: Timeline, first: int, frames: int) -> list[Controls]:
    """Return the controls of ``frames`` frames from ``first`` on; before the start, those of it."""
    return [timeline.at(max(first + i, 0) / MOTION_FPS) for i in range(frames)]


def silent(silence: FloatArray, first: int, frames: int) -> FloatArray:
    """Return rows (frames, d) of silence from frame ``first`` on; ``silence`` (k, d) repeats."""
    return silence[np.arange(first, first + frames) % len(silence)]


def filled(rows: FloatArray, silence: FloatArray, first: int, frames: int) -> FloatArray:
    """Return ``rows``, those of the frames from ``first`` on, cut to ``frames`` or filled up with
    silence.
    """
    end = silent(silence, first + len(rows), max(0, frames - len(rows)))
    return np.concatenate([rows[:frames], end])


def told_of(
    rows: FloatArray, silence: FloatArray, asked: Sequence[Controls], sitter: Sitter, first: int
) -> FloatArray:
    """Return what the denoiser is told (t, d + 79) of the frames from ``first`` on.

    ``rows`` (t, d) of the sound; a face that listens or idles hears silence instead.
    """
    is_speaking = np.array([wish.phase is Phase.SPEAKING for wish in asked])
    heard = np.where(is_speaking[:, None], rows, silent(silence, first, len(rows)))
    emotions = np.stack([felt(wish) for wish in asked])
    return told(heard, emotions, sitter, first)


def ticked(
    clock: blinks.BlinkClock, seed: int, asked: Sequence[Controls]
) -> tuple[blinks.BlinkClock, ...]:
    """Return the clock of the blinks after each frame asked."""
    clocks = []
    for wish in asked:
        clock, _ = blinks.tick(clock, seed, wish, MOTION_FPS)
        clocks.append(clock)
    return tuple(clocks)
