"""What every control does: asked beside measured, and stills of emotions for a fresh reader.

``python benchmarks/controls.py --shared ../shared --clips CLIPS [--network N.onnx] [--out FOLDER]``
plays the same speech with the same seeds at several settings of one control at a time and measures
the response in its own unit; a response is monotone where Spearman's rank correlation is 1 (0.95
counts as nearly so). Emotions are measured on the points of an average face, as the part of the
change from neutral that goes the way of real persons never trained on (1: as far as they go), and
by which of their emotions the change is most like. Curves go to ``--out``; so does ``stills.png``,
tiles in shuffled order without words, and ``stills_key.json``, which says what they are. JSON last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import players
from charts import Curve, Panel, draw
from responses import Measure, Response, Stage, mean_and_scatter
from stills import contact_sheet

from visavis.data.clip import read_clip
from visavis.data.people import split_of
from visavis.eval import dynamics
from visavis.motion.base import MotionModel
from visavis.motion.conditions import gaze_of
from visavis.motion.controls import EMOTIONS, REGIONS, Controls
from visavis.motion.layout import COEFFICIENTS, INDEX
from visavis.render.rig import load_rig
from visavis.types import MOTION_FPS, SAMPLE_RATE, Features, FloatArray, Phase

NEARLY = 0.95
FELT = EMOTIONS[1:]
INTENSITIES = (0.0, 0.25, 0.5, 0.75, 1.0)


def mean_of(name: str) -> Measure:
    """Return the mean of a value."""
    return lambda m: float(m[:, INDEX[name]].mean())


def spread_of(names: Sequence[str]) -> Measure:
    """Return the standard deviation over time, mean over values."""
    return lambda m: float(m[:, [INDEX[n] for n in names]].std(axis=0).mean())


def blink_rate(m: FloatArray) -> float:
    """Return blinks a minute."""
    return dynamics.per_minute(len(dynamics.blinks(m)), [m])


def head_range(m: FloatArray) -> float:
    """Return the range of the head's angles, mean of three."""
    return float(dynamics.head_range_deg(m).mean())


def lip_speed(m: FloatArray) -> float:
    """Return how fast the lip points move, cm/s."""
    steps = np.diff(dynamics.lip_points(m), axis=0)
    return float(np.linalg.norm(steps, axis=2).mean()) * MOTION_FPS


def face_change(made: FloatArray, neutral: FloatArray) -> FloatArray:
    """Return how the mean face changes, (478, 3) in mm on an average face."""
    by = made[:, COEFFICIENTS].mean(axis=0) - neutral[:, COEFFICIENTS].mean(axis=0)
    return 10.0 * np.tensordot(by, load_rig().basis, axes=1)


def simple_controls(stage: Stage) -> list[Response]:
    """Return the responses to everything but emotion, phase and blinks."""

    def head(k: int, v: float) -> Controls:
        turn = [0.0, 0.0, 0.0]
        turn[k] = v
        return Controls(head=(turn[0], turn[1], turn[2]))

    out = []
    angles, parts = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0), (0.0, 0.5, 1.0, 1.5, 2.0)
    energies, most = (0.5, 0.75, 1.0, 1.25, 1.5), (-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0)
    for k, axis in enumerate(("yaw", "pitch")):
        settings = {a: Controls(gaze=(a, 0.0) if k == 0 else (0.0, a)) for a in angles}
        out.append(
            stage.respond(f"gaze {axis}", "deg", settings, lambda m, k=k: gaze_of(m)[:, k].mean())
        )
    for k, axis in enumerate(("pitch", "yaw", "roll")):
        settings = {a: head(k, a) for a in most}
        turn = mean_of(f"head{axis.capitalize()}")
        out.append(stage.respond(f"head {axis}", "deg", settings, turn))
    out.append(
        stage.respond(
            "head range", "deg p5..p95", {v: Controls(head_range=v) for v in parts}, head_range
        )
    )
    brows = ("browInnerUp", "browOuterUpLeft", "browDownLeft")
    energy = {v: Controls(energy=v) for v in energies}
    out.append(stage.respond("energy: lips", "cm/s", energy, lip_speed))
    out.append(stage.respond("energy: head", "deg/s", energy, dynamics.head_speed_deg_s))
    out.append(stage.respond("energy: brows", "std", energy, spread_of(brows)))
    gain = {v: Controls(gain={"jawOpen": v}) for v in parts}
    out.append(stage.respond("gain of jawOpen", "mean", gain, mean_of("jawOpen")))
    offset = {v: Controls(offset={"browInnerUp": v}) for v in (-0.2, 0.0, 0.2, 0.4, 0.6)}
    out.append(stage.respond("offset of browInnerUp", "mean", offset, mean_of("browInnerUp")))
    hold = {v: Controls(hold={"mouthSmileLeft": v}) for v in (0.0, 0.25, 0.5, 0.75, 1.0)}
    out.append(stage.respond("hold mouthSmileLeft", "mean", hold, mean_of("mouthSmileLeft")))
    other = mean_of("mouthSmileRight")
    return [*out, stage.respond("... and the other side", "mean", hold, other)]


