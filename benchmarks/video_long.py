"""Parts *switch* and *long* of benchmarks/video.py: does anything jump, does anything drift?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import players
from charts import Curve, Panel, draw
from renderer_drift import SKIN, renamed
from video_models import Model
from video_people import ROWS_A_FRAME, portraits, seated
from video_scores import follow, some

from stream import report_drift, slope
from visavis.audio.features import ROWS_PER_SECOND
from visavis.errors import MissingExtra
from visavis.eval import lips, regions
from visavis.eval.alignment import Heard, decode
from visavis.eval.identity import IdentityNet
from visavis.motion.controls import Controls, Timeline
from visavis.types import MOTION_FPS, Features, FloatArray, ImageArray, Phase, Portrait

STRETCH_S, WATCHED_S = 10, 4
"""Of each stretch so many seconds are drawn and watched."""
EVERY = 2
"""Every so many frames are drawn of these."""
PHASES_S = 2.4
"""Time between changes of phase."""
NEAR = 2
"""Frames on either side of a change that count as its own."""


def switch(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Draw the change from frame to frame around changes of phase; return how far it stands out.

    *ratio*: the largest change within NEAR frames of a switch, in 95th percentiles of the speaker's
    other changes. *seam*: the mean change where clips meet, in that within clips.
    """
    phases = [Phase.SPEAKING, Phase.LISTENING, Phase.SPEAKING, Phase.IDLE, Phase.SPEAKING]
    keys = tuple((i * PHASES_S, Controls(phase=p)) for i, p in enumerate(phases))
    frames = round(PHASES_S * len(phases) * MOTION_FPS)
    rows = players.hear(players.long_speech(args.shared, frames / MOTION_FPS)).values
    at = [round(i * PHASES_S * MOTION_FPS) for i in range(1, len(phases))]
    result, curves = {}, []
    for model in models:
        portrait = seated(portraits(args.shared, 1)[0], model.settings.side)
        looks = model.prepare(portrait)
        motion = model.moved(looks, rows[: frames * ROWS_A_FRAME], Timeline(keys), args.seed)
        change = changes(model.pictures(looks, motion))
        near = np.zeros(len(change), bool)
        for frame in at:
            near[max(0, frame - 1 - NEAR) : frame + NEAR] = True
        usual = float(np.percentile(change[~near], 95))
        largest = [float(change[max(0, f - 1 - NEAR) : f + NEAR].max()) for f in at]
        result[model.name] = {
            "usual_p95": usual,
            "largest": largest,
            "ratio": max(largest) / max(usual, 1e-6),
            "seam": seam(model, change, at),
        }
        curves.append(Curve(model.name, np.arange(1, frames) / MOTION_FPS, change))
    top = max(c.y.max() for c in curves)
    marks = [Curve("", [f / MOTION_FPS] * 2, [0, top], ":") for f in at]
    title = "Change from frame to frame: speaks, listens, speaks, idles, speaks"
    draw(args.out / "switch.png", [Panel(title, "s", "grey levels", (*curves, *marks))], across=1)
    return result


def changes(images: Sequence[ImageArray]) -> FloatArray:
    """Return the mean absolute change (t - 1,) from picture to picture, in grey levels."""
    grey = np.stack([cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in images]).astype(np.float32)
    found: FloatArray = np.abs(np.diff(grey, axis=0)).mean((1, 2))
    return found


def seam(model: Model, change: FloatArray, switches: Sequence[int]) -> float | None:
    """Return the mean change where clips meet over that within clips; the plan is the model's."""
    meets, plan, frame, clip = [], model.settings.plan(), 0, 0
    stops = [*switches, len(change) + 1]
    while frame < len(change):
        stop = next(s for s in stops if s > frame)
        clip = 0 if frame in switches else clip
        frame = min(frame + plan.length(clip), stop)
        clip += 1
        meets.append(frame)
    at = np.array([f - 1 for f in meets if f - 1 < len(change)])
    within = np.delete(change, at)
    return float(change[at].mean() / within.mean()) if len(at) and within.mean() > 0 else None


