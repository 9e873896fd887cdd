"""Make the shards that the latent video model learns from.

    python recipes/make_video_clips.py --out SHARDS --portraits ../shared/data/portraits/neutral \\
        --voices ../shared/data/speech/librispeech ../shared/data/speech/aligned --clips 400
    python recipes/make_video_clips.py --out SHARDS --prepared CLIPS    # of `visavis prepare`
    python recipes/make_video_clips.py --out SHARDS --portraits … --stills 2000

*Animated*: each portrait speaks, listens or idles, by our own motion model and renderer, with
states, emotions, poses and gazes drawn at random. *Prepared*: what `visavis prepare` accepted, cut
from its videos in step with the sound. *Stills*: portraits as they are, for the autoencoder.
Portraits and voices of held-out persons meet each other only. What the shards hold is not made
again; a clip depends on its number and the seed alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import visavis
from visavis.animator import MotionAnimator
from visavis.audio.phones import SIZE as ROW
from visavis.audio.phones import PhoneRecognizer
from visavis.data.articulation import heard
from visavis.data.clip import Clip, read_clip
from visavis.data.people import split_of
from visavis.data.report import Verdict, read_report
from visavis.errors import InputError, VisavisError
from visavis.faces.framing import ABOVE_SHARE, HEAD_SHARE
from visavis.faces.landmarks import track
from visavis.media.image import read_image
from visavis.media.read import VideoReader
from visavis.motion.conditions import ROWS_PER_FRAME
from visavis.motion.controls import EMOTIONS, Controls, Timeline
from visavis.opening import framed_to, open_portrait
from visavis.timing import Stopwatch
from visavis.train.shards import SHARD_BYTES, Shards, ShardWriter
from visavis.train.speech_data import is_held_out, read_sound
from visavis.train.video_data import (
    PHASES,
    QUALITY,
    UNKNOWN_EMOTION,
    VideoClip,
    still,
    to_fields,
)
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, FloatArray, ImageArray, Phase
from visavis.video.places import boxes_of

SAMPLES = SAMPLE_RATE // MOTION_FPS
HAIR_SHARE = 0.3
"""Hair above the forehead, in heights of the face, where no matte tells it."""
LONGEST = 100
"""Frames of a prepared clip that become one sample; the rest of it makes further ones."""


@dataclass(frozen=True)
class Tools:
    """What all animated clips share. ``voices`` by whether their speaker is held out."""

    animator: MotionAnimator
    recognizer: PhoneRecognizer
    voices: dict[bool, list[Path]]
    size: int
    frames: int
    seed: int


def voices_of(folders: list[Path]) -> dict[bool, list[Path]]:
    """Return the recordings in ``folders``: those to learn from (False) and the held-out ones."""
    found: dict[bool, list[Path]] = {False: [], True: []}
    for folder in folders:
        for i, path in enumerate(sorted(p for p in folder.iterdir() if p.is_file())):
            found[is_held_out(path.stem, i)].append(path)
    return found


def timeline_of(rng: np.random.Generator, seconds: float) -> Timeline:
    """Return what a clip is asked to do: a phase, or a change of it, and one face throughout."""
    first, second = (PHASES[i] for i in rng.choice(3, 2, replace=False, p=[0.15, 0.15, 0.7]))
    has_emotion = rng.random() < 0.5
    face = {
        "emotion": str(rng.choice(EMOTIONS[1:])) if has_emotion else "neutral",
        "intensity": float(rng.uniform(0.5, 1.0)) if has_emotion else 0.0,
        "energy": float(2 ** rng.uniform(-0.5, 0.5)),
        "gaze": tuple(rng.normal(0, [8, 5]).clip(-20, 20)) if rng.random() < 0.3 else None,
        "head": tuple(rng.normal(0, [5, 9, 4]).clip(-18, 18)) if rng.random() < 0.4 else None,
    }
    start = Controls(phase=second if rng.random() < 0.7 else first, **face)
    if rng.random() < 0.65:
        return Timeline.steady(start)
    change = round(float(rng.uniform(0.25, 0.75)) * seconds, 2)
    other = first if start.phase is second else second
    return Timeline(((0.0, start), (change, Controls(phase=other, **face))))


def voice_piece(paths: list[Path], rng: np.random.Generator, count: int) -> FloatArray:
    """Return ``count`` samples from somewhere in one of the recordings, as loud as speech is.

    Raises:
        InputError: there is no recording.
    """
    if not paths:
        raise InputError("No voice of this split was given; --voices needs more speakers.")
    samples = read_sound(paths[int(rng.integers(len(paths)))])
    samples = samples / max(0.05, float(np.abs(samples).max())) * 0.6
    start = int(rng.integers(max(1, len(samples) - count)))
    piece = samples[start : start + count]
    return np.pad(piece, (0, count - len(piece))).astype(np.float32)


def animated(name: str, person: str, picture: Path, number: int, tools: Tools) -> VideoClip:
    """Return clip ``number``: the portrait in ``picture`` moves for ``tools.frames`` frames."""
    rng = np.random.default_rng([tools.seed, number])
    timeline = timeline_of(rng, tools.frames / MOTION_FPS)
    phases = [timeline.at(i / MOTION_FPS).phase for i in range(tools.frames)]
    voices = tools.voices[split_of(person) != "train"]
    sound = voice_piece(voices, rng, tools.frames * SAMPLES)
    own = sound * _while(phases, Phase.SPEAKING)
    other = sound * _while(phases, Phase.LISTENING)
    animator = tools.animator
    prepared = animator.prepare(*framed_to(open_portrait(picture), tools.size, True))
    state = animator.start(prepared, int(rng.integers(2**31)))
    made = animator.step(state, Audio(own), timeline, True, Audio(other))[1]
    rest = animator.draw(prepared, visavis.types.Motion.rest(1))[0]
    frames = np.stack([f.image for f in made])
    points, wish = _points([*frames, rest.image]), timeline.keys[0][1]
    return VideoClip(
        name, person, "animated", frames, rest.image, _rows(own, tools),
        np.array([PHASES.index(p) for p in phases]),
        np.full(tools.frames, EMOTIONS.index(wish.emotion)),
        boxes_of(points[:-1], tools.size), points=points[..., :2] / tools.size,
    )  # fmt: skip


def _while(phases: list[Phase], phase: Phase) -> FloatArray:
    """Return 1 for each sample of the frames in ``phase``, else 0."""
    return np.repeat([np.float32(p is phase) for p in phases], SAMPLES)


def _rows(samples: FloatArray, tools: Tools) -> FloatArray:
    """Return the rows of evidence of all frames (t, 4, 45)."""
    return heard(samples, tools.recognizer).reshape(-1, ROWS_PER_FRAME, ROW)


def _points(frames: Iterable[ImageArray]) -> FloatArray:
    """Return the landmarks of every frame (t, 478, 3); a frame without a face has the last ones.

    Raises:
        InputError: the first frame shows no face.
    """
    found, points = None, []
    for frame in frames:
        found = track(frame, found) or found
        if found is None:
            raise InputError("The first frame shows no face.")
        points.append(found.points)
    return np.stack(points)


def square_of(points: FloatArray, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Return left, top and side of the square of head and shoulders in all of ``points``.

    As ``faces.framing`` does with photographs, but without a matte: hair is guessed.
    """
    low, high = (np.median(edge, 0) for edge in (points.min(1), points.max(1)))
    hair = low[1] - HAIR_SHARE * (high[1] - low[1])
    side = int(min((high[1] - hair) / HEAD_SHARE, *shape))
    left = np.clip((low[0] + high[0] - side) / 2, 0, shape[1] - side)
    top = np.clip(hair - ABOVE_SHARE * side, 0, shape[0] - side)
    return int(left), int(top), side


