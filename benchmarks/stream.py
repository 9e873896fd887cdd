"""The motion model as a stream: how fast, whether cutting matters, whether an hour drifts.

``python benchmarks/stream.py --shared ../shared [--network N.onnx] [--parts speed cuts drift]``

*speed*: wall-clock and processor milliseconds with 1, 2, 4, 10 and 50 steps and one or two threads,
speech encoder included: a frame in chunks of a second, and the whole of a first chunk of four
frames (all the sound it needs, heard and moved). *cuts*: the same sound in random pieces must give
the same bits. *drift*: an hour of people reading, statistics of each minute drawn to ``--out``, a
straight line through each; a line counts as drift where it leaves its own scatter (|t| > 4) or
where the last ten minutes do from the first ten. JSON last.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import players
from charts import Curve, Panel, draw

from visavis.audio.phones import PhoneRecognizer
from visavis.eval import dynamics
from visavis.motion.base import MotionModel
from visavis.motion.chunks import LIVE, ChunkPlan
from visavis.motion.contact import lip_gap
from visavis.motion.controls import Controls, Timeline
from visavis.motion.layout import INDEX, pack
from visavis.types import MOTION_FPS, SAMPLE_RATE, Audio, FloatArray, Phase

STEPS = (1, 2, 4, 10, 50)
FRAME_MS, FIRST_MS = 1.5, 12.0
"""Targets: a frame in chunks of a second, and the first chunk."""
SURE = 4.0
"""An hour without drift has any statistic so far off about one time in forty."""
MINUTE = 60 * MOTION_FPS


class Session:
    """A recording played to the encoder and a motion model, piece by piece."""

    def __init__(self, model: MotionModel, timeline: Timeline, seed: int = 0) -> None:
        """Start a fresh session."""
        self.recognizer, self.model, self.timeline = PhoneRecognizer(), model, timeline
        self.heard, self.overheard = self.recognizer.start(), self.recognizer.start()
        self.state = model.start(seed)

    def step(
        self, piece: FloatArray, final: bool = False, other: FloatArray | None = None
    ) -> FloatArray:
        """Take a piece of sound, and one of the other person's; return motion (t, 58)."""
        self.heard, own = self.recognizer.step(self.heard, Audio(piece), final)
        rows = None
        if other is not None:
            self.overheard, rows = self.recognizer.step(self.overheard, Audio(other), final)
        self.state, motion = self.model.step(self.state, own, self.timeline, final, rows)
        return pack(motion)