def long(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Draw identity, colour, sharpness and sync of every ten seconds; return how they drift."""
    seconds = args.minutes * 60
    rows = players.hear(players.long_speech(args.shared, seconds)).values
    try:
        net = IdentityNet()
    except MissingExtra as reason:
        print(f"left out: {reason}")
        net = None
    result: dict[str, Any] = {}
    tables: dict[str, dict[str, FloatArray]] = {}
    for model in models:
        portrait = seated(portraits(args.shared, 1)[0], model.settings.side)
        stretches = list(_stretches(model, portrait, rows, net, args.seed))
        tables[model.name] = {k: np.array([s[k] for s in stretches]) for k in stretches[0]}
        print(f"\n{model.name}: drift over {args.minutes:g} minutes")
        series = {k: v for k, v in tables[model.name].items() if np.isfinite(v).all()}
        found = {k: renamed(slope(v)) for k, v in series.items()} if len(stretches) > 2 else {}
        result[model.name] = {
            "first": {k: float(v[0]) for k, v in series.items()},
            "last": {k: float(v[-1]) for k, v in series.items()},
            "mean": {k: float(v.mean()) for k, v in series.items()},
            "drifts": report_drift(found) if found else None,
        }
    _draw(args, tables)
    return result


def _stretches(
    model: Model, portrait: Portrait, rows: FloatArray, net: IdentityNet | None, seed: int
) -> Iterator[dict[str, float]]:
    """Yield the figures of each ten seconds of one session."""
    looks, step = model.prepare(portrait), STRETCH_S * MOTION_FPS
    state = model.motion.start(seed, looks)
    own = None if net is None else net.describe(portrait.image, portrait.landmarks)
    longest, frame = model.settings.longest, 0
    total = len(rows) // ROWS_A_FRAME
    shown: list[ImageArray] = []
    while frame < total:
        end = min(total, (frame // step + 1) * step)
        length = min(longest, end - frame)
        near = rows[ROWS_A_FRAME * frame : ROWS_A_FRAME * (frame + length + 4)]
        heard = Features(near, ROWS_PER_SECOND)
        state, motion = model.motion.extend(state, heard, Timeline(), length)
        wanted = [
            i for i in range(length)
            if (frame + i) % step < WATCHED_S * MOTION_FPS and (frame + i) % EVERY == 0
        ]  # fmt: skip
        shown += model.pictures(looks, motion, wanted)
        power = float(np.square(motion.latents[:, 0]).mean())
        frame += length
        if frame == end and len(shown) > STRETCH_S:
            first = end - step if end % step == 0 else end // step * step
            part = rows[ROWS_A_FRAME * first :][: ROWS_PER_SECOND * WATCHED_S]
            yield {"latents": power, **_figures(shown, portrait, part, net, own)}
            shown = []


def _figures(
    shown: Sequence[ImageArray],
    portrait: Portrait,
    rows: FloatArray,
    net: IdentityNet | None,
    own: FloatArray | None,
) -> dict[str, float]:
    """Return what is seen of one stretch, ``rows`` of which are heard meanwhile."""
    seen = follow(shown, portrait, MOTION_FPS / EVERY)
    phones = decode(rows[:, :40])
    gap = None if seen.curves is None else seen.curves.gap[: len(phones)]
    sync = np.nan
    if gap is not None:
        heard = Heard(phones[: len(gap)], np.zeros(len(gap), np.float32))
        sync = lips.gap_correlation(gap, heard)
    pairs = some([(x, p) for x, p in zip(shown, seen.points, strict=True) if p is not None], 8)
    labs, sharp, apart = [], [], []
    for image, points in pairs:
        face = regions.cut_out(image, regions.place(regions.FACE, points), regions.FACE.size)
        sharp.append(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
        lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        labs.append(np.mean([_spot(lab, *at) for at in SKIN], axis=0))
        if net is not None and own is not None:
            apart.append(float(np.linalg.norm(net.describe(image, points) - own)))
    colour = np.mean(labs, axis=0) if labs else [np.nan] * 3
    return {
        "identity": float(np.mean(apart)) if apart else np.nan,
        "skin L": float(colour[0]),
        "skin a": float(colour[1]),
        "skin b": float(colour[2]),
        "sharpness": float(np.mean(sharp)) if sharp else np.nan,
        "sync": float(sync),
        "face seen": float(np.mean([p is not None for p in seen.points])),
    }


def _spot(lab: FloatArray, x: float, y: float) -> FloatArray:
    """Return the mean colour (3,) round the place at shares ``x`` and ``y`` of the sides."""
    row, column = int(y * lab.shape[0]), int(x * lab.shape[1])
    mean: FloatArray = lab[row - 8 : row + 8, column - 8 : column + 8].mean((0, 1))
    return mean


def _draw(args: argparse.Namespace, tables: dict[str, dict[str, FloatArray]]) -> None:
    names = list(next(iter(tables.values())))
    panels = []
    for name in names:
        curves = [
            Curve(model, (np.arange(len(t[name])) + 0.5) * STRETCH_S / 60, t[name])
            for model, t in tables.items()
        ]
        panels.append(Panel(name, "minute", "", tuple(curves)))
    heading = f"{args.minutes:g} minutes of speech: {WATCHED_S} s of every {STRETCH_S}"
    draw(args.out / "long.png", panels, across=3, heading=heading)