def squared(
    pictures: Iterable[ImageArray], points: FloatArray, size: int
) -> tuple[ImageArray, FloatArray]:
    """Return ``pictures`` cut to one square of ``size`` px, and the landmarks in it."""
    out, region = [], None
    for picture in pictures:
        left, top, side = region = region or square_of(points, picture.shape[:2])
        part = picture[top : top + side, left : left + side]
        way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        out.append(cv2.resize(part, (size, size), interpolation=way))
    left, top, side = region or (0, 0, 1)
    return np.stack(out), (points - np.float32([left, top, 0])) * np.float32(size / side)


def prepared_clips(folder: Path, tools: Tools, done: set[str]) -> Iterator[VideoClip]:
    """Yield what `visavis prepare` accepted of videos, pictures and all, but those ``done``."""
    for video, verdicts in read_report(folder).videos.items():
        starts: dict[float, float] = {}
        for verdict in (v for v in verdicts if v.is_accepted):
            clip = read_clip(folder / f"{verdict.name}.npz")
            if clip.source != "talking":
                continue
            begun = starts.get(verdict.start_s, verdict.start_s + max(0, -verdict.late_ms) / 1000)
            starts[verdict.start_s] = begun + verdict.seconds
            if _key(clip.name) + "-00" not in done:
                yield from _cut(Path(video), clip, verdict, begun, tools)


def _key(name: str) -> str:
    return name.replace(".", "_")


