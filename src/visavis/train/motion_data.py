"""Batches for the motion model: features made once per clip, wishes drawn anew for every window.

``python -m visavis.train.motion_data --clips CLIPS --out FEATURES`` hears every clip (clean and in
``--takes`` disturbed renditions) and writes one small npz each; finished ones are skipped.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.audio.phones import PhoneRecognizer
from visavis.data import articulation
from visavis.data.clip import read_clip
from visavis.data.emotions import felt
from visavis.data.people import split_of
from visavis.errors import InputError
from visavis.motion import conditions
from visavis.motion.coarticulation import silence
from visavis.motion.controls import EMOTIONS
from visavis.motion.layout import COEFFICIENTS, INDEX, ROTATION, SIZE, mirrored
from visavis.motion.shaping import aimed
from visavis.nn.session import Network
from visavis.train.speech_data import disturb, load_unlabelled
from visavis.types import FloatArray, Phase

log = logging.getLogger(__name__)

PHASES = {Phase.SPEAKING: 0, Phase.LISTENING: 1, Phase.IDLE: 2}
SHARES = {"speech": 0.50, "talking": 0.20, "take": 0.08, "listening": 0.12, "idle": 0.10}
"""How often a window comes from each source."""

DROP = {"phase": 0.1, "gaze": 0.6, "blink": 0.15, "head": 0.6, "energy": 0.3, "emotion": 0.1,
        "speech": 0.08}  # fmt: skip
"""How often training leaves each condition out, for guidance and for callers who give none."""


@dataclass(frozen=True)
class Item:
    """One clip ready for training; ``speech`` (renditions, 4t, 45), ``other`` (4t, 45)."""

    name: str
    person: str
    source: str
    phase: int
    emotion: str
    intensity: float
    is_heard: bool
    motion: FloatArray
    known: Any
    speech: FloatArray
    other: FloatArray


def hear(
    clips: Path, voices: Path | None, out: Path, takes: int, phones: Path | None = None
) -> None:
    """Write the features of every clip of folder ``clips`` to folder ``out``.

    ``phones`` is a phone network to hear with, by default the packaged one.
    """
    out.mkdir(parents=True, exist_ok=True)
    recognizer = PhoneRecognizer(Network(str(phones)) if phones else None)
    babblers = load_unlabelled(voices)[:60] if voices else []
    for number, path in enumerate(sorted(clips.glob("*.npz"))):
        if (out / path.name).exists():
            continue
        clip, rng = read_clip(path), np.random.default_rng(number)
        frames = len(clip.motion)
        heard = [clip.samples] if clip.is_heard and len(clip.samples) else []
        heard += [disturb(clip.samples, babblers, rng) for _ in range(takes if heard else 0)]
        rows = [_fitted(articulation.heard(s, recognizer), frames) for s in heard]
        rows = rows or [silence(4 * frames)]
        other = articulation.heard(clip.other, recognizer) if len(clip.other) else silence(1)
        facts = (clip.person, clip.source, PHASES[clip.phase], clip.emotion, clip.intensity,
                 clip.is_heard)  # fmt: skip
        np.savez(
            out / f"{path.stem}.part.npz", motion=clip.motion, known=clip.known,
            speech=np.stack(rows).astype(np.float16),
            other=_fitted(other, frames).astype(np.float16), facts=np.array(facts, str),
        )  # fmt: skip
        (out / f"{path.stem}.part.npz").replace(out / path.name)
        if number % 50 == 0:
            log.info("heard %d clips", number)


def _fitted(rows: FloatArray, frames: int) -> FloatArray:
    """Return ``rows`` cut or filled up with silence to ``4 * frames``."""
    missing = max(0, 4 * frames - len(rows))
    return np.concatenate([rows, silence(missing)])[: 4 * frames]


def read_item(path: Path) -> Item:
    """Return the clip written by ``hear`` at ``path``."""
    with np.load(path) as z:
        person, source, phase, emotion, intensity, is_heard = (str(x) for x in z["facts"])
        known = z["known"].copy()
        if source == "talking":
            known[conditions.group("gaze")] = False  # tracked eyes tremble by a degree or two
        return Item(
            path.stem, person, source, int(phase), emotion, float(intensity), is_heard == "True",
            z["motion"], known, z["speech"], z["other"],
        )  # fmt: skip


class MotionData:
    """Windows of clips of one split, in the proportions of SHARES, wishes drawn at random."""

    def __init__(self, folder: Path, split: str = "train") -> None:
        """Read all items of ``split`` ("train", "validation" or "test") in ``folder``."""
        items = [read_item(p) for p in sorted(folder.glob("*.npz")) if ".part." not in p.name]
        long = [i for i in items if len(i.motion) >= 12]
        self.items = [i for i in long if split_of(i.person) == split]
        if not long:
            raise InputError(f"{folder} has no features; make them with visavis.train.motion_data.")
        if not self.items:
            log.warning("no person of %s is in the %s split; all are taken", folder, split)
            self.items = long
        self._by_source = {
            s: [i for i in self.items if i.source == s]
            for s in SHARES
            if any(i.source == s for i in self.items)
        }

    def statistics(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation (58,) of the motion, each source as often as drawn."""
        total = np.zeros((3, SIZE))
        for source, items in self._by_source.items():
            stacked = np.concatenate([i.motion for i in items]).astype(np.float64)
            moments = np.stack([np.ones(SIZE), stacked.mean(0), np.square(stacked).mean(0)])
            total += SHARES[source] * moments
        mean = total[1] / total[0]
        spread = np.sqrt(np.maximum(total[2] / total[0] - mean**2, 0))
        floor = np.full(SIZE, 0.04)
        floor[52:57], floor[57] = 0.02, 0.02
        return mean.astype(np.float32), np.maximum(spread, floor).astype(np.float32)

    def batch(self, rng: np.random.Generator, count: int, frames: int) -> dict[str, Tensor]:
        """Return ``count`` windows of ``frames`` frames.

        ``motion`` (b, n, 58) in its own units, ``known`` (b, 58), ``speech`` (b, n, 196), ``other``
        (b, n, 12), ``controls`` (b, n, 25).
        """
        sources = list(self._by_source)
        share = np.array([SHARES[s] for s in sources])
        rows = []
        for k in rng.choice(len(sources), count, p=share / share.sum()):
            items = self._by_source[sources[k]]
            weight = np.sqrt([len(i.motion) for i in items])
            item = items[int(rng.choice(len(items), p=weight / weight.sum()))]
            rows.append(window(item, rng, frames))
        return {k: torch.from_numpy(np.stack([r[k] for r in rows])) for k in rows[0]}


