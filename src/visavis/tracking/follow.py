"""A video of one person -> stretches without a cut in which the face is always in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.faces.landmarks import FaceLandmarks, track
from visavis.faces.measure import interocular
from visavis.media.read import VideoReader
from visavis.types import FloatArray, ImageArray

Follow = Callable[[ImageArray, "FaceLandmarks | None"], "FaceLandmarks | None"]

MOST_FPS = 30.0
"""Of faster videos only so many pictures a second are looked at."""
LONGEST_S = 60.0
"""A stretch that runs on is cut here, so that memory stays bounded."""
LOST_S = 0.15
"""Over a shorter loss of the face the points are drawn straight; a longer one ends the stretch."""
CUT_LEVELS = 28.0
"""Mean change of a 32 x 32 thumbnail, in grey levels, that is a cut; moving people reach 20."""
CUT_JUMP = 0.8
"""Step of the face from frame to frame, in distances of the eye corners, that is a cut."""
CUT_GROWTH = 0.25
"""The same for the logarithm of its size."""


@dataclass(frozen=True)
class Stretch:
    """``points`` (t, 478, 3) px at ``seconds`` (t,) on the clock of the sound; ``fps``.

    ``missing`` is the share of frames without a face, drawn from their neighbours.
    """

    seconds: NDArray[np.float64]
    points: FloatArray
    fps: float
    missing: float


@dataclass
class _Open:
    """The stretch that is being filled."""

    seconds: list[float]
    points: list[FloatArray | None]

    def trimmed(self) -> tuple[list[float], list[FloatArray | None]]:
        """Return times and points without the frames at the end that show no face."""
        end = len(self.points)
        while end and self.points[end - 1] is None:
            end -= 1
        return self.seconds[:end], self.points[:end]


def stretches(
    video: str | Path, follow: Follow = track, progress: Callable[[int], None] | None = None
) -> Iterator[Stretch]:
    """Yield the stretches of ``video`` in order.

    Args:
        video: any video; of several faces the one that ``follow`` chooses.
        follow: finds the face in the next frame, as ``faces.landmarks.track`` does.
        progress: called with the number of frames seen.

    Raises:
        UnreadableMedia: it cannot be decoded.
    """
    current = _Open([], [])
    found: FaceLandmarks | None = None
    thumb: FloatArray | None = None
    with VideoReader(video) as reader:
        every = max(1, round(float(reader.fps) / MOST_FPS))
        fps = float(reader.fps) / every
        for index, (image, stamp) in enumerate(reader):
            if progress is not None:
                progress(index + 1)
            if index % every:
                continue
            before, thumb = thumb, _thumbnail(image)
            last, found = found, follow(image, found)
            if _is_over(current, found, fps) or _is_cut(before, thumb, last, found):
                yield from _closed(current, fps)
                current = _Open([], [])
            if found is not None or current.points:
                current.seconds.append(float(stamp * reader.time_base))
                current.points.append(None if found is None else found.points)
    yield from _closed(current, fps)


def _thumbnail(image: ImageArray) -> FloatArray:
    small: FloatArray = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small


def _is_cut(
    before: FloatArray | None,
    thumb: FloatArray,
    last: FaceLandmarks | None,
    found: FaceLandmarks | None,
) -> bool:
    """Tell whether another shot begins with this frame."""
    if before is not None and float(np.abs(thumb - before).mean()) > CUT_LEVELS:
        return True
    if last is None or found is None:
        return False
    size, size_before = interocular(found.points), interocular(last.points)
    step = np.linalg.norm((found.points - last.points)[:468, :2].mean(0)) / size_before
    return bool(step > CUT_JUMP or abs(np.log(size / size_before)) > CUT_GROWTH)


def _is_over(current: _Open, found: FaceLandmarks | None, fps: float) -> bool:
    """Tell whether the open stretch has lost its face for too long, or is long enough."""
    if len(current.points) >= LONGEST_S * fps:
        return True
    if found is not None:
        return False
    lost = len(current.points) - len(current.trimmed()[0]) + 1
    return lost > LOST_S * fps


def _closed(current: _Open, fps: float) -> Iterator[Stretch]:
    """Yield the open stretch, gaps filled, if anything is in it."""
    seconds, points = current.trimmed()
    if not points:
        return
    seen = np.array([p is not None for p in points])
    known = np.stack([p for p in points if p is not None]).reshape(int(seen.sum()), -1)
    at = np.array(seconds)
    if not seen.all():
        known = np.stack([np.interp(at, at[seen], column) for column in known.T], axis=1)
    shaped = known.reshape(len(points), -1, 3).astype(np.float32)
    yield Stretch(at, shaped, fps, float(1 - seen.mean()))
