"""What the codec learns from: pieces of clips with another picture of the same person.

Mostly parts around mouth and eyes at full resolution, in other light, maybe mirrored; still
pictures are moved as a whole. A batch is a function of the seed and the step alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from visavis.faces.topology import LEFT_LIDS, LEFT_OUTER, RIGHT_LIDS, RIGHT_OUTER, mirror
from visavis.train.video_data import VideoData
from visavis.types import FloatArray, ImageArray
from visavis.video.face_map import face_map
from visavis.video.places import EYES, FACE, MOUTH, coverage

EXTRA = {FACE: 0.5, MOUTH: 6.0, EYES: 5.0}
"""What is added to a pixel's weight, 1, in each box."""
STILL = "still"
SHARES = {"animated": 0.5, "talking": 0.35, STILL: 0.15}
"""How often each kind of clip is drawn."""
CLOSE = 0.75
"""How often a clip is shown in part, in full resolution; else whole and small."""
POINTS = 478
"""Landmarks of a face (faces/topology.py)."""
_UPPER, _LOWER = (list(pair) for pair in zip(RIGHT_LIDS, LEFT_LIDS, strict=True))
_CORNERS = [RIGHT_OUTER, 362], [133, LEFT_OUTER]
"""Landmarks at both ends of the right eye and of the left one."""


@dataclass(frozen=True)
class Piece:
    """``frames`` consecutive ones of a clip, ``side`` x ``side`` pixels."""

    frames: int
    side: int


@dataclass(frozen=True)
class Scene:
    """A portrait and t frames: square ``pictures`` (t + 1), the portrait first; ``boxes`` (t, 3, 4)
    of the frames and ``points`` (t + 1, 478, 2) of all in shares of the side, NaN if not known.
    """

    pictures: list[ImageArray]
    boxes: FloatArray
    points: FloatArray


