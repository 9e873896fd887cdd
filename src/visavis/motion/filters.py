"""Motion at other frame rates. Streaming: the state comes in and goes out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from visavis.motion.layout import SIZE, pack, unpack
from visavis.types import FloatArray, Motion


@dataclass(frozen=True)
class ResampleState:
    """``last`` the newest motion values kept (k, 58 or more); frames ``seen`` and ``made``."""

    last: FloatArray
    seen: int = 0
    made: int = 0


def start_resample() -> ResampleState:
    """Return the state of a fresh stream."""
    return ResampleState(np.zeros((0, SIZE), np.float32))


def step_resample(
    state: ResampleState, motion: Motion, fps: int, final: bool = False
) -> tuple[ResampleState, Motion]:
    """Return the frames at ``fps`` that ``motion`` (at its own rate) now determines.

    Output frame ``m`` is the motion at ``m / fps`` seconds, linear between the two input frames
    around it; past the last one it holds. After ``final``, ``ceil(seen * fps / motion.fps)``
    frames have come out in all.
    """
    fresh = _values(motion)
    values = np.concatenate([state.last, fresh]) if state.seen else fresh
    seen = state.seen + len(motion)
    oldest = seen - len(values)
    last_known = seen - 1
    if final:
        end = -(-seen * fps // motion.fps)
    else:
        end = last_known * fps // motion.fps + 1 if seen else 0
    wanted = np.arange(state.made, max(end, state.made))
    # Integer arithmetic: whole frames and the remainder in 1/fps of an input frame.
    left, rest = np.divmod(wanted * motion.fps, fps)
    share = (rest / fps).astype(np.float32)[:, None]
    a = np.minimum(left, last_known) - oldest
    b = np.minimum(left + 1, last_known) - oldest
    made = values[a] * (1 - share) + values[b] * share if len(wanted) else values[:0]
    first_needed = (max(end, state.made) * motion.fps) // fps
    keep = values[max(0, min(first_needed, last_known) - oldest) :]
    return ResampleState(keep, seen, state.made + len(wanted)), _motion(made, fps, motion)


def _values(motion: Motion) -> FloatArray:
    """Return ``motion`` (t, 58), with keypoints or latents (t, 58 and as many more)."""
    more = motion.latents if motion.keypoints is None else motion.keypoints
    if more is None:
        return pack(motion)
    width = math.prod(more.shape[1:])
    return np.concatenate([pack(motion), more.reshape(len(motion), width)], axis=1)


def _motion(values: FloatArray, fps: int, like: Motion) -> Motion:
    """Return what ``_values`` made of motion of the kind of ``like`` into an array."""
    motion, rest = unpack(values[:, :SIZE], fps), values[:, SIZE:]
    if like.keypoints is not None:
        points = rest.reshape(len(rest), *like.keypoints.shape[1:])
        return replace(motion, keypoints=points)
    if like.latents is not None:
        return replace(motion, latents=rest.reshape(len(rest), *like.latents.shape[1:]))
    return motion


def resample(motion: Motion, fps: int) -> Motion:
    """Return ``motion`` at ``fps``; the same frames as any sequence of ``step_resample``."""
    return step_resample(start_resample(), motion, fps, final=True)[1]
