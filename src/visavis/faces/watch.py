"""A clip of one person -> a portrait that moves (faces/film.py).

The face is followed from frame to frame, what the landmarks jitter is smoothed without lag, and the
clearest frame with closed lips becomes the portrait itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, NoFaceFound
from visavis.faces.crop import sample, upright_crop
from visavis.faces.film import Film, FilmPortrait, packed
from visavis.faces.landmarks import FaceLandmarks, refine, track
from visavis.faces.matte import mattes
from visavis.faces.measure import head_rotation, in_head, interocular, mouth_opening
from visavis.faces.portrait import choose, find_faces, left_to_right, verdict
from visavis.faces.teeth import teeth_shown
from visavis.media.kinds import shown
from visavis.media.read import VideoReader
from visavis.types import FloatArray, ImageArray

LONGEST_S = 60.0
"""Longer clips are cut here."""
MOST_BYTES = 512 * 2**20
"""The same when their pictures take more than this."""
LEAST_S = 8.0
"""So much of a clip is looked at for a person's looks, even if less is shown."""
MOST_FPS = 30
"""Of faster clips every second picture is kept, or every third, so that no more are shown."""
SHORTEST_S, FEWEST = 0.4, 8
LOST_S = 0.15
"""Over a shorter loss of the face the points are drawn straight; through a longer one the clip is
shown as it is."""
FADE = 4
"""Frames over which the mouth comes and goes before and after such a loss."""
TURNED_MOST_DEG = 55.0
"""A head turned farther does not show its mouth."""
CUT_LEVELS = 28.0
"""Mean change of a 32 x 32 thumbnail, in grey levels, that is a cut; moving people reach 20."""
NEAR, GROWTH = 0.8, 0.25
"""The same face is no farther from one frame to the next, in eye distances, and grows no more."""
STIFFNESS = 0.3
"""Cost of acceleration of the points: half of a swing of four frames is left."""
TEETH = 0.1
"""What teeth in full view add to the opening of the lips, in eye distances."""
MOUTH_CORNERS = (61, 291)
MOST_KEYS = 6
KEY_APART_DEG = 7.0
"""Frames with closed lips whose heads are so far apart are worth keeping both."""
_LONGEST_HOLD_S = 5
_SPARE = Fraction(1, 20)  # of MOST_FPS: rates as much above it are taken for it


def read_film(
    path: str | Path, face: int | None = None, needed_s: float | None = None
) -> FilmPortrait:
    """Return the person in the video ``path``.

    Args:
        path: any video; pictures of other rates than 25 a second are welcome.
        face: which of several faces, counted from 1, left to right, in the first frame that shows
            any; by default the best.
        needed_s: how many seconds will be shown, if that is known; of a longer clip no more than
            these and what it takes to know the person is read.

    Raises:
        UnreadableMedia: it cannot be decoded.
        NoFaceFound: no frame shows a face that can be animated.
        InputError: too short, or no face with that number.
    """
    with VideoReader(path) as reader:
        seen = _watched(reader, face, needed_s)
        seen.warnings.extend(reader.warnings)
    seconds = len(seen.pictures) / seen.rate
    if len(seen.pictures) < FEWEST or seconds < SHORTEST_S:
        raise InputError(
            f"{shown(path)} has {len(seen.pictures)} pictures in {float(seconds):.1f} s; a clip "
            f"needs at least {FEWEST} in {SHORTEST_S} s. Give a longer one, or a photograph."
        )
    if not any(found is not None for found in seen.found):
        raise NoFaceFound(
            f"No face found in the {len(seen.pictures)} pictures of {shown(path)}. "
            "Give a clip of one person, seen from the front, uncovered and well lit."
        )
    return _portrait(seen)


@dataclass(frozen=True)
class _Seen:
    """What the pass over the clip leaves; all lists have an entry for each picture."""

    rate: Fraction
    pictures: list[NDArray[np.uint8]]
    found: list[FaceLandmarks | None]
    sharp: list[float]
    teeth: list[float]
    shots: list[int]
    warnings: list[str]


