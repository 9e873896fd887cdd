"""Motion at other frame rates, smoothed, clamped. Streaming: the state comes in and goes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.motion.layout import COEFFICIENTS, SIZE, pack, unpack
from visavis.types import FloatArray, Motion


@dataclass(frozen=True)
class ResampleState:
    """``last`` the newest motion values kept (k, 58), ``seen`` input and ``made`` output frames."""

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
    values = np.concatenate([state.last, pack(motion)])
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
    return ResampleState(keep, seen, state.made + len(wanted)), unpack(made, fps)


def resample(motion: Motion, fps: int) -> Motion:
    """Return ``motion`` at ``fps``; the same frames as any sequence of ``step_resample``."""
    return step_resample(start_resample(), motion, fps, final=True)[1]


def smooth(motion: Motion, width_s: float) -> Motion:
    """Return ``motion`` under a Gaussian of standard deviation ``width_s``; ends are held."""
    radius = int(np.ceil(3 * width_s * motion.fps))
    if radius == 0 or len(motion) == 0:
        return motion
    at = np.arange(-radius, radius + 1) / motion.fps
    weights = np.exp(-0.5 * (at / width_s) ** 2)
    padded = np.pad(pack(motion), ((radius, radius), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1, axis=0)
    return unpack(windows @ (weights / weights.sum()), motion.fps)


def clamp(motion: Motion, largest_turn_deg: float = 20.0) -> Motion:
    """Return ``motion`` with coefficients in [0, 1] and the head within ``largest_turn_deg``."""
    values = pack(motion)
    values[:, COEFFICIENTS] = np.clip(values[:, COEFFICIENTS], 0.0, 1.0)
    clamped = unpack(values, motion.fps)
    rotation = np.clip(clamped.rotation, -largest_turn_deg, largest_turn_deg)
    return Motion(clamped.coefficients, rotation, clamped.translation, clamped.scale, motion.fps)
