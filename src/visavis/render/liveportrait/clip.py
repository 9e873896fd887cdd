"""A clip as portrait: each of its pictures is a source of its own, drawn anew (ditto-spec 6).

Where the face is and what M says of it is known for every picture beforehand; the feature volume,
8 MB, is made when a picture is drawn, which adds a twentieth to the work of a frame and keeps
memory independent of the clip's length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from visavis.faces.film import Film, FilmPortrait
from visavis.faces.implicit import Implicit
from visavis.render.base import Moving
from visavis.render.liveportrait.crop import FaceSquare, cut_out, face_square, network_input
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.looks import Looks, looks_of
from visavis.types import MOTION_FPS, FloatArray

SMOOTHED = 13
"""Pictures over which what M says is averaged, as upstream."""
_BATCH = 8
_LOOPS = {"pingpong": "mirror", "repeat": "repeat", "hold": "hold"}


@dataclass(frozen=True, eq=False)
class ClipLooks(Looks, Moving):
    """The person in a clip: ``picks`` (n,) are the pictures of ``film`` shown at 25 a second,
    ``squares`` (n) where the face is in each.
    """

    film: Film
    picks: NDArray[np.int64]
    squares: tuple[FaceSquare, ...]


def clip_looks(engine: Engine, portrait: FilmPortrait) -> ClipLooks:
    """Return the looks of the person in ``portrait``'s clip, whose pictures have the final size.

    Where the face is out of sight, it is taken to be as in the nearest picture that shows it.
    """
    film = portrait.film
    count = max(1, round(len(film) * MOTION_FPS / film.rate))
    shown = np.round(np.arange(count) * float(film.rate) / MOTION_FPS).astype(np.int64)
    picks = np.minimum(shown, len(film) - 1)
    seen = np.flatnonzero(film.strength > 0)
    read = seen[np.abs(picks[:, None] - seen).argmin(1)]
    points = film.points[read]
    squares = [face_square(p) for p in points]
    faces = _averaged(_read(engine, film, read, squares), film.shots[picks])
    looks = looks_of(faces, points, squares, _LOOPS[film.loop])
    looks = replace(looks, rest=faces.exp[np.abs(picks - film.keys[0]).argmin()])
    return ClipLooks(**vars(looks), film=film, picks=picks, squares=tuple(squares))


def _read(
    engine: Engine, film: Film, picks: NDArray[np.int64], squares: list[FaceSquare]
) -> Implicit:
    """Return what M says of the pictures ``picks``."""

    def inputs() -> Iterator[FloatArray]:
        for first in range(0, len(picks), _BATCH):
            some = slice(first, first + _BATCH)
            pairs = zip(picks[some].tolist(), squares[some], strict=True)
            yield np.stack([network_input(cut_out(film.picture(i), s)) for i, s in pairs])

    return joined([engine.read(batch) for batch in inputs()])


def joined(parts: list[Implicit]) -> Implicit:
    """Return ``parts`` as one."""
    names = [field.name for field in fields(Implicit)]
    return Implicit(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def _averaged(faces: Implicit, shots: NDArray[np.int64]) -> Implicit:
    """Return ``smoothed`` faces, each shot of ``shots`` (t,) by itself."""
    cuts = [0, *(np.flatnonzero(np.diff(shots)) + 1).tolist(), len(shots)]
    return joined([smoothed(faces[a:b]) for a, b in zip(cuts[:-1], cuts[1:], strict=True)])


def smoothed(faces: Implicit, window: int = SMOOTHED) -> Implicit:
    """Return the mean of everything in ``faces`` over ``window`` pictures, fewer at both ends."""
    at, reach = np.arange(len(faces)), window // 2
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(faces))

    def mean(values: FloatArray) -> FloatArray:
        sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), 0, np.float64)
        count = (high - low).reshape(-1, *(1,) * (values.ndim - 1))
        return ((sums[high] - sums[low]) / count).astype(np.float32)

    return Implicit(**{f.name: mean(getattr(faces, f.name)) for f in fields(Implicit)})