def window(item: Item, rng: np.random.Generator, frames: int) -> dict[str, Any]:
    """Return a random stretch of ``item`` with random wishes; see ``MotionData.batch``."""
    length = len(item.motion)
    start = int(rng.integers(-min(8, frames // 3), max(1, length - frames + 1)))
    index = np.clip(np.arange(start, start + frames), 0, length - 1)
    rows = (4 * index[:, None] + np.arange(4)).ravel()
    heard = item.speech[int(rng.integers(len(item.speech)))][rows].astype(np.float32)
    other = item.other[rows].astype(np.float32)
    before = np.repeat(np.arange(start, start + frames) < 0, 4)
    heard[before], other[before] = silence(1), silence(1)
    values = np.asarray(item.motion[index], np.float32)
    if rng.random() < 0.5:
        values = mirrored(values)
    values, controls = wished(values, item, rng)
    speech = conditions.speech_rows(heard) * controls[:, conditions.HAS_SPEECH, None]
    return {
        "motion": values,
        "known": np.asarray(item.known, bool),
        "speech": speech,
        "other": conditions.other_rows(other),
        "controls": controls,
    }


def wished(
    values: FloatArray, item: Item, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return motion ``values`` (t, 58) changed by random wishes, and the rows that name them."""
    rows = np.zeros((len(values), conditions.SIZE), np.float32)
    values, energy = _livelier(values, rng)
    values = _with_emotion(values, item, rng, rows)
    values = _turned(values, rng, rows)
    if rng.random() > DROP["phase"]:
        rows[:, conditions.PHASE.start + item.phase] = 1
    if rng.random() > DROP["blink"]:
        rows[blinks(values), conditions.BLINK] = 1
        rows[:, conditions.HAS_BLINK] = 1
    if rng.random() > DROP["energy"]:
        rows[:, conditions.ENERGY] = energy
        rows[:, conditions.HAS_ENERGY] = 1
    if item.is_heard and rng.random() > DROP["speech"]:
        rows[:, conditions.HAS_SPEECH] = 1
    return values, rows


def _livelier(values: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Scale the movement of mouth, face and head; return it and the scales' logarithms (3,)."""
    energy = np.zeros(3, np.float32)
    if rng.random() < 0.5:
        energy = np.array(
            [rng.uniform(-0.5, 0.35), rng.uniform(-1, 0.7), rng.uniform(-1.2, 0.7)], np.float32
        )
    out = values.copy()
    parts = (("jaw", "lips"), ("brows",), ("head",))
    for size, names in zip(2.0**energy, parts, strict=True):
        for name in names:
            columns = conditions.group(name)
            rest = np.zeros(len(columns), np.float32)
            if name == "head":
                rest = out[:, columns].mean(0)
            out[:, columns] = rest + size * (out[:, columns] - rest)
    out[:, COEFFICIENTS] = np.clip(out[:, COEFFICIENTS], 0, 1)
    return out, energy


def _with_emotion(
    values: FloatArray, item: Item, rng: np.random.Generator, rows: FloatArray
) -> FloatArray:
    """Lay a random emotion over neutral clips; write what the face then shows into ``rows``."""
    t = len(values)
    if item.source == "talking" and not item.emotion and not item.is_heard:
        return values  # acted, nobody says what
    if item.emotion and item.emotion != "neutral":
        name, strength = item.emotion, np.full(t, item.intensity, np.float32)
    elif item.source in ("take",) or rng.random() < 0.45:
        name, strength = "neutral", np.ones(t, np.float32)
    else:
        name = EMOTIONS[int(rng.integers(1, len(EMOTIONS)))]
        strength = np.full(t, rng.uniform(0.1, 1.0), np.float32)
        if rng.random() < 0.25:  # it comes or goes within the window
            strength *= np.clip((np.arange(t) - rng.uniform(-10, t)) / rng.uniform(8, 40), 0, 1)
        wave = np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * np.arange(t) / 25 + rng.random()))
        values = felt(values, name, strength * (1 + 0.12 * wave).astype(np.float32))
    if rng.random() > DROP["emotion"]:
        rows[:, EMOTIONS.index(name)] = strength
        rows[:, 0] += (1 - strength) if name != "neutral" else 0
    return values


def _turned(values: FloatArray, rng: np.random.Generator, rows: FloatArray) -> FloatArray:
    """Turn head and eyes by random angles; write where they aim into ``rows``."""
    out = values.copy()
    if rng.random() > DROP["head"]:
        turn = rng.normal(0, [4.0, 7.0, 3.5])
        out[:, ROTATION] += turn - out[:, ROTATION].mean(0)
        rows[:, conditions.HEAD] = turn / conditions.HEAD_UNIT_DEG
        rows[:, conditions.HAS_HEAD] = 1
        out = aimed(out, conditions.gaze_of(values))
    if rng.random() > DROP["gaze"]:
        gaze = conditions.gaze_of(out)
        asked = rng.normal(0, [9.0, 5.0]) * (rng.random() < 0.7)
        still = 0.35 if rng.random() < 0.5 else 1.0
        aim = asked + still * (gaze - np.median(gaze, 0))
        out = aimed(out, aim.astype(np.float32))
        rows[:, conditions.GAZE] = asked / conditions.GAZE_UNIT_DEG
        rows[:, conditions.HAS_GAZE] = 1
    return out


def blinks(values: FloatArray) -> NDArray[np.intp]:
    """Return the frames in ``values`` (t, 58) in which the lids meet."""
    lid = 0.5 * (values[:, INDEX["eyeBlinkLeft"]] + values[:, INDEX["eyeBlinkRight"]])
    low = np.array([lid[max(0, i - 6) : i + 7].min() for i in range(len(lid))])
    around = np.pad(lid, 2, "constant")
    peak = (lid >= around[1:-3]) & (lid > around[3:-1]) & (lid - low > 0.3)
    return np.flatnonzero(peak)


def main() -> None:
    """Make the features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--voices", type=Path, help="speech for babble")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--takes", type=int, default=2)
    parser.add_argument("--phones", type=Path, help="a phone network (ONNX) to hear with")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    hear(args.clips, args.voices, args.out, args.takes, args.phones)


if __name__ == "__main__":
    main()
