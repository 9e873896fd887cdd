"""Part *compare* of benchmarks/video.py: latent models and the motion-space path, same inputs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from video_models import Model
from video_people import Scene, portraits, speeches

import visavis
from visavis.eval.evaluate import Evaluation, evaluate
from visavis.eval.report import write_report
from visavis.media.read import VideoReader
from visavis.types import MOTION_FPS, SAMPLE_RATE, ImageArray

MOTION = "motion space"
ACROSS = 10
"""Moments on a contact sheet, evenly apart in speech."""
SHOWN = (
    "closure_recall", "closures", "false_closures", "opening_recall", "av_offset_ms",
    "av_correlation", "mouth_speed_in_silence", "head_jitter", "blinks_per_min",
    "identity_distance", "sharpness", "flicker", "background_change", "face_seen",
)  # fmt: skip


def compare(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Animate the same portraits with the same voices; return what `visavis evaluate` says.

    Videos, report pages and a contact sheet for each portrait go to ``args.out``.
    """
    folder = args.out / "compare"
    folder.mkdir(parents=True, exist_ok=True)
    ways: dict[str, Path | None] = {m.name: m.folder for m in models} | {MOTION: None}
    found: dict[str, list[Evaluation]] = {name: [] for name in ways}
    scenes = speeches(args.shared, args.speeches, args.seconds, 256)
    for number, (scene, path) in enumerate(
        zip(scenes, portraits(args.shared, args.speeches), strict=True)
    ):
        rows = []
        for name, model in ways.items():
            stem = "".join(c if c.isalnum() else "_" for c in f"{name}_{number}")
            video = folder / f"{stem}.mp4"
            _animate(args, scene, path, video, model)
            result = _judged(scene, path, video, folder / f"{stem}.html")
            found[name].append(result)
            rows.append((name, _moments(video, scene)))
        cv2.imwrite(str(args.out / f"compare_{number}.png"), sheet(rows, scene)[..., ::-1])
    return {name: _mean([r.figures for r in results]) for name, results in found.items()}


def _animate(
    args: argparse.Namespace, scene: Scene, path: Path, video: Path, model: Path | None
) -> None:
    visavis.animate(
        str(path), (scene.samples, SAMPLE_RATE), video, size=args.sizes[0], seed=args.seed,
        model=None if model is None else str(model),
    )  # fmt: skip


def _judged(scene: Scene, path: Path, video: Path, page: Path) -> Evaluation:
    phones = video.with_suffix(".json")
    end = len(scene.rows) / 100
    phones.write_text(json.dumps([p for p in scene.phones if p[1] <= end]), "utf-8")
    result = evaluate(video, portrait=path, phones=phones)
    write_report(page, video, result)
    return result


def _times(scene: Scene) -> list[tuple[int, str]]:
    """Return frames for the sheet and what is said there: phones one hears, evenly apart."""
    end = len(scene.rows) / 100
    spoken = [p for p in scene.phones if p[2] != "SIL" and p[1] < end - 0.1]
    picked = [spoken[i] for i in np.linspace(0, len(spoken) - 1, ACROSS).astype(int)]
    return [(round((a + b) / 2 * MOTION_FPS), phone) for a, b, phone in picked]


def _moments(video: Path, scene: Scene) -> list[ImageArray]:
    wanted = dict.fromkeys(frame for frame, _ in _times(scene))
    with VideoReader(video) as reader:
        kept = {i: image for i, (image, _) in enumerate(reader) if i in wanted}
    last = max(kept)
    return [kept.get(frame, kept[last]) for frame in wanted]


def sheet(rows: Sequence[tuple[str, Sequence[ImageArray]]], scene: Scene) -> ImageArray:
    """Return pictures in rows, the portrait first, with names over the rows and phones below."""
    side, strip = 192, 22
    out = []
    for name, images in rows:
        shown = [scene.portrait.image, *images]
        cells = [cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in shown]
        line = np.full((strip, side * len(cells), 3), 255, np.uint8)
        _write(line, name, 4)
        for k, (_, phone) in enumerate(_times(scene)[: len(images)], 1):
            _write(line, phone, k * side + side // 2)
        out += [line, np.concatenate(cells, 1)]
    width = max(part.shape[1] for part in out)
    wide = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in out]
    return np.concatenate(wide)


def _write(line: ImageArray, text: str, x: int) -> None:
    cv2.putText(line, text, (x, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 40), 1, cv2.LINE_AA)


def _mean(figures: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each figure over the videos in which it can be told."""
    out: dict[str, float | None] = {}
    for name in SHOWN:
        known = [f[name] for f in figures if f[name] is not None]
        out[name] = float(np.mean(known)) if known else None
    return out