def frozen(stage: Stage) -> dict[str, dict[str, float]]:
    """Return for each frozen region how far it still moves, and the others (1: as ever)."""
    free, out = stage.play(Controls()), {}
    for region in REGIONS:
        made = stage.play(Controls(freeze=frozenset({region})))
        columns = dynamics.columns(region)
        rest = np.setdiff1d(np.arange(58), columns)
        still = max(float(np.ptp(m[:, columns], axis=0).max()) for m in made)
        others, usual = (
            np.mean([m[:, rest].std(axis=0) for m in motions], axis=0) for motions in (made, free)
        )
        moving = usual > 0.01
        ratio = float(np.median(others[moving] / usual[moving]))
        out[region] = {"moves": still, "others": ratio}
        print(f"freeze {region:10} moves {still:.6f}, others {ratio:.2f}")
    return out


def phases(model: MotionModel, sounds: Sequence[Features], seeds: int) -> dict[str, dict]:
    """Return what a face does while it speaks, listens to another voice, and idles."""
    out = {}
    seconds = len(sounds[0]) / 100
    quiet = players.hear(np.zeros(int(seconds * SAMPLE_RATE), np.float32))
    for phase, own, other in (
        (Phase.SPEAKING, sounds[0], None), (Phase.LISTENING, quiet, sounds[0]),
        (Phase.IDLE, quiet, None),
    ):  # fmt: skip
        made = [
            players.play(model, own, s, Controls(phase=phase), other)[25:] for s in range(seeds)
        ]
        row = {
            "jaw": np.mean([mean_of("jawOpen")(m) for m in made]),
            "lip_speed_cm_s": np.mean([lip_speed(m) for m in made]),
            "head_speed_deg_s": np.mean([dynamics.head_speed_deg_s(m) for m in made]),
            "head_range_deg": np.mean([head_range(m) for m in made]),
            "brows_std": np.mean([spread_of(("browInnerUp",))(m) for m in made]),
            "blinks_per_min": np.mean([blink_rate(m) for m in made]),
        }
        out[phase.value] = {k: float(v) for k, v in row.items()}
        print(f"{phase.value:10} " + "  ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    return out


def real_changes(clips: Path) -> dict[str, FloatArray]:
    """Return how the faces of held-out real persons change in each emotion, (478, 3) mm."""
    paths = sorted(clips.glob("*emotion*.npz"))
    every = [c for c in map(read_clip, paths) if c.emotion and split_of(c.person) != "train"]
    rest = {c.person: c.motion for c in every if c.emotion == "neutral"}
    out = {}
    for name in FELT:
        found = [c for c in every if c.emotion == name and c.person in rest]
        assert found, f"no held-out clip in {clips} shows {name} and the same person neutral"
        changes = [face_change(c.motion, rest[c.person]) for c in found]
        out[name] = np.mean(changes, axis=0)
    return out


def emotions(stage: Stage, clips: Path) -> tuple[list[Response], dict[str, dict]]:
    """Return the responses to each emotion's intensity, and what each is like at its full."""
    neutral, real = stage.play(Controls()), real_changes(clips)
    full: dict[str, FloatArray] = {}
    responses = []
    for name in FELT:
        found = []
        for intensity in INTENSITIES:
            made = stage.play(Controls(emotion=name, intensity=intensity))
            changes = [face_change(m, n) for m, n in zip(made, neutral, strict=True)]
            found.append(
                [float((c * real[name]).sum() / np.square(real[name]).sum()) for c in changes]
            )
            full[name] = np.mean(changes, axis=0)
        response = Response(name, "of a real change", INTENSITIES, *mean_and_scatter(found))
        responses.append(response)
        response.show()
    return responses, {name: likeness(name, full, real) for name in FELT}


def likeness(name: str, full: dict[str, FloatArray], real: dict[str, FloatArray]) -> dict:
    """Return how strong our emotion ``name`` is, and which real one and which other it is like."""
    to = {n: cosine(full[name], r) for n, r in real.items()}
    others = {n: cosine(full[name], full[n]) for n in FELT if n != name}
    nearest, other = max(to, key=to.__getitem__), max(others, key=others.__getitem__)
    rms, wanted = (np.sqrt(np.square(x[name]).sum(axis=1).mean()) for x in (full, real))
    print(f"{name:10} {rms:.2f} mm (real {wanted:.2f}), like real {to[name]:.2f}, most like real "
          f"{nearest}, of ours most like {other} {others[other]:.2f}")  # fmt: skip
    return {"mm": rms, "real_mm": wanted, "like_real": to[name], "nearest_real": nearest,
            "nearest_own": other, "like_nearest_own": others[other]}  # fmt: skip


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Return how alike two changes of the face are: -1..1."""
    return float((a * b).sum() / max(1e-9, np.linalg.norm(a) * np.linalg.norm(b)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips (visavis.data)")
    parser.add_argument("--network", type=Path, help="ONNX file, else the packaged network")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each of two sounds")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--blink-minutes", type=float, default=3.0)
    parser.add_argument("--portraits", nargs="*", default=["neutral/00008", "neutral/00183"])
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/controls"))
    args = parser.parse_args()
    model = players.diffused(args.network)
    voices = [players.long_speech(args.shared, args.seconds, seed) for seed in (11, 12)]
    sounds = [players.hear(v) for v in voices]
    stage = Stage(model, sounds, args.seeds)
    felt, alike = emotions(stage, args.clips)
    responses = felt + simple_controls(stage)
    minutes = players.hear(players.long_speech(args.shared, 60 * args.blink_minutes, 13))
    rates = {v: Controls(blink_rate=v) for v in (0.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0)}
    responses.append(Stage(model, [minutes], 1).respond("blink rate", "1/min", rates, blink_rate))
    still, phase = frozen(stage), phases(model, sounds, args.seeds)
    panels = [
        Panel(r.name, "asked", r.unit, (Curve("", r.asked, r.measured, "o-", r.scatter),))
        for r in responses
    ]
    draw(args.out / "responses.png", panels, across=4, heading="Controls: asked and measured")
    contact_sheet(
        model,
        voices[0],
        [args.shared / f"data/portraits/{p}.webp" for p in args.portraits],
        args.out,
    )
    curves = {
        r.name: {
            "unit": r.unit, "asked": r.asked, "measured": np.round(r.measured, 4).tolist(),
            "rank": round(r.rank_correlation, 3),
        }
        for r in responses
    }  # fmt: skip
    poor = [r.name for r in responses if r.rank_correlation < NEARLY]
    result = {"responses": curves, "not_monotone": poor, "emotions": alike}
    result |= {"freeze": still, "phases": phase}
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
