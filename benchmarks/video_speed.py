"""Parts *lengths* and *speed* of benchmarks/video.py: what clips of each length cost and give."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from charts import Curve, Panel, draw
from video_models import Clock, Model
from video_people import ROWS_A_FRAME, Scene, clips, portraits, seated
from video_scores import Judge, Seen, distances, follow, mouths

from visavis.animator import MotionAnimator, Prepared, spoken
from visavis.audio.features import ROWS_PER_SECOND
from visavis.audio.phones import PhoneRecognizer
from visavis.machine import cpu_name, cpu_threads
from visavis.motion.controls import Timeline
from visavis.timing import Stopwatch
from visavis.types import MOTION_FPS, SAMPLE_RATE, Features, FloatArray
from visavis.video.inputs import AFTER

LENGTHS = (2, 4, 8, 16, 32)
PIECE = SAMPLE_RATE // 5


def lengths(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Return of clips of each length how they look, what they cost, how soon the first is there.

    *first_ms*: computing from the last sound needed to the first picture; the sound itself
    (*sound_ms*) comes before. *fps*: latents, then pictures, on one core.
    """
    model, judge = models[0], Judge(is_quick=args.quick)
    side = model.settings.side
    scenes = list(clips(args.shards, args.clips, args.sources, side))
    true = Seen(scenes, [follow(s.frames, s.portrait) for s in scenes], judge)
    rows: dict[str, Any] = {}
    for length in args.lengths:
        clock = Clock()
        timed = Model(**{**vars(model), "clock": clock})
        watched = [_played(timed, scene, args.seed, length) for scene in scenes]
        made = Seen(scenes, watched, judge)
        rows[str(length)] = {
            **distances(made, true), **mouths(made, true), **clock.per_frame(),
            **_first(model, scenes[0], length), "sound_ms": 1000 * (length + AFTER) / MOTION_FPS,
        }  # fmt: skip
        print(f"{length} frames: " + told(rows[str(length)]), flush=True)
    x = list(args.lengths)
    panels = []
    for key in ("fvd", "mouth_like", "first_ms", "fps"):
        values = [_number(rows[str(n)].get(key)) for n in x]
        panels.append(Panel(key, "new frames in a clip", "", (Curve("", x, values, "o-"),), "x"))
    draw(args.out / "lengths.png", panels, heading=f"{model.name}: clips of each length")
    return rows


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def told(row: dict[str, Any]) -> str:
    """Return ``row`` in a line."""
    return "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())


def _played(model: Model, scene: Scene, seed: int, length: int | None) -> Any:
    looks = model.prepare(scene.portrait)
    motion = model.moved(looks, scene.rows, scene.timeline, seed, length)
    return follow(model.pictures(looks, motion), scene.portrait)


def _first(model: Model, scene: Scene, length: int, times: int = 5) -> dict[str, float]:
    """Return the median ms of a session's first clip and its first picture."""
    looks = model.prepare(scene.portrait)
    heard = Features(scene.rows[: ROWS_A_FRAME * (length + AFTER)], ROWS_PER_SECOND)

    def once() -> None:
        _, motion = model.motion.extend(model.motion.start(0, looks), heard, Timeline(), length)
        model.renderer.draw(looks, motion[:1])

    return {"first_ms": _median_ms(once, times)}


def _median_ms(run: Callable[[], Any], times: int) -> float:
    run()
    spent = []
    for _ in range(times):
        watch = Stopwatch()
        run()
        spent.append(1000 * watch.elapsed_s())
    return statistics.median(spent)


def speed(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Return what each network costs, and frames a second of all, side by side and in turn.

    Sound in, pictures out; hearing, U-Net and decoder. *in turn*: one after the other on a thread.
    *ahead*: clips are made by another thread. *two threads*: in turn, but every network on two.
    """
    result: dict[str, Any] = {"cpu": cpu_name(), "threads": cpu_threads()}
    sound = _sound(args.shared, args.seconds)
    for model in models:
        portrait = seated(portraits(args.shared, 1)[0], model.settings.side)
        row: dict[str, Any] = {"ms": _networks(model, portrait)}
        for size in args.sizes:
            wide = Model.open(str(model.folder), Path(args.scratch), threads=2)
            row[f"{size} px"] = {
                "in turn": _fps(model, portrait, size, sound, is_ahead=False),
                "ahead": _fps(model, portrait, size, sound, is_ahead=True),
                "two threads": _fps(wide, portrait, size, sound, is_ahead=False),
            }
            print(f"{model.name} at {size} px: " + told(row[f"{size} px"]), flush=True)
        result[model.name] = row
    return result


def _networks(model: Model, portrait: Any) -> dict[str, float]:
    """Return ms of each network by itself, the denoiser's by new frames."""
    watch = Stopwatch()
    looks = model.prepare(portrait)
    found = {"portrait": 1000 * watch.elapsed_s()}
    rows = np.zeros((4 * 40, 45), np.float32)
    for length in LENGTHS:
        heard = Features(rows[: ROWS_A_FRAME * (length + AFTER)], ROWS_PER_SECOND)
        state = model.motion.start(0, looks)
        given = (state, heard, Timeline(), length)
        ms = _median_ms(lambda told_all=given: model.motion.extend(*told_all), 5)
        found[f"clip of {length}"] = ms
        found[f"a frame of {length}"] = ms / length
    _, motion = model.motion.extend(state, heard, Timeline(), 2)
    told_of = {"change": motion.latents[0, :1], "before": motion.latents[0, 1:], **looks.guide}
    found["decoder"] = _median_ms(lambda: model.networks["decoder"](told_of), 10)
    found["picture"] = _median_ms(lambda: model.renderer.draw(looks, motion[:1]), 10)
    return found


def _sound(shared: Path, seconds: float) -> FloatArray:
    import players

    return players.long_speech(shared, seconds)


def _fps(model: Model, portrait: Any, size: int, sound: FloatArray, *, is_ahead: bool) -> float:
    """Return frames a second from sound to pictures of ``size`` px."""
    animator = MotionAnimator(PhoneRecognizer(), model.motion, model.renderer)
    prepared = Prepared(model.prepare(portrait, size), (size, size))
    pieces = [(sound[i : i + PIECE], None) for i in range(0, len(sound), PIECE)]
    found, count = model.motion.works_ahead, 0
    model.motion.works_ahead = is_ahead
    try:
        watch = Stopwatch()
        for _ in spoken(animator, prepared, pieces, 0):
            count += 1
        return count / watch.elapsed_s()
    finally:
        model.motion.works_ahead = found
