"""Motion from sound beside tracked real people whom no training saw (issue 3, item 2).

``python benchmarks/motion.py --shared ../shared --clips CLIPS [--teacher T.onnx] [--student S.onnx]
[--out FOLDER]`` plays the sound of held-out talking clips (made by ``visavis.data``) to the teacher
(50 and 10 steps), the one-step student (the packaged network by default) with 1, 2 and 4 steps, and
First light's rules, each with several seeds; chance is a stretch of another real person's motion
from the training clips. It prints tables, writes figures to ``--out``, and JSON last.

Columns: *lips* are distances of lip points on an average face (``visavis.eval.dynamics.LipError``);
*Fréchet* 1 is a face frozen at people's mean; what chance has there is what other real people have.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import motion_figures
import numpy as np
import players
from motion_figures import OTHERS, SHOWN
from motion_people import GROUPS, Made, Make, People, chance, people

from visavis.eval import dynamics
from visavis.motion.layout import INDEX
from visavis.motion.rules import RuleMotion
from visavis.types import MOTION_FPS, FloatArray

DRAWS = 400
"""Redraws of the clips, for the margin of error (bootstrap, Efron 1979)."""
PAIR = ("1 step", "teacher, 50 steps")
ALLOWED = 1.05


def systems(args: argparse.Namespace, real: People) -> dict[str, Make]:
    """Return what is compared by name."""
    heard = [players.hear(c.samples) for c in real.clips]

    def player(model) -> Make:
        def make(clip: int, seed: int) -> FloatArray:
            wanted = len(real.motions[clip])
            values = players.play(model, heard[clip], seed)[:wanted]
            return np.pad(values, ((0, wanted - len(values)), (0, 0)), "edge")

        return make

    out: dict[str, Make] = {}
    guidance = {k: float(v) for k, v in (x.split("=") for x in args.guidance.split(",") if x)}
    if args.teacher:
        for steps in (50, 10):
            model = players.diffused(args.teacher, steps, guidance=guidance)
            out[f"teacher, {steps} steps"] = player(model)
    for steps in args.steps:
        name = f"{steps} step{'s' * (steps > 1)}"
        out[name] = player(players.diffused(args.student, steps))
    return {**out, "rules": player(RuleMotion()), "chance": chance(real)}


def lips(made: Made, real: People) -> dict[str, FloatArray]:
    """Return each figure of ``LipError`` for each clip, mean over seeds."""
    found = [
        [asdict(dynamics.lip_error(m, r)) for m, r in zip(seed, real.motions, strict=True)]
        for seed in made.motions
    ]
    return {k: np.array([[c[k] for c in s] for s in found]).mean(axis=0) for k in found[0][0]}


class Windows:
    """Real windows in each group's space, and how far made ones are from them."""

    def __init__(self, real: People, is_centred: bool) -> None:
        """Fit the spaces to all real clips."""
        clips = [c.motion for c in (*real.training, *real.clips)]
        self.spaces = [dynamics.make_space(clips, real.metrics[g], is_centred) for g in GROUPS]
        (self.real,) = self.embedded(Made("real", (real.motions,)))

    def embedded(self, made: Made) -> list[list[list[FloatArray]]]:
        """Return the windows (n, k) of each seed, group and clip."""
        return [
            [[dynamics.embed(s, [c]) for c in seed] for s in self.spaces] for seed in made.motions
        ]

    def distances(self, made: list[list[list[FloatArray]]], pick: np.ndarray) -> FloatArray:
        """Return the Fréchet distance of each group, mean over seeds, and the mean over groups.

        Over the clips ``pick``, some of which may come more than once.
        """

        def picked(windows: list[FloatArray]) -> FloatArray:
            return np.concatenate([windows[i] for i in pick])

        found = [
            [dynamics.frechet(picked(a), picked(b)) for a, b in zip(seed, self.real, strict=True)]
            for seed in made
        ]
        each = np.mean(found, axis=0)
        return np.append(each, each.mean())


def ratio_with_margin(one: FloatArray, two: FloatArray) -> tuple[float, float]:
    """Return the ratio of two means over clips and its standard error under redrawn clips."""
    rng = np.random.default_rng(1)
    picks = rng.integers(len(one), size=(DRAWS, len(one)))
    return float(one.mean() / two.mean()), float((one[picks].mean(1) / two[picks].mean(1)).std())