def speed(network: Path | None, sound: FloatArray, seconds: int) -> list[dict[str, float]]:
    """Return how long a frame and a first chunk take, a row for each way."""
    rows = []
    for threads in (1, 2):
        for steps in STEPS:
            length = max(6, seconds // (1 if steps <= 4 else 5))
            model = players.diffused(network, steps, threads=threads)
            row = {"threads": threads, "steps": steps, **_frame_ms(model, sound, length)}
            row |= _first_ms(model, sound, 40 if steps <= 4 else 8)
            rows.append(row)
            print("  ".join(f"{k} {v:8.2f}" for k, v in row.items()), flush=True)
    return rows


def _frame_ms(model: MotionModel, sound: FloatArray, seconds: int) -> dict[str, float]:
    """Return milliseconds a frame, a second of sound at a time, the first three left out."""
    session, times = Session(model, Timeline()), []
    for i in range(seconds):
        piece = sound[i * SAMPLE_RATE : (i + 1) * SAMPLE_RATE]
        made, *spent = _timed(session, piece)
        times.append(spent)
        assert i < 3 or len(made) == MOTION_FPS, len(made)
    return _named("frame", np.array(times[3:]) / MOTION_FPS)


def _first_ms(model: MotionModel, sound: FloatArray, times: int) -> dict[str, float]:
    """Return milliseconds from all the sound that the first chunk needs to its motion."""
    plan = ChunkPlan()
    needed = (plan.first + plan.ahead) * SAMPLE_RATE // MOTION_FPS
    piece, found = sound[: needed + PhoneRecognizer.look_ahead_samples], []
    for seed in range(times + 2):
        made, *spent = _timed(Session(model, Timeline(), seed), piece)
        assert len(made) == plan.first, len(made)
        found.append(spent)
    return _named("first", np.array(found[2:]))


def _timed(session: Session, piece: FloatArray) -> tuple[FloatArray, float, float]:
    """Return the motion, and milliseconds on the clock and of the processor."""
    begin, cpu = time.perf_counter(), time.process_time()
    made = session.step(piece)
    return made, 1000 * (time.perf_counter() - begin), 1000 * (time.process_time() - cpu)


def _named(what: str, times: FloatArray) -> dict[str, float]:
    """Return median, best and worst of twenty of ``times`` (n, 2): clock and processor."""
    clock, work = times.T
    return {
        f"{what}_ms": float(np.median(clock)), f"{what}_best_ms": float(clock.min()),
        f"{what}_p95_ms": float(np.percentile(clock, 95)), f"{what}_cpu_ms": float(work.mean()),
    }  # fmt: skip


def pieces(samples: int, rng: np.random.Generator) -> Iterator[slice]:
    """Yield slices that cut ``samples`` into pieces of 1 sample to a second, small ones often."""
    start = 0
    while start < samples:
        end = start + max(1, int(2.0 ** rng.uniform(0, np.log2(SAMPLE_RATE))))
        yield slice(start, min(end, samples))
        start = end


def cuts(network: Path | None, sounds: list[FloatArray], times: int) -> dict[str, int]:
    """Return how many random cuttings give the motion of the uncut sound, bit for bit."""
    wishes = ((0.0, Controls()), (1.0, Controls(emotion="happy", intensity=0.2)),
              (3.0, Controls(emotion="happy", intensity=1.0, gaze=(10.0, 0.0))),
              (5.0, Controls(phase=Phase.LISTENING, blink_rate=30.0)))  # fmt: skip
    plans = {"growing": (ChunkPlan(), Timeline(), False), "live": (LIVE, Timeline(), False),
             "controls, two people": (ChunkPlan(), Timeline(wishes), True)}  # fmt: skip
    out = {}
    for name, (plan, timeline, is_answered) in plans.items():
        model = players.diffused(network, 1, plan)
        same = total = 0
        for n, sound in enumerate(sounds):
            other = np.resize(sounds[n - 1], len(sound)) if is_answered else None
            whole = Session(model, timeline, n).step(sound, True, other)
            assert len(whole) == -(-len(sound) * MOTION_FPS // SAMPLE_RATE)
            for k in range(times):
                rng = np.random.default_rng((n, k))
                made = _played(Session(model, timeline, n), sound, other, rng)
                same += int(np.array_equal(whole, made))
                total += 1
        out |= {f"{name}: same": same, f"{name}: cuttings": total}
        print(f"cuts, {name}: {same} of {total} the same bit for bit", flush=True)
    return out


def _played(
    session: Session, sound: FloatArray, other: FloatArray | None, rng: np.random.Generator
) -> FloatArray:
    """Return the motion of ``sound`` in random pieces."""
    empty = np.zeros(0, np.float32)
    parts = [
        session.step(sound[p], False, None if other is None else other[p])
        for p in pieces(len(sound), rng)
    ]
    return np.concatenate([*parts, session.step(empty, True, None if other is None else empty)])


def minute_statistics(values: FloatArray) -> dict[str, float]:
    """Return what one minute of motion (1500, 58) is like."""
    gap = np.percentile(lip_gap(values), [5, 50, 95])
    out = {"lip gap p5, cm": gap[0], "lip gap p50, cm": gap[1], "lip gap p95, cm": gap[2]}
    for name in ("headPitch", "headYaw", "headRoll", "headX", "headY", "headScale"):
        column = values[:, INDEX[name]].astype(np.float64)
        out |= {f"{name} mean": column.mean(), f"{name} std": column.std()}
    for name in ("mouth", "brows", "lids", "gaze"):
        part = values[:, dynamics.columns(name)].astype(np.float64)
        out |= {f"{name} mean": part.mean(), f"{name} std": part.std(axis=0).mean()}
    out["blinks"] = len(dynamics.blinks(values))
    out["saccades"] = len(dynamics.saccades(values))
    out["head jitter, deg"] = dynamics.head_jitter_deg(values)
    out["head speed, deg/s"] = dynamics.head_speed_deg_s(values)
    return {k: float(v) for k, v in out.items()}


def drift(
    network: Path | None, shared: Path, minutes: int, out: Path
) -> dict[str, dict[str, float]]:
    """Return for each statistic how it goes over ``minutes`` of speech; draw them."""
    session = Session(players.diffused(network), Timeline())
    parts, kept = [], []
    for minute in range(minutes):
        sound = players.long_speech(shared, 60.0, seed=minute)
        for start in range(0, len(sound), SAMPLE_RATE):
            parts.append(session.step(sound[start : start + SAMPLE_RATE]))
        have = np.concatenate(parts)
        while len(have) >= MINUTE:
            kept.append(minute_statistics(have[:MINUTE]))
            have = have[MINUTE:]
        parts = [have]
    table = {k: np.array([row[k] for row in kept]) for k in kept[0]}
    x, panels = np.arange(len(kept)), []
    for name, y in table.items():
        line = np.polyval(np.polyfit(x, y, 1), x)
        panels.append(Panel(name, "minute", "", (Curve("", x, y), Curve("", x, line, "--"))))
    draw(out / "drift.png", panels, across=4, heading=f"{len(kept)} minutes of speech")
    return {k: slope(y) for k, y in table.items()}


def slope(y: FloatArray) -> dict[str, float]:
    """Return the straight line through ``y`` (minutes,) beside its scatter."""
    x = np.arange(len(y)) - (len(y) - 1) / 2
    b = float((x * y).sum() / np.square(x).sum())
    scatter = float(np.sqrt(np.square(y - y.mean() - b * x).sum() / (len(y) - 2)))
    error = scatter / float(np.sqrt(np.square(x).sum()))
    ends = max(2, len(y) // 6)
    first, last = y[:ends], y[-ends:]
    apart = float(last.mean() - first.mean())
    between = float(np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / ends))
    return {
        "mean": float(y.mean()), "scatter": scatter, "change_per_hour": 60 * b,
        "slope_t": b / max(error, 1e-12), "first": float(first.mean()), "last": float(last.mean()),
        "ends_t": apart / max(between, 1e-12),
    }  # fmt: skip


def report_drift(found: dict[str, dict[str, float]]) -> list[str]:
    """Print the lines and return the names of the statistics that drift."""
    gone = [k for k, r in found.items() if max(abs(r["slope_t"]), abs(r["ends_t"])) > SURE]
    for k, r in found.items():
        mark = "DRIFTS" if k in gone else ""
        print(f"{k:20} " + "  ".join(f"{n} {v:9.4f}" for n, v in r.items()), mark)
    return gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--network", type=Path, help="ONNX file, else the packaged network")
    parser.add_argument("--parts", nargs="*", default=["speed", "cuts", "drift"])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=30, help="of sound to measure speed on")
    parser.add_argument("--times", type=int, default=10, help="random cuttings of each sound")
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/stream"))
    args = parser.parse_args()
    result: dict = {"load_before": os.getloadavg()[0]}
    if "speed" in args.parts:
        sound = players.long_speech(args.shared, args.seconds)
        rows = result["speed"] = speed(args.network, sound, args.seconds)
        one = next(r for r in rows if r["steps"] == 1 and r["threads"] == 1)
        result["frame_target_met"] = one["frame_ms"] <= FRAME_MS
        result["first_target_met"] = one["first_ms"] <= FIRST_MS
        result["frame_target_met_by_processor_time"] = one["frame_cpu_ms"] <= FRAME_MS
        result["first_target_met_by_processor_time"] = one["first_cpu_ms"] <= FIRST_MS
        result["load_after"] = os.getloadavg()[0]
    if "cuts" in args.parts:
        sounds = [players.long_speech(args.shared, s, seed=i) for i, s in enumerate((6, 8.013, 3))]
        result["cuts"] = cuts(args.network, sounds, args.times)
    if "drift" in args.parts:
        found = drift(args.network, args.shared, args.minutes, args.out)
        result |= {"drift": found, "statistics_that_drift": report_drift(found)}
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
