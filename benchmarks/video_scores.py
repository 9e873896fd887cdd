"""What is measured of made talking heads beside true ones: looks, movement, lips, identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from video_people import ROWS_A_FRAME, Scene

from visavis.errors import InputError, MissingExtra
from visavis.eval import fidelity, lips
from visavis.eval.alignment import Heard, fitted
from visavis.eval.identity import IdentityNet
from visavis.eval.perceptual import Inception, kid
from visavis.eval.track import Curves, Sight, Track, on_grid, see
from visavis.eval.video_distance import ActionNet, frechet_distance
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.types import MOTION_FPS, FloatArray, ImageArray, Portrait

WINDOW = 16
"""Frames of a window that the video network sees."""
OF_A_CLIP = 4
"""Frames of a clip that the picture network sees, and that are compared with the portrait."""


@dataclass(frozen=True)
class Watched:
    """A made clip followed: ``curves`` of the face (None: it is hardly seen), ``sights`` and
    ``points`` of each frame.
    """

    images: Sequence[ImageArray]
    curves: Curves | None
    sights: tuple[Sight | None, ...]
    points: tuple[FloatArray | None, ...]

    @property
    def gap(self) -> FloatArray | None:
        """How far the lips part in each frame (t,), in inter-ocular distances."""
        if self.curves is None:
            return None
        return self.curves.gap[::ROWS_A_FRAME][: len(self.images)]


def follow(images: Sequence[ImageArray], portrait: Portrait, fps: float = MOTION_FPS) -> Watched:
    """Follow the face of ``portrait`` through ``images``."""
    found: FaceLandmarks | None = FaceLandmarks(portrait.landmarks, 1.0)
    sights: list[Sight | None] = []
    points: list[FloatArray | None] = []
    for image in images:
        found = track(image, found)
        points.append(None if found is None else found.points)
        sights.append(None if found is None else see(image, found.points))
    seconds = np.arange(len(images)) / fps
    size = images[0].shape[1::-1]
    try:
        curves = on_grid(Track(seconds, tuple(sights), size))
    except InputError:
        curves = None
    return Watched(images, curves, tuple(sights), tuple(points))


class Judge:
    """The networks that look; what is not installed is left out, and told once."""

    def __init__(self, *, is_quick: bool) -> None:
        """Load what is there; ``is_quick``: without the networks that compare sets."""
        self.pictures = None if is_quick else _there(Inception)
        self.videos = None if is_quick else _there(ActionNet)
        self.identity = _there(IdentityNet)


def _there(kind: type) -> Any:
    try:
        return kind()
    except MissingExtra as reason:
        print(f"left out: {reason}")
        return None


@dataclass(frozen=True)
class Seen:
    """All clips of one system, as ``vectors`` of pictures (n, 2048) and ``windows`` (m, 400)."""

    scenes: Sequence[Scene]
    watched: Sequence[Watched]
    judge: Judge

    @cached_property
    def vectors(self) -> FloatArray:
        """What the network of FID says of some pictures of each clip."""
        return np.concatenate(
            [self.judge.pictures.describe(np.stack(some(w.images)))[0] for w in self.watched]
        )

    @cached_property
    def windows(self) -> FloatArray:
        """What the network of FVD says of two windows of each clip."""
        parts = []
        for w in self.watched:
            parts += [np.stack(w.images[:WINDOW]), np.stack(w.images[-WINDOW:])]
        return self.judge.videos.describe(parts)

    @property
    def who(self) -> list[int]:
        """The number of the clip of each row of ``vectors``."""
        return [i for i, w in enumerate(self.watched) for _ in some(w.images)]


def some(images: Sequence[Any], count: int = OF_A_CLIP) -> list[Any]:
    """Return ``count`` of ``images``, evenly apart."""
    return [images[i] for i in np.linspace(0, len(images) - 1, count + 2)[1:-1].astype(int)]


def distances(made: Seen, true: Seen) -> dict[str, float]:
    """Return Fréchet and kernel distances of pictures, and Fréchet distances of videos."""
    found = {}
    if made.judge.pictures is not None:
        found["fid"] = frechet_distance(made.vectors, true.vectors)
        found["kid"] = kid(made.vectors, true.vectors, made.who)
    if made.judge.videos is not None:
        found["fvd"] = frechet_distance(made.windows, true.windows)
    return found


def looks(made: Seen, true: Seen | None = None) -> dict[str, float | None]:
    """Return identity, sharpness and movement; beside ``true`` clips, or the portrait without."""
    apart, sharp, moves, seen = [], [], [], []
    for i, (scene, one) in enumerate(zip(made.scenes, made.watched, strict=True)):
        seen.append(np.mean([p is not None for p in one.points]))
        pairs = [(x, p) for x, p in zip(one.images, one.points, strict=True) if p is not None]
        if made.judge.identity is not None and pairs:
            own = made.judge.identity.describe(scene.portrait.image, scene.portrait.landmarks)
            found = [made.judge.identity.describe(*pair) for pair in some(pairs)]
            apart.append(float(np.median([np.linalg.norm(d - own) for d in found])))
        still = see(scene.portrait.image, scene.portrait.landmarks)
        size = min(fidelity.LARGEST, still.crop.size)
        beside = fidelity.detail(scene.portrait.image, still.crop, size)
        if true is not None:
            beside = _detail(true.watched[i], size) or beside
            moves.append(_change(one.images) / max(0.05, _change(true.watched[i].images)))
        sharp.append((_detail(one, size) or 0.0) / max(beside, 1e-6))
    return {
        "face_seen": mean(seen),
        "identity": mean(apart),
        "sharpness": mean(sharp),
        "change": mean(moves),
    }


def _detail(one: Watched, size: int) -> float | None:
    """Return the median fine detail of the upper face."""
    pairs = [(x, s) for x, s in zip(one.images, one.sights, strict=True) if s is not None]
    if not pairs:
        return None
    return float(np.median([fidelity.detail(x, s.crop, size) for x, s in some(pairs)]))


def _change(images: Sequence[ImageArray]) -> float:
    """Return the mean absolute change from frame to frame, grey levels."""
    small = [cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), (64, 64)) for x in images]
    return float(np.abs(np.diff(np.stack(small).astype(np.float32), axis=0)).mean())


def mouths(made: Seen, true: Seen) -> dict[str, float | None]:
    """Return how like the true lips' gap the made one is: correlation and relative deviation."""
    a, b = [], []
    for one, other in zip(made.watched, true.watched, strict=True):
        if one.gap is not None and other.gap is not None:
            count = min(len(one.gap), len(other.gap))
            a.append(one.gap[:count] - one.gap[:count].mean())
            b.append(other.gap[:count] - other.gap[:count].mean())
    if not a:
        return {"mouth_like": None, "mouth_size": None}
    x, y = np.concatenate(a), np.concatenate(b)
    size = float(np.sqrt((x @ x) * (y @ y)))
    return {
        "mouth_like": float(x @ y) / size if size > 0 else 0.0,
        "mouth_size": float(x.std() / max(1e-6, y.std())),
    }


def speech(made: Seen) -> dict[str, Any]:
    """Return what the lips do with what is heard, over all clips together."""
    closed, opened, false = [], [], []
    gaps, phones = [], []
    for scene, one in zip(made.scenes, made.watched, strict=True):
        if one.curves is None:
            continue
        heard = fitted(scene.heard, len(one.curves))
        spans = heard.spans()
        closed += lips.closures(one.curves, spans)
        opened += lips.openings(one.curves, spans)
        share = lips.false_closures(one.curves, spans)
        false += [] if share is None else [share]
        gaps.append(one.curves.gap - one.curves.gap.mean())
        phones.append(heard.phones)
    if not gaps:
        return {}
    rows = np.concatenate(phones)
    gap, heard = np.concatenate(gaps), Heard(rows, np.zeros(len(rows), np.float32))
    shift = lips.gap_offset(gap, heard)
    return {
        "closure_recall": lips.recall(closed),
        "closures": len(closed),
        "opening_recall": lips.recall(opened),
        "false_closures": mean(false),
        "sync": lips.gap_correlation(gap, heard),
        "av_correlation": shift.correlation,
        "av_offset_ms": shift.ms if shift.correlation >= lips.SURE else None,
    }


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None