class Draws(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The batch of each step: a function of the seed and the step alone, whoever makes it."""

    def __init__(self, data: VideoData, piece: Piece, batch: int, seed: int) -> None:
        """Draw ``batch`` pictures a step from ``data``."""
        self._data, self._piece, self._seed = data, piece, seed
        self._count = max(1, batch // piece.frames)
        kinds = {name: [i for i in range(len(data)) if data.source(i) == name] for name in SHARES}
        self._kinds = {
            name: rows
            for name, rows in kinds.items()
            if rows and (name == STILL or min(data.frames(i) for i in rows) >= piece.frames)
        }

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return ``pictures`` (b, t, 3, s, s) and ``portrait`` (b, 3, s, s) in [-1, 1], ``weight``
        (b, t, 1, s, s), ``points`` (b, t + 1, 478, 2) as in ``Scene`` and their maps ``faces``
        (b, t + 1, CHANNELS, s / 2, s / 2).
        """
        rng = np.random.default_rng([self._seed, step])
        share = np.array([SHARES[name] for name in self._kinds])
        made = []
        for name in rng.choice(list(self._kinds), self._count, p=share / share.sum()):
            number = int(rng.choice(self._kinds[str(name)]))
            made.append(drawn_clip(self._data, number, self._piece, rng))
        names = ("portrait", "pictures", "weight", "points")
        parts = zip(*made, strict=True)
        batch = {n: np.stack(p) for n, p in zip(names, parts, strict=True)}
        batch["faces"] = faces_of(batch["points"], self._piece.side)
        return {n: torch.from_numpy(p) for n, p in batch.items()}


def faces_of(points: FloatArray, side: int) -> FloatArray:
    """Return the maps (…, CHANNELS, side / 2, side / 2) of faces with ``points`` (…, 478, 2)."""
    maps = [face_map(spots, side // 2) for spots in points.reshape(-1, *points.shape[-2:])]
    return np.stack(maps).reshape(*points.shape[:-2], *maps[0].shape)


def drawn_clip(
    data: VideoData, number: int, piece: Piece, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return a portrait (3, s, s), consecutive frames (t, 3, s, s) from somewhere in a clip, in
    other light, mostly a part of them around the face, maybe mirrored, the weights (t, 1, s, s) of
    their pixels, and landmarks (t + 1, 478, 2), the portrait's first.

    Still pictures are moved as a whole.
    """
    scene = _scene(data, number, piece.frames, rng)
    if rng.random() < CLOSE:
        scene = closer(scene, piece.side, rng)
    rows, weight = as_rows(scene.pictures, scene.boxes, piece.side)
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.05, (3, 1, 1))).astype(np.float32)
    rows = np.clip((rows + 1) * gain - 1 + np.float32(rng.normal(0, 0.05)), -1, 1)
    points = scene.points
    if rng.random() < 0.5:
        rows, weight = rows[..., ::-1].copy(), weight[..., ::-1].copy()
        points = np.stack([1 - points[..., 0], points[..., 1]], -1)[:, mirror()]
    return rows[0], rows[1:], weight, points


def closer(scene: Scene, side: int, rng: np.random.Generator) -> Scene:
    """Return a part of ``scene``, of ``side`` pixels or all, near mouth or eyes."""
    whole = len(scene.pictures[0])
    part = min(side, whole)
    box = scene.boxes[0, int(rng.choice([MOUTH, EYES]))] * whole
    middle = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.2 * part, 2)
    corner = np.clip(middle - part / 2, 0, whole - part).astype(int)
    left, top = (int(v) for v in corner)
    shift, scale = (corner / whole).astype(np.float32), np.float32(whole / part)
    return Scene(
        [p[top : top + part, left : left + part] for p in scene.pictures],
        (scene.boxes - np.tile(shift, 2)) * scale,
        (scene.points - shift) * scale,
    )


def _scene(data: VideoData, number: int, frames: int, rng: np.random.Generator) -> Scene:
    """Return a portrait and ``frames`` frames of clip ``number``."""
    points, boxes = points_in(data, number), data.boxes(number)
    if data.source(number) == STILL:
        picture = data.picture(number, 0)
        moved = [_jolted(picture, points[0], rng) for _ in range(frames)]
        return Scene(
            [picture, *(p for p, _ in moved)],
            boxes.repeat(frames, 0),
            np.stack([points[0], *(spots for _, spots in moved)]),
        )
    able = len(boxes) - frames + 1
    first = _moment(boxes[:able], points[:able], rng)
    elsewhere = -1 if rng.random() < 0.5 else int(rng.integers(data.frames(number)))
    portrait = data.picture(number, "portrait" if elsewhere < 0 else elsewhere)
    shown = range(first, first + frames)
    return Scene(
        [portrait, *(data.picture(number, i) for i in shown)],
        boxes[first : first + frames],
        points[[elsewhere, *shown]],
    )


def points_in(data: VideoData, number: int) -> FloatArray:
    """Return the landmarks (t + 1, 478, 2) of clip ``number``, the portrait's last, NaN if none."""
    if data.has(number, "points"):
        return data.array(number, "points")
    return np.full((data.frames(number) + 1, POINTS, 2), np.nan, np.float32)


def _moment(boxes: FloatArray, points: FloatArray, rng: np.random.Generator) -> int:
    """Return the number of a frame with ``boxes`` (t, 3, 4) and ``points`` (t, 478, 2).

    Half of the time it is one of three: that in which the mouth is open widest, or the lids are
    nearest, as most mouths are nearly shut and most eyes open.
    """
    if rng.random() < 0.5:
        return int(rng.integers(len(boxes)))
    spots = rng.integers(len(boxes), size=3)
    if rng.random() < 0.5:
        height = boxes[spots, MOUTH, 3] - boxes[spots, MOUTH, 1]
        return int(spots[int(height.argmax())])
    return int(spots[int(_lids_apart(points[spots]).argmin())])


def _lids_apart(points: FloatArray) -> FloatArray:
    """Return how far lids are apart (t,) in shares of the eyes' width."""
    upper, lower = points[:, _UPPER].mean(1), points[:, _LOWER].mean(1)
    ends = points[:, _CORNERS[0]] - points[:, _CORNERS[1]]
    width: FloatArray = np.linalg.norm(ends, axis=-1).mean(1)
    found: FloatArray = np.linalg.norm(upper - lower, axis=-1) / width
    return found


def _jolted(
    picture: ImageArray, points: FloatArray, rng: np.random.Generator
) -> tuple[ImageArray, FloatArray]:
    """Return ``picture`` and its ``points`` (478, 2) a little turned, shifted and enlarged."""
    side = len(picture)
    turn, size = rng.normal(0, 4), np.exp(rng.normal(0, 0.04))
    way = cv2.getRotationMatrix2D((side / 2, side / 2), turn, size)
    way[:, 2] += rng.normal(0, 0.03 * side, 2)
    moved: Any = cv2.warpAffine(picture, way, (side, side), borderMode=cv2.BORDER_REFLECT)
    spots = (points * side) @ way[:, :2].T + way[:, 2]
    return moved, (spots / side).astype(np.float32)


def as_rows(
    pictures: list[ImageArray], boxes: FloatArray, side: int
) -> tuple[FloatArray, FloatArray]:
    """Return ``pictures`` as (t, 3, side, side) in [-1, 1], and the weights of pixels by boxes."""
    if len(pictures[0]) != side:
        way = cv2.INTER_AREA if len(pictures[0]) > side else cv2.INTER_LINEAR
        pictures = [cv2.resize(p, (side, side), interpolation=way) for p in pictures]
    rows = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    inside = coverage(boxes, side)
    extra = np.array([EXTRA[k] for k in (FACE, MOUTH, EYES)], np.float32)
    return rows, 1 + np.einsum("k,tkhw->thw", extra, inside)[:, None]
