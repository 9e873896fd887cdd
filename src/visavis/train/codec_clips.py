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

from visavis.train.video_data import VideoData
from visavis.types import FloatArray, ImageArray
from visavis.video.places import EYES, FACE, MOUTH, coverage

EXTRA = {FACE: 0.5, MOUTH: 6.0, EYES: 3.0}
"""What is added to a pixel's weight, 1, in each box."""
STILL = "still"
SHARES = {"animated": 0.5, "talking": 0.35, STILL: 0.15}
"""How often each kind of clip is drawn."""
CLOSE = 0.75
"""How often a clip is shown in part, in full resolution; else whole and small."""


@dataclass(frozen=True)
class Piece:
    """``frames`` consecutive ones of a clip, ``side`` x ``side`` pixels."""

    frames: int
    side: int


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
        (b, t, 1, s, s).
        """
        rng = np.random.default_rng([self._seed, step])
        share = np.array([SHARES[name] for name in self._kinds])
        made = []
        for name in rng.choice(list(self._kinds), self._count, p=share / share.sum()):
            number = int(rng.choice(self._kinds[str(name)]))
            made.append(drawn_clip(self._data, number, self._piece, rng))
        names = ("portrait", "pictures", "weight")
        parts = zip(*made, strict=True)
        return {n: torch.from_numpy(np.stack(p)) for n, p in zip(names, parts, strict=True)}


def drawn_clip(
    data: VideoData, number: int, piece: Piece, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a portrait (3, s, s), consecutive frames (t, 3, s, s) from somewhere in a clip, in
    other light, mostly a part of them around the face, maybe mirrored, and the weights
    (t, 1, s, s) of their pixels.

    Still pictures are moved as a whole.
    """
    portrait, shown, boxes = _scene(data, number, piece.frames, rng)
    pictures = [portrait, *shown]
    if rng.random() < CLOSE:
        pictures, boxes = closer(pictures, boxes, piece.side, rng)
    rows, weight = as_rows(pictures, boxes, piece.side)
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.05, (3, 1, 1))).astype(np.float32)
    rows = np.clip((rows + 1) * gain - 1 + np.float32(rng.normal(0, 0.05)), -1, 1)
    if rng.random() < 0.5:
        rows, weight = rows[..., ::-1].copy(), weight[..., ::-1].copy()
    return rows[0], rows[1:], weight


def closer(
    pictures: list[ImageArray], boxes: FloatArray, side: int, rng: np.random.Generator
) -> tuple[list[ImageArray], FloatArray]:
    """Return the same part of ``pictures``, of ``side`` pixels or all, near mouth or eyes, and the
    ``boxes`` (t, 3, 4) in it.
    """
    whole = len(pictures[0])
    part = min(side, whole)
    box = boxes[0, int(rng.choice([MOUTH, EYES]))] * whole
    middle = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.2 * part, 2)
    left, top = np.clip(middle - part / 2, 0, whole - part).astype(int)
    cut = [p[top : top + part, left : left + part] for p in pictures]
    return cut, (boxes - np.array([left, top, left, top], np.float32) / whole) * (whole / part)


def _scene(
    data: VideoData, number: int, frames: int, rng: np.random.Generator
) -> tuple[ImageArray, list[ImageArray], FloatArray]:
    """Return a portrait, frames and their boxes of clip ``number``."""
    if data.source(number) == STILL:
        picture = data.picture(number, 0)
        return (
            picture,
            [_jolted(picture, rng) for _ in range(frames)],
            data.boxes(number).repeat(frames, 0),
        )
    boxes = data.boxes(number)
    first = _moment(boxes[: len(boxes) - frames + 1], rng)
    elsewhere = "portrait" if rng.random() < 0.5 else int(rng.integers(data.frames(number)))
    shown = [data.picture(number, i) for i in range(first, first + frames)]
    return data.picture(number, elsewhere), shown, boxes[first : first + frames]


def _moment(boxes: FloatArray, rng: np.random.Generator) -> int:
    """Return the number of one of ``boxes`` (t, 3, 4), half of the time the one of three in which
    the mouth is open widest: most mouths are nearly shut.
    """
    spots = rng.integers(len(boxes), size=1 if rng.random() < 0.5 else 3)
    height = boxes[spots, MOUTH, 3] - boxes[spots, MOUTH, 1]
    return int(spots[int(height.argmax())])


def _jolted(picture: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Return ``picture`` a little turned, shifted and enlarged."""
    side = len(picture)
    way = cv2.getRotationMatrix2D(
        (side / 2, side / 2), rng.normal(0, 4), np.exp(rng.normal(0, 0.04))
    )
    way[:, 2] += rng.normal(0, 0.03 * side, 2)
    moved: Any = cv2.warpAffine(picture, way, (side, side), borderMode=cv2.BORDER_REFLECT)
    return moved


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
