"""Moments as a session gives them, made up: a clock one can see and hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from io import BytesIO

import av
import numpy as np

from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS, Phase

RATE = 48_000
SIDE = 128
BEEP_EVERY = 25
"""Frames from beep to beep; in such a frame the picture is white and a tone begins."""


def moment(index: int, side: int = SIDE, is_fresh: bool = True) -> Moment:
    """Return the moment ``index``: white with a beep at whole seconds, grey otherwise."""
    is_beep = index % BEEP_EVERY == 0
    image = np.full((side, side, 3), 255 if is_beep else 60, np.uint8)
    image[:, : index % side] //= 2
    time = np.arange(RATE // MOTION_FPS) / RATE
    sound = 0.5 * np.sin(2 * np.pi * 1000 * time) * is_beep
    return Moment(index, image, sound.astype(np.float32), RATE, Phase.SPEAKING, is_fresh)


async def moments(
    count: int, missing: Collection[int] = (), first: int = 1000, pause_s: float = 0.0
) -> AsyncIterator[Moment]:
    """Yield ``count`` moments from ``first`` on, but for those ``missing`` (counted from 0)."""
    for n in range(count):
        if n not in missing:
            await asyncio.sleep(pause_s)
            yield moment(first + n)


def beeps(data: bytes | str) -> tuple[list[float], list[float]]:
    """Return when a video is white and when it beeps, in seconds."""
    seen, heard = [], []
    with av.open(BytesIO(data) if isinstance(data, bytes) else data) as container:
        for frame in container.decode(video=0):
            if frame.to_ndarray(format="gray")[:, -1].mean() > 180:
                seen.append(float(frame.time or 0))
    with av.open(BytesIO(data) if isinstance(data, bytes) else data) as container:
        loud = False
        for block in container.decode(audio=0):
            samples = block.to_ndarray()[0]
            above = np.abs(samples) > 0.2
            if above.any() and not loud:
                heard.append(float(block.time or 0) + float(np.argmax(above)) / block.sample_rate)
            loud = bool(above[-200:].any())
    return seen, heard
