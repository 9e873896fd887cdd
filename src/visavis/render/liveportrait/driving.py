"""A video of somebody's face moves a portrait: pictures in, keypoints out, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from visavis.errors import NoFaceFound
from visavis.faces.implicit import BINS, POINTS, Implicit, Posed, head_angles, posed
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.render.liveportrait.crop import (
    DRIVING,
    FaceSquare,
    cut_out,
    face_square,
    network_input,
)
from visavis.render.liveportrait.engine import Engine
from visavis.render.liveportrait.looks import Looks
from visavis.render.liveportrait.retarget import Openness, openness
from visavis.render.liveportrait.transfer import DrivingOptions, Pictured, drive
from visavis.types import ARKIT_NAMES, MOTION_FPS, FloatArray, ImageArray, Motion

T = TypeVar("T")

_ROOM = 0.12
"""How far the driving face strays, in sides of its square, before the square goes along."""
_GROWTH = 1.25
"""How much larger or smaller it gets before the square does."""


class Driver:
    """Turns pictures of one person's face into motion of a portrait.

    The driving face is cropped by a square that stands still and slides, or grows, only when the
    face would leave it; what M reads there is put back into the first square's coordinates, so that
    a head that wanders does so smoothly. A picture without a face holds the last motion.
    """

    def __init__(
        self, engine: Engine, options: DrivingOptions | None = None, batch: int = 8
    ) -> None:
        """Read with ``engine``, ``batch`` pictures at a time; they wait for each other."""
        self._engine = engine
        self._options = options or DrivingOptions()
        self._batch = batch

    def follow(
        self, looks: Looks, images: Iterable[ImageArray], fps: int = MOTION_FPS
    ) -> Iterator[Motion]:
        """Yield the motion of a portrait with ``looks`` under ``images`` (h, w, 3) RGB uint8.

        ``fps`` is how many of them are shown a second. Its keypoints are final: draw them with a
        renderer that does not stitch. Head and place say what they do, for other renderers;
        coefficients are zero.

        Raises:
            NoFaceFound: none of the pictures shows a face.
        """
        rows = _averaged(_held(self._rows(images)), self._options.smoothing)
        first: Pictured | None = None
        count = 0
        for some in _batched(rows, self._batch):
            driven = _driven(np.stack(some))
            first = driven[:1] if first is None else first
            at = looks.rows(count, len(some), fps)
            source = Pictured(looks.source, looks.openness)[at]
            is_clip = len(looks.source) > 1
            points, pose = drive(self._engine, source, driven, first, self._options, is_clip)
            yield _motion(points, pose, source.pose, looks.unit[at], fps)
            count += len(some)
        if not count:
            raise NoFaceFound(
                "No face found in the driving video. Give one of one person, seen from the front, "
                "uncovered and well lit."
            )

    def _rows(self, images: Iterable[ImageArray]) -> Iterator[FloatArray | None]:
        """Yield what is read of each picture as one row (k,), None where there is no face."""
        for some in _batched(_seen(images), self._batch):
            faces = [seen for seen in some if seen is not None]
            rows = iter(self._read(faces) if faces else ())
            yield from (None if seen is None else next(rows) for seen in some)

    def _read(self, faces: list[_Seen]) -> FloatArray:
        """Return what M and the landmarks say of ``faces`` as rows (t, k)."""
        read = self._engine.read(np.stack([seen.input for seen in faces]))
        grown = np.array([[seen.grown] for seen in faces], np.float32)
        t = read.t * grown
        t[:, :2] += np.stack([seen.moved for seen in faces])
        return _rows(
            replace(read, scale=read.scale * grown, t=t),
            openness(np.stack([seen.landmarks for seen in faces])),
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """A driving face: ``input`` (256, 256, 3), ``landmarks`` (478, 3); its square is ``grown``
    times the first, its middle at ``moved`` (2,) there.
    """

    input: FloatArray
    landmarks: FloatArray
    grown: float
    moved: FloatArray


def _seen(images: Iterable[ImageArray]) -> Iterator[_Seen | None]:
    """Yield the face of each picture, None where there is none."""
    found: FaceLandmarks | None = None
    first: FaceSquare | None = None
    square: FaceSquare | None = None
    for image in images:
        found = track(image, found)
        if found is None:
            yield None
            continue
        wanted = replace(face_square(found.points, DRIVING), angle=0.0)
        square = wanted if square is None else _slid(square, wanted)
        first = square if first is None else first
        cut = network_input(cut_out(image, square))
        moved = first.unit(np.array(square.centre))
        yield _Seen(cut, found.points, square.side / first.side, moved)


def _slid(square: FaceSquare, wanted: FaceSquare) -> FaceSquare:
    """Return ``square``, moved and scaled no more than it takes to hold the face of ``wanted``."""
    ratio = wanted.side / square.side
    side = square.side * ratio / float(np.clip(ratio, 1 / _GROWTH, _GROWTH))
    off = np.subtract(wanted.centre, square.centre)
    x, y = np.array(square.centre) + off - np.clip(off, -_ROOM * side, _ROOM * side)
    return FaceSquare((float(x), float(y)), side, square.angle)


def _rows(face: Implicit, opened: Openness) -> FloatArray:
    """Return ``face`` and ``opened`` of t pictures as rows (t, k)."""
    parts = [getattr(face, field.name) for field in fields(Implicit)]
    flat = [part.reshape(len(face), -1) for part in (*parts, opened.eyes, opened.lips)]
    return np.concatenate(flat, axis=1).astype(np.float32)


def _driven(rows: FloatArray) -> Pictured:
    """Return what the rows (t, k) made by ``_rows`` say."""
    widths = (3 * POINTS, 3 * POINTS, BINS, BINS, BINS, 3, 1, 2)
    kp, exp, *rest, eyes, lips = np.split(rows, np.cumsum(widths), axis=1)
    points = (part.reshape(-1, POINTS, 3) for part in (kp, exp))
    return Pictured(posed(Implicit(*points, *rest)), Openness(eyes, lips))


def _held(rows: Iterable[FloatArray | None]) -> Iterator[FloatArray]:
    """Yield ``rows`` with the last one for each that is missing, the first for those before it."""
    early, last = 0, None
    for row in rows:
        last = last if row is None else row
        if last is None:
            early += 1
            continue
        yield from [last] * (early + 1)
        early = 0


def _averaged(rows: Iterable[FloatArray], window: int) -> Iterator[FloatArray]:
    """Yield the mean over ``window`` rows (k,) around each; fewer at both ends."""
    reach, count = window // 2, 0
    near: deque[FloatArray] = deque(maxlen=window)
    for row in rows:
        near.append(row)
        count += 1
        if count > reach:
            yield np.mean(near, axis=0)
    for i in range(max(0, count - reach), count):
        while len(near) > count - max(0, i - reach):
            near.popleft()
        yield np.mean(near, axis=0)


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield ``items`` in lists of ``size``, the last one shorter."""
    each = iter(items)
    while some := list(islice(each, size)):
        yield some


def _motion(points: FloatArray, pose: Posed, source: Posed, unit: FloatArray, fps: int) -> Motion:
    """Return ``points`` (t, 21, 3) as motion, and what head and place do from ``source`` on."""
    turned = np.swapaxes(source.rotation, 1, 2) @ pose.rotation
    return Motion(
        np.zeros((len(points), len(ARKIT_NAMES)), np.float32),
        head_angles(turned),
        ((pose.t - source.t)[:, :2] / unit[:, None]).astype(np.float32),
        (pose.scale / source.scale)[:, 0],
        fps,
        points,
    )
