"""Motion at other frame rates. Streaming: the state comes in and goes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visavis.motion.layout import SIZE, pack, unpack
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
