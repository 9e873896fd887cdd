"""One face through a video: what its landmarks say in each frame, then on the grid of the sound.

Lips are measured in the head's own axes, so that turning or moving the head does not count as
moving the mouth. Lengths are inter-ocular distances (IOD) of the person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.errors import InputError
from visavis.faces import topology
from visavis.faces.crop import FACE_CM, Crop, frontal_fit
from visavis.faces.measure import eye_opening, head_rotation, interocular, place
from visavis.faces.teeth import PAIRS, teeth_shown
from visavis.types import FloatArray, ImageArray

LIPS: tuple[int, ...] = (*topology.LIPS_OUTER, *topology.LIPS_INNER)
LOST_S = 0.2
"""Over a shorter stretch without a face curves are drawn straight; a longer one is not judged."""
FEWEST_SEEN = 0.5
SHORTEST_S, FEWEST = 0.4, 8


@dataclass(frozen=True)
class Sight:
    """What one frame shows.

    ``rotation`` (3,) pitch, yaw, roll in degrees; ``lips`` (40, 3) in cm of the canonical face and
    in its axes; ``teeth`` how much of them shows (``teeth_shown``); ``eyes`` the mean opening, 0
    closed, about 0.3 open; ``width`` the distance of the outer eye corners in that cm; ``crop`` the
    square round the face, in pixels.
    """

    rotation: FloatArray
    lips: FloatArray
    teeth: float
    eyes: float
    width: float
    crop: Crop


@dataclass(frozen=True)
class Track:
    """All frames: ``seconds`` (t,) when each is shown, ``sights`` (t), None where no face was."""

    seconds: NDArray[np.float64]
    sights: tuple[Sight | None, ...]
    size: tuple[int, int]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Tell for each frame (t,) whether it shows a face."""
        return np.array([s is not None for s in self.sights], bool)


@dataclass(frozen=True)
class Curves:
    """The track on ``n`` rows of 10 ms.

    ``gap`` (n,) mean gap of the middle of the inner lips in IOD; ``lips`` (n, 40, 3) in IOD about
    their own centre; ``teeth`` (n,); ``eyes`` (n,); ``rotation`` (n, 3) degrees; ``seen`` (n,)
    whether a face is near enough in time; ``frames`` (n,) the frame on show.
    """

    gap: FloatArray
    lips: FloatArray
    teeth: FloatArray
    eyes: FloatArray
    rotation: FloatArray
    seen: NDArray[np.bool_]
    frames: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.gap)


def see(image: ImageArray, points: FloatArray) -> Sight:
    """Return the measures of one frame ``image`` (h, w, 3) with landmarks ``points`` (478, 3)."""
    fit = place(points)
    axes = np.array([1.0, -1.0, -1.0])
    lips = (points[list(LIPS)] * axes - fit.offset) @ fit.rotation / fit.scale
    centre, scale, roll = frontal_fit(points)
    side = scale * FACE_CM
    return Sight(
        np.array(head_rotation(points), np.float32),
        lips.astype(np.float32),
        teeth_shown(image, points),
        float(np.mean(eye_opening(points))),
        interocular(points) / fit.scale,
        Crop(centre, side, roll, max(16, round(side))),
    )


def on_grid(track: Track) -> Curves:
    """Return the curves of ``track``, interpolated between frames.

    Raises:
        InputError: the video is too short, or shows a face in less than half of its frames.
    """
    seen, seconds = track.seen, track.seconds
    _check(track)
    sights = [s for s in track.sights if s is not None]
    known = seconds[seen]
    rows = int(np.floor((seconds[-1] + np.median(np.diff(seconds))) * ROWS_PER_SECOND + 1e-6))
    at = np.arange(rows) / ROWS_PER_SECOND
    lips = np.stack([s.lips for s in sights]) / np.median([s.width for s in sights])
    gap = _gap(lips)
    lips = lips - lips.mean(1, keepdims=True)
    turns = np.unwrap(np.stack([s.rotation for s in sights]), axis=0, period=360.0)
    away = np.abs(at - known[_nearest(known, at)])
    frames = np.clip(np.searchsorted(seconds, at + 1e-4, "right") - 1, 0, len(seconds) - 1)
    return Curves(
        _interpolate(at, known, gap),
        _interpolate(at, known, lips),
        _interpolate(at, known, np.array([s.teeth for s in sights])),
        _interpolate(at, known, np.array([s.eyes for s in sights])),
        _interpolate(at, known, turns),
        away <= LOST_S / 2 + 1e-6,
        frames,
    )


def _check(track: Track) -> None:
    """Refuse what is too short, or has too few frames with a face."""
    length = track.seconds[-1] - track.seconds[0] if len(track.seconds) > 1 else 0.0
    if length < SHORTEST_S or len(track.seconds) < FEWEST:
        raise InputError(
            f"The video has {len(track.seconds)} pictures in {length:.1f} s; "
            f"give at least {FEWEST} pictures and {SHORTEST_S} s."
        )
    share = float(track.seen.mean())
    if share < FEWEST_SEEN:
        raise InputError(
            f"A face was found in {share:.0%} of the {len(track.seconds)} pictures; at least "
            f"{FEWEST_SEEN:.0%} must show one. Give a video of one person seen from the front."
        )


def _gap(lips: FloatArray) -> FloatArray:
    """Return the mean gap (t,) of the inner lips' middle for ``lips`` (t, 40, 3)."""
    upper, lower = ([LIPS.index(pair[i]) for pair in PAIRS] for i in (0, 1))
    gap: FloatArray = np.linalg.norm(lips[:, upper] - lips[:, lower], axis=2).mean(1)
    return gap


def _nearest(known: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each moment of ``at`` the index of the nearest in ``known``."""
    after = np.clip(np.searchsorted(known, at), 1, len(known) - 1)
    is_before = at - known[after - 1] < known[after] - at
    return after - is_before


def _interpolate(
    at: NDArray[np.float64], known: NDArray[np.float64], values: FloatArray
) -> FloatArray:
    """Return ``values`` (t, ...) given at ``known`` seconds, at the seconds ``at``."""
    flat = values.reshape(len(values), -1)
    columns = [np.interp(at, known, column) for column in flat.T]
    return np.stack(columns, 1).astype(np.float32).reshape(len(at), *values.shape[1:])


def speed(values: FloatArray, half_rows: int = 4) -> FloatArray:
    """Return how fast points (n, k, 3) move, (n,) per second: the mean over points.

    The difference of the places 40 ms before and after, one frame at 25 frames per second each: a
    single step would mostly measure the noise of the landmarks.
    """
    padded = np.pad(values, ((half_rows, half_rows), (0, 0), (0, 0)), mode="edge")
    moved = padded[2 * half_rows :] - padded[: -2 * half_rows]
    rate = ROWS_PER_SECOND / (2 * half_rows)
    out: FloatArray = np.linalg.norm(moved, axis=2).mean(1) * rate
    return out


def runs(is_so: Sequence[bool] | NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches [start, end) over which ``is_so`` (n,) holds."""
    padded = np.concatenate([[False], np.asarray(is_so, bool), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(padded))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