def frechets(every: Sequence[Made], real: People) -> tuple[dict, dict]:
    """Return distances by system and group, and one step over teacher with its margin of error.

    "moving": each clip's mean taken out. "mean": over the groups; people would have to be filmed
    for longer to tell how groups go together.
    """
    table: dict[str, dict[str, float]] = {m.name: {} for m in every}
    ratios = {}
    rng = np.random.default_rng(2)
    picks = rng.integers(len(real.clips), size=(DRAWS // 4, len(real.clips)))
    for kind in ("", " moving"):
        windows = Windows(real, is_centred=bool(kind))
        made = {m.name: windows.embedded(m) for m in every}
        for name, parts in made.items():
            row = windows.distances(parts, np.arange(len(real.clips)))
            table[name] |= {g + kind: d for g, d in zip((*GROUPS, "mean"), row, strict=True)}
        if set(PAIR) <= set(made):
            drawn = np.array([[windows.distances(made[n], p) for n in PAIR] for p in picks])
            margins = np.std(drawn[:, 0] / drawn[:, 1], axis=0)
            for g, margin in zip((*GROUPS, "mean"), margins, strict=True):
                one, fifty = (table[n][g + kind] for n in PAIR)
                ratios[f"{g}{kind}"] = (one / fifty, float(margin))
    return table, ratios


def events(clips: Sequence[FloatArray]) -> dict[str, float]:
    """Return how often and how far ``clips`` move."""
    waits = dynamics.blink_intervals_s(clips)
    pitch, yaw, roll = np.mean([dynamics.head_range_deg(c) for c in clips], axis=0)
    return {
        "blinks_per_min": dynamics.per_minute(sum(len(dynamics.blinks(c)) for c in clips), clips),
        "blink_interval_s": float(np.median(waits)) if waits else float("nan"),
        "saccades_per_min": dynamics.per_minute(
            sum(len(dynamics.saccades(c)) for c in clips), clips
        ),
        "head_speed_deg_s": float(np.mean([dynamics.head_speed_deg_s(c) for c in clips])),
        "head_jitter_deg": float(np.mean([dynamics.head_jitter_deg(c) for c in clips])),
        "pitch_range_deg": pitch, "yaw_range_deg": yaw, "roll_range_deg": roll,
    }  # fmt: skip


def spectral(clips: Sequence[FloatArray], real: Sequence[FloatArray]) -> dict[str, float]:
    """Return the log-spectral distance to ``real`` in dB for what is shown."""
    out = {}
    for title, name in SHOWN.items():
        chosen = np.array([INDEX[name]])
        hertz, wanted = dynamics.spectrum(real, chosen)
        made = dynamics.spectrum(clips, chosen)[1]
        out[title] = dynamics.log_spectral_distance(hertz, made, wanted)
    return out


def variety(made: Made, real: People) -> dict[str, float]:
    """Return for each group how much seeds of one sound vary, over how much real clips do."""
    out = {}
    for g in GROUPS:
        metric = real.metrics[g]
        people_vary = dynamics.variation(real.motions, metric)
        seeds = [dynamics.variation(clip, metric) for clip in zip(*made.motions, strict=True)]
        out[g] = float(np.sqrt(np.mean(np.square(seeds)))) / people_vary
    return {**out, "mean": float(np.mean(list(out.values())))}


def show(title: str, table: dict[str, dict[str, float]], digits: int = 3) -> None:
    """Print ``table``, a line for each system."""
    keys = list(next(iter(table.values())))
    print(f"\n{title}\n{'':20}" + "".join(f"{k[-16:]:>17}" for k in keys))
    for name, row in table.items():
        print(f"{name:20}" + "".join(f"{row[k]:17.{digits}f}" for k in keys))


def long_run(args: argparse.Namespace, real: People) -> dict[str, list[FloatArray]]:
    """Return minutes of speech as motion, beside all real clips: blinks are rare.

    Cut to the lengths of the real clips, since a short clip cannot show a long wait.
    """
    people = [*real.takes, *(c.motion for c in (*real.clips, *real.training))]
    heard = players.hear(players.long_speech(args.shared, 60.0 * args.minutes))

    def like_people(values: FloatArray) -> list[FloatArray]:
        parts, lengths = [], cycle(map(len, people))
        while len(values) > 0:
            length = next(lengths)
            parts.append(values[:length])
            values = values[length:]
        return parts

    return {
        "real": people,
        "1 step": like_people(players.play(players.diffused(args.student), heard)),
        "rules": like_people(players.play(RuleMotion(), heard)),
    }


def verdict(
    found: dict[str, dict[str, FloatArray]], distances: dict[str, tuple[float, float]]
) -> dict[str, dict[str, float]]:
    """Return one step over the 50-step teacher for each figure, with its margin of error."""
    ratios = dict(distances)
    if set(PAIR) <= set(found):
        one, fifty = (found[n] for n in PAIR)
        for key in ("mean_cm", "worst_cm", "speed_cm_s", "fitted_cm", "fitted_speed_cm_s"):
            ratios[f"lips {key}"] = ratio_with_margin(one[key], fifty[key])
    return {
        k: {"ratio": r, "margin": m, "within_5_percent": float(r <= ALLOWED)}
        for k, (r, m) in ratios.items()
    }


def rounded(x):
    """Return ``x`` with its numbers fit to read."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return None if isinstance(x, float) and not np.isfinite(x) else round(x, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips (visavis.data)")
    parser.add_argument("--teacher", type=Path, help="ONNX of the teacher")
    parser.add_argument("--student", type=Path, help="ONNX of the student, else the packaged one")
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 2, 4], help="of the student")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.0, help="of speech to count blinks in")
    parser.add_argument("--shortest", type=float, default=2.5, help="shorter clips are left out, s")
    parser.add_argument("--traces", type=int, default=2, help="clips drawn as examples")
    parser.add_argument("--guidance", default="", help="of the teacher: speech=1.5,emotion=2")
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/motion"))
    args = parser.parse_args()
    real = people(args.clips, args.shortest)
    every = []
    for name, make in systems(args, real).items():
        seeds = range(args.seeds)
        motions = [tuple(make(c, s) for c in range(len(real.clips))) for s in seeds]
        every.append(Made(name, tuple(motions)))
        print(f"made: {name}", flush=True)
    result = measure(every, real)
    minutes = long_run(args, real)
    result["long_run"] = {name: events(clips) for name, clips in minutes.items()}
    show("Events in minutes of speech", result["long_run"], 2)
    training = [c.motion for c in real.training]
    made = {m.name: m.flat for m in every if m.name != "chance"}
    motion_figures.spectra(args.out, {"real": real.motions, OTHERS: training, **made})
    motion_figures.blinks(args.out, minutes)
    for i in np.argsort([-len(m) for m in real.motions])[: args.traces]:
        example = {m.name: m.motions[0][i] for m in every if m.name in (*PAIR, "rules")}
        motion_figures.traces(args.out, real.clips[i].name, {"real": real.motions[i], **example})
    print(json.dumps(rounded(result)))


def measure(every: Sequence[Made], real: People) -> dict:
    """Return and print every table."""
    frames = sum(len(m) for m in real.motions)
    about = {
        "clips": len(real.clips), "persons": len({c.person for c in real.clips}),
        "seconds": frames / MOTION_FPS, "windows": frames // dynamics.HOP,
        "training_clips": len(real.training), "seeds": len(every[0].motions),
    }  # fmt: skip
    print(", ".join(f"{k} {v:g}" for k, v in about.items()))
    found = {m.name: lips(m, real) for m in every}
    table, ratios = frechets(every, real)
    tables = {
        "lips": {n: {k: float(v.mean()) for k, v in row.items()} for n, row in found.items()},
        "frechet": table,
        "events": {"real": events(real.motions), **{m.name: events(m.flat) for m in every}},
        "spectra_db": {m.name: spectral(m.flat, real.motions) for m in every},
        "variety_over_real": {m.name: variety(m, real) for m in every},
    }
    for title, rows in tables.items():
        show(title, rows)
    judged = verdict(found, ratios)
    if judged:
        show("One step over the 50-step teacher", judged)
    return {"about": about, **tables, "one_step_over_teacher": judged}


if __name__ == "__main__":
    main()