def _cut(
    video: Path, clip: Clip, verdict: Verdict, begun: float, tools: Tools
) -> Iterator[VideoClip]:
    """Yield the pieces of one clip; the sound goes from ``begun`` s, pictures come ``late_ms``."""
    start = begun + verdict.late_ms / 1000
    with VideoReader(video) as reader:
        frames = list(
            islice(reader.pictures(MOTION_FPS, (max(0.0, start), None)), len(clip.motion))
        )
    if not frames:
        return
    pictures, points = squared(frames, _points(frames), tools.size)
    samples = np.pad(clip.samples, (0, max(0, len(frames) * SAMPLES - len(clip.samples))))
    rows = _rows(samples[: len(frames) * SAMPLES], tools)
    speaks = PHASES.index(clip.phase) if clip.is_heard else len(PHASES)
    emotion = EMOTIONS.index(clip.emotion) if clip.emotion else UNKNOWN_EMOTION
    for k, first in enumerate(range(0, len(frames), LONGEST)):
        part = slice(first, first + LONGEST)
        count = len(pictures[part])
        elsewhere = 0 if first else len(pictures) - 1
        shown = np.concatenate([points[part], points[elsewhere : elsewhere + 1]])
        yield VideoClip(
            f"{_key(clip.name)}-{k:02d}", clip.person, "talking", pictures[part],
            pictures[elsewhere], rows[part], np.full(count, speaks), np.full(count, emotion),
            boxes_of(points[part], tools.size), is_heard=clip.is_heard,
            points=shown[..., :2] / tools.size,
        )  # fmt: skip


def stills(pictures: list[Path], size: int, done: set[str]) -> Iterator[VideoClip]:
    """Yield the portraits in ``pictures`` that show a face, but those ``done``."""
    for path in pictures:
        name, person = f"still-{path.parent.name}-{path.stem}", person_of(path)
        found = None if name in done else track(read_image(path), None)
        if found is not None:
            framed, points = squared([read_image(path)], found.points[None], size)
            yield still(name, person, framed[0], points[0], UNKNOWN_EMOTION)


def person_of(path: Path) -> str:
    """Return who a portrait shows: the made-up persons are numbered by file and folder."""
    return f"{path.parent.name}-{path.stem}"


def moving(pictures: list[Path], count: int, tools: Tools, done: set[str]) -> Iterator[VideoClip]:
    """Yield ``count`` animated clips, the portraits in turn, but those ``done``."""
    for number in range(count):
        path = pictures[number * 7919 % len(pictures)]  # a prime: spread, whatever the count
        name = f"animated-{tools.seed}-{number:06d}"
        if name in done:
            continue
        try:
            yield animated(name, person_of(path), path, number, tools)
        except VisavisError as error:
            print(f"{path}: {error}")


def main() -> None:
    """Make the clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--portraits", type=Path, nargs="*", default=[], help="folders")
    parser.add_argument("--voices", type=Path, nargs="*", default=[], help="folders")
    parser.add_argument("--clips", type=int, default=0, help="animated ones to make")
    parser.add_argument("--stills", type=int, default=0, help="portraits to take as they are")
    parser.add_argument("--prepared", type=Path, help="made by `visavis prepare`")
    parser.add_argument("--frames", type=int, default=48, help="of an animated clip")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--quality", default="standard", help="of the renderer")
    parser.add_argument("--webp", type=int, default=QUALITY, help="quality of stored pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-mib", type=int, default=SHARD_BYTES >> 20)
    args = parser.parse_args()
    watch = Stopwatch()
    tools = Tools(
        visavis.load(quality=args.quality), PhoneRecognizer(), voices_of(args.voices),
        args.size, args.frames, args.seed,
    )  # fmt: skip
    done = set(Shards(args.out).keys) if list(args.out.glob("*.tar")) else set()
    pictures = [p for folder in args.portraits for p in sorted(folder.glob("*.*"))]
    count = frames = 0
    with ShardWriter(args.out, most=args.shard_mib << 20) as writer:
        made = [moving(pictures, args.clips, tools, done)]
        made.append(stills(pictures[:: max(1, len(pictures) // max(1, args.stills))][: args.stills],
                           args.size, done))  # fmt: skip
        if args.prepared:
            made.append(prepared_clips(args.prepared, tools, done))
        for clip in (clip for kind in made for clip in kind):
            writer.write(clip.name, to_fields(clip, args.webp))
            count, frames = count + 1, frames + len(clip)
    size = sum(p.stat().st_size for p in args.out.glob("*.tar")) / 2**20
    print(json.dumps({"clips": count, "frames": frames, "seconds": round(watch.elapsed_s()),
                      "shards_mib": round(size, 1)}))  # fmt: skip


if __name__ == "__main__":
    main()