def _watched(reader: VideoReader, face: int | None, needed_s: float | None) -> _Seen:
    """Follow the face through all pictures, or through those that are needed."""
    every = max(1, ceil(reader.ticks_fps / MOST_FPS - _SPARE))
    seen = _Seen(reader.ticks_fps / every, [], [], [], [], [], [])
    last: FaceLandmarks | None = None
    thumb: Any = None
    shot = size = 0
    enough = None if needed_s is None else ceil(max(needed_s, LEAST_S) * seen.rate)
    for image in islice(_steady(reader, seen.rate), enough):
        before, thumb = thumb, cv2.resize(image[::4, ::4], (32, 32), interpolation=cv2.INTER_AREA)
        is_cut = before is not None and float(cv2.absdiff(before, thumb).mean()) > CUT_LEVELS
        previous = seen.found[-1] if seen.found and not is_cut else None
        if last is None:
            found = _first(image, face, seen.warnings)
        else:
            found = _next(image, previous, last, is_cut)
        shot += found is not None and last is not None and not _is_same(found, last)
        last = found or last
        picture = packed(image)
        size += picture.nbytes
        if size > MOST_BYTES or len(seen.pictures) >= LONGEST_S * seen.rate:
            seen.warnings.append(
                f"The clip is cut after {float(len(seen.pictures) / seen.rate):.1f} s: at most "
                f"{LONGEST_S:.0f} s and {MOST_BYTES >> 20} MB of pictures are held."
            )
            break
        seen.pictures.append(picture)
        seen.found.append(found)
        seen.sharp.append(0.0 if found is None else _sharpness(image, found.points))
        seen.teeth.append(0.0 if found is None else teeth_shown(image, found.points))
        seen.shots.append(shot)
    return seen


def _steady(reader: VideoReader, rate: Fraction) -> Iterator[ImageArray]:
    """Yield the pictures of ``reader`` at a constant ``rate``, each as long as it is shown.

    A gap in the time stamps counts as ``_LONGEST_HOLD_S``; what comes after it moves up.
    """
    held: ImageArray | None = None
    start: Fraction | None = None
    due = 0
    for image, stamp in reader:
        at = stamp * reader.time_base * rate
        start = at if start is None else start
        start = max(start, at - due - _LONGEST_HOLD_S * rate)
        while held is not None and due + Fraction(1, 2) <= at - start:
            yield held
            due += 1
        held = image
    if held is not None:
        yield held


def _first(image: ImageArray, face: int | None, warnings: list[str]) -> FaceLandmarks | None:
    """Return the face that is asked for in the first picture that shows any."""
    faces = find_faces(image)
    if not faces:
        return None
    chosen = choose(faces, face)
    if len(faces) > 1 and face is None:
        number = left_to_right(faces).index(chosen) + 1
        warnings.append(
            f"{len(faces)} faces found, number {number} from the left is taken; "
            "choose another with --face N."
        )
    return chosen.landmarks


def _next(
    image: ImageArray, previous: FaceLandmarks | None, last: FaceLandmarks, is_cut: bool
) -> FaceLandmarks | None:
    """Return the same person's face in the next picture, None where it is not in sight.

    ``previous`` is the face one picture before, ``last`` where it was seen last.
    """
    if previous is not None:
        found = track(image, previous)
        if found is not None and _is_same(found, previous):
            return found if _is_shown(found) else None
    near = [f.landmarks for f in find_faces(image)]
    if not is_cut:
        near = [f for f in near if _is_same(f, last)]
    near = [f for f in near if _is_shown(f)]
    return min(near, key=lambda f: _step(f, last), default=None)


def _is_same(found: FaceLandmarks, last: FaceLandmarks) -> bool:
    """Tell whether ``found`` can be the face that was at ``last`` a moment ago."""
    growth = abs(np.log(interocular(found.points) / interocular(last.points)))
    return bool(_step(found, last) < NEAR and growth < GROWTH)


def _step(found: FaceLandmarks, last: FaceLandmarks) -> float:
    """Return how far two faces are apart, in distances of the eye corners."""
    moved = (found.points - last.points)[:468, :2].mean(0)
    return float(np.linalg.norm(moved)) / interocular(last.points)


def _is_shown(found: FaceLandmarks) -> bool:
    """Tell whether the mouth can be seen at all."""
    return abs(head_rotation(found.points)[1]) < TURNED_MOST_DEG


