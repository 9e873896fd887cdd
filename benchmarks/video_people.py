"""Held-out persons and voices for benchmarks/video.py: clips with true frames, and speeches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
import players
from lips_sets import english

from visavis.audio.phones import PHONES
from visavis.data.people import split_of
from visavis.errors import VisavisError
from visavis.eval.alignment import Heard, decode, fitted, hear
from visavis.faces.framing import cut, head_and_shoulders
from visavis.faces.portrait import make_portrait
from visavis.motion.controls import Timeline
from visavis.opening import open_portrait
from visavis.render.mesh_warp import resized
from visavis.train.quantize_video import timeline_of
from visavis.train.video_data import VideoData
from visavis.types import SAMPLE_RATE, FloatArray, ImageArray, Portrait
from visavis.video.sizes import SPEECH_ROWS

ROWS_A_FRAME = SPEECH_ROWS
HELD = ("validation", "test")
FEWEST, MOST = 32, 48
"""Frames of a clip that is taken, and how many of them."""


@dataclass(frozen=True)
class Scene:
    """One portrait and one sound: ``rows`` (r, 45) of evidence, and what is ``heard`` in it.

    ``frames`` are true pictures of the same size as the portrait; none of speeches. ``samples``
    of the sound, where they are known.
    """

    name: str
    source: str
    portrait: Portrait
    rows: FloatArray
    heard: Heard
    timeline: Timeline = field(default_factory=Timeline)
    frames: tuple[ImageArray, ...] = ()
    samples: FloatArray | None = None
    phones: tuple[tuple[float, float, str], ...] = ()


def clips(folder: Path, count: int, sources: Sequence[str], side: int) -> Iterator[Scene]:
    """Yield ``count`` clips of held-out persons in the shards in ``folder``, of all ``sources``.

    Pictures come as ``side`` x ``side`` px. Persons who are not heard are left out.
    """
    by_source = [list(_candidates(folder, source)) for source in sources]
    turns = [pair for turn in zip_longest(*by_source) for pair in turn if pair is not None]
    if not turns:
        raise SystemExit(f"No held-out clip of {FEWEST} frames in {folder} is of {sources}.")
    for data, number in turns[:count]:
        clip = data.clip(number, 0, MOST)
        try:
            portrait = make_portrait(clip.portrait)
        except VisavisError as reason:
            print(f"{clip.name} is left out: {reason}")
            continue
        rows = clip.speech.reshape(-1, clip.speech.shape[-1])
        heard = Heard(decode(rows[:, : len(PHONES)]), np.zeros(len(rows), np.float32))
        yield Scene(
            clip.name, clip.source, resized(portrait, (side, side)), rows, heard,
            timeline_of(clip), tuple(_sized(f, side) for f in clip.frames),
        )  # fmt: skip


def _candidates(folder: Path, source: str) -> Iterator[tuple[VideoData, int]]:
    """Yield the held-out clips of ``source`` that are long enough and heard, person by person.

    First one of each person, then the second ones.
    """
    times: dict[str, int] = {}
    found = []
    for split in HELD:
        try:
            data = VideoData(folder, split, FEWEST)
        except VisavisError:
            continue
        for i in (i for i in range(len(data)) if data.source(i) == source):
            clip = data.clip(i, 0, 1)
            if clip.is_heard:
                times[clip.person] = times.get(clip.person, -1) + 1
                found.append((times[clip.person], len(found), (data, i)))
    yield from (pair for *_, pair in sorted(found, key=lambda f: f[:2]))


def _sized(picture: ImageArray, side: int) -> ImageArray:
    if len(picture) == side:
        return picture
    way = cv2.INTER_AREA if len(picture) > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), np.uint8)


def portraits(shared: Path, count: int) -> list[Path]:
    """Return pictures of ``count`` synthetic persons whom no training of the video model saw."""
    every = sorted((shared / "data/portraits/neutral").glob("*.webp"))
    held = [p for p in every if split_of(f"{p.parent.name}-{p.stem}") != "train"]
    return [held[i] for i in np.linspace(0, len(held) - 1, min(count, len(held))).astype(int)]


def seated(path: Path, side: int) -> Portrait:
    """Return the portrait in ``path``, head and shoulders at ``side`` px."""
    portrait = open_portrait(path)
    return resized(cut(portrait, head_and_shoulders(portrait)), (side, side))


def speeches(shared: Path, count: int, seconds: float, side: int) -> Iterator[Scene]:
    """Yield ``count`` recorded clips of held-out voices with their phones, each on a portrait."""
    if count == 0:
        return
    every = english(shared)
    picked = [every[i] for i in np.linspace(0, len(every) - 1, count).astype(int)]
    for clip, path in zip(picked, portraits(shared, count), strict=True):
        samples = clip.samples[: round(seconds * SAMPLE_RATE)]
        rows = players.hear(samples).values
        sound = shared / f"data/speech/aligned/{clip.name}.flac"
        heard = fitted(hear(sound, list(clip.phones)), len(rows))
        yield Scene(
            f"{clip.name} on {path.stem}", "spoken", seated(path, side), rows, heard,
            samples=samples, phones=tuple((a, b, p) for a, b, p in clip.phones),
        )  # fmt: skip