def _sharpness(image: ImageArray, points: FloatArray) -> float:
    """Return how much fine detail the face has: motion blur takes it away."""
    grey = cv2.cvtColor(sample(image, upright_crop(points, 16.0, 128)), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def _portrait(seen: _Seen) -> FilmPortrait:
    """Return the portrait of the frame that shows the person best, with all others."""
    is_seen = np.array([f is not None for f in seen.found])
    shots = np.array(seen.shots)
    points, strength = _followed(seen, is_seen, shots)
    keys = _keys(points, strength, np.array(seen.sharp), np.array(seen.teeth))
    film = Film(tuple(seen.pictures), seen.rate, points, strength, shots, keys)
    image = film.picture(keys[0])
    landmarks = refine(image, FaceLandmarks(points[keys[0]], 1.0))
    verdict(landmarks)
    warnings = [*seen.warnings, *_gaps(strength, seen.rate)]
    if mouth_opening(landmarks.points) > 0.12:
        warnings.append("The mouth is never closed in the clip: one with closed lips looks better.")
    person, head = mattes(image, landmarks.points)
    rotation = np.array(head_rotation(landmarks.points), np.float32)
    return FilmPortrait(
        image, landmarks.points, person, head, rotation, tuple(dict.fromkeys(warnings)), film=film
    )


def _followed(
    seen: _Seen, is_seen: NDArray[np.bool_], shots: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Return points (t, 478, 3), short gaps filled and jitter smoothed, and strength (t,)."""
    points = np.zeros((len(is_seen), 478, 3), np.float32)
    points[is_seen] = np.stack([f.points for f in seen.found if f is not None])
    strength = np.zeros(len(is_seen), np.float32)
    for first, end in _stretches(is_seen, shots, round(LOST_S * seen.rate)):
        at, known = np.arange(first, end), np.flatnonzero(is_seen[first:end]) + first
        flat = points[known].reshape(len(known), -1)
        whole = np.stack([np.interp(at, known, column) for column in flat.T], axis=1)
        points[first:end] = smoothed(whole, STIFFNESS).reshape(-1, 478, 3)
        rise = (at - first + 1) / (FADE + 1) if first and shots[first - 1] == shots[first] else 1.0
        is_last = end == len(shots) or shots[end] != shots[end - 1]
        fall = 1.0 if is_last else (end - at) / (FADE + 1)
        strength[first:end] = np.clip(np.minimum(rise, fall), 0, 1)
    return points, strength


def _stretches(
    is_seen: NDArray[np.bool_], shots: NDArray[np.int64], longest_gap: int
) -> list[tuple[int, int]]:
    """Return [first, end) of what is seen without a cut or a gap longer than ``longest_gap``."""
    known = np.flatnonzero(is_seen)
    breaks = (np.diff(known) > longest_gap + 1) | (np.diff(shots[known]) > 0)
    groups = np.split(known, np.flatnonzero(breaks) + 1)
    return [(int(g[0]), int(g[-1]) + 1) for g in groups]


def smoothed(values: NDArray[np.float64], stiffness: float) -> NDArray[np.float64]:
    """Return ``values`` (t, k) with a cost on acceleration (Whittaker), for long stretches too.

    Solved in pieces of 400 rows that overlap by 50, which no eye and hardly a float32 can tell from
    the whole.
    """
    piece, margin = 400, 50
    if len(values) < 3:
        return values
    out = np.empty_like(values)
    for first in range(0, len(values), piece):
        low, high = max(0, first - margin), min(len(values), first + piece + margin)
        bends = np.diff(np.eye(high - low), 2, axis=0)
        solved = np.linalg.solve(np.eye(high - low) + stiffness * bends.T @ bends, values[low:high])
        out[first : first + piece] = solved[first - low : first - low + piece]
    return out


def _keys(
    points: FloatArray, strength: FloatArray, sharp: FloatArray, teeth: FloatArray
) -> tuple[int, ...]:
    """Return frames with closed lips, the best first, then others in poses far from these."""
    usable = np.flatnonzero(strength == 1)
    if not len(usable):
        usable = np.flatnonzero(strength == strength.max())
    turns = np.array([head_rotation(points[i])[:2] for i in usable])
    opening = np.array([mouth_opening(points[i]) for i in usable]) + TEETH * teeth[usable]
    width = np.array([_mouth_width(points[i]) for i in usable])
    detail = sharp[usable] / max(float(np.median(sharp[usable])), 1e-6)
    cost = (opening - np.percentile(opening, 5)) / 0.02 + 2 * np.clip(1 - detail, 0, 1)
    cost += np.clip(1 - width / np.median(width), 0, 1) / 0.1
    away = np.linalg.norm(turns - np.median(turns, axis=0), axis=1)
    keys = [int(np.argmin(cost + away / 8.0))]
    while len(keys) < MOST_KEYS:
        gap = np.min([np.linalg.norm(turns - turns[k], axis=1) for k in keys], axis=0)
        rating = np.where((gap > KEY_APART_DEG) & (cost < cost[keys[0]] + 1), cost, np.inf)
        if not np.isfinite(rating).any():
            break
        keys.append(int(rating.argmin()))
    return tuple(int(usable[k]) for k in keys)


def _mouth_width(points: FloatArray) -> float:
    """Return the distance of the corners of the mouth in cm: pursed lips are no lips at rest."""
    right, left = in_head(points[:468])[list(MOUTH_CORNERS)]
    return float(np.linalg.norm(left - right))


def _gaps(strength: FloatArray, rate: Fraction) -> list[str]:
    """Return the warning about times without a face."""
    lost = np.concatenate([[False], strength == 0, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(lost)).reshape(-1, 2)
    if not len(edges):
        return []
    times = [f"{float(a / rate):.1f}-{float(b / rate):.1f} s" for a, b in edges.tolist()]
    more = f" and {len(times) - 5} more" if len(times) > 5 else ""
    return [
        f"The face is out of sight at {', '.join(times[:5])}{more} of the clip, "
        "which is shown there as it is."
    ]
