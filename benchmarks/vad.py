"""Who hears the user best: voice activity on held-out speech, in noise, music and silence.

``python benchmarks/vad.py --shared ../shared [--clips N]``

Each held-out clip with aligned phones is played after 1.5 s and before 2 s of nothing but the
background, in pieces of 20 ms. *Frames*: precision and recall of the probability at 0.5, every
10 ms; gaps between words of up to 0.15 s count as speech. *Turns*: with the rules that
conversations use, how much after the first phone a turn is known to have begun, how much after the
last one to have ended (its rule asks for ``end_ms`` of silence), which share of clips is taken as
several turns, which one had begun before anybody spoke, and which is missed. *Alarms*: turns a
minute where nobody speaks at all: noises, clicks, beeps, a melody, recorded music. *Cost*:
milliseconds for a second of sound, one thread. JSON last.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lips_sets import english

from visavis.audio.vad import VoiceActivity, activity_by
from visavis.dialogue.turns import Turn, Turned, TurnRules, after
from visavis.media.read import open_audio
from visavis.timing import Stopwatch, percentile
from visavis.train.speech_data import coloured_noise
from visavis.types import SAMPLE_RATE, Audio, FloatArray

NAMES = ("silero", "phones")
CONDITIONS = ("clean", "noise 20", "noise 10", "noise 5", "music 20", "music 10", "music 5")
BEFORE_S, AFTER_S, GAP_S = 1.5, 2.0, 0.15
PIECE = 320
ROW = SAMPLE_RATE // 100
ALARM_S = 60


@dataclass(frozen=True)
class Played:
    """Probabilities every 10 ms, and when turns became known (seconds, what)."""

    rows: FloatArray
    turns: list[tuple[float, Turned]]


def play(activity: VoiceActivity, sound: FloatArray, rules: TurnRules) -> Played:
    """Play ``sound`` to ``activity`` as a microphone would."""
    state, turn, known, turns = activity.start(), Turn(), [], []
    hop_ms = 1000 * activity.hop_samples / SAMPLE_RATE
    for start in range(0, len(sound), PIECE):
        state, found = activity.step(state, Audio(sound[start : start + PIECE]))
        for probability in found:
            known.append(float(probability))
            turn, turned = after(turn, known[-1], hop_ms, rules)
            if turned is not None:
                turns.append(((start + PIECE) / SAMPLE_RATE, turned))
    rows = np.repeat(np.array(known, np.float32), activity.hop_samples)[::ROW]
    return Played(rows, turns)


def melody(seconds: int) -> FloatArray:
    """Return plucked notes of a pentatonic scale over a chord."""
    random = np.random.default_rng(3)
    note = np.arange(SAMPLE_RATE // 4) / SAMPLE_RATE
    notes = [
        np.sin(2 * np.pi * hertz * note) * np.exp(-6 * note)
        for hertz in random.choice([262, 294, 330, 392, 440, 523], 4 * seconds)
    ]
    t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (131, 165, 196))
    return (np.concatenate(notes) + 0.2 * chord).astype(np.float32)


def recorded_music(shared: Path) -> FloatArray:
    """Return the music of clips whose sound is music alone, a minute or more."""
    parts = []
    for path in sorted((shared / "data/talking/expressive").glob("d[0-9]*.mp4")):
        with open_audio(path) as reader:
            parts.append(np.concatenate(list(reader.chunks())))
    return np.concatenate([p for p in parts if np.square(p).mean() > 1e-6])


def quiet_places(shared: Path) -> dict[str, FloatArray]:
    """Return a minute of sounds that nobody speaks in, at -30 dB of full scale."""
    random, count = np.random.default_rng(1), ALARM_S * SAMPLE_RATE
    t = np.arange(count) / SAMPLE_RATE
    clicks = np.zeros(count)
    for at in random.integers(0, count - 400, 5 * ALARM_S):
        clicks[at : at + 400] += random.standard_normal(400) * np.exp(-np.arange(400) / 60)
    places = {
        "noise": coloured_noise(count, random),
        "hum": sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 12)),
        "clicks": clicks,
        "beeps": np.sin(2 * np.pi * 880 * t) * (t % 1 < 0.2),
        "melody": melody(ALARM_S),
        "music": recorded_music(shared),
    }
    levelled = {n: (x * 0.032 / np.sqrt(np.square(x).mean())) for n, x in places.items()}
    return {"silence": np.zeros(count, np.float32)} | {
        name: np.asarray(sound, np.float32) for name, sound in levelled.items()
    }


def truth(phones: list[tuple[float, float, str]], rows: int) -> np.ndarray:
    """Return where somebody speaks, every 10 ms, short gaps included."""
    spoken = np.zeros(rows, bool)
    last_s = -np.inf
    for start_s, end_s, phone in phones:
        if phone in ("SIL", "SP", ""):
            continue
        begin_s = last_s if start_s - last_s <= GAP_S else start_s
        spoken[round(100 * (BEFORE_S + begin_s)) : round(100 * (BEFORE_S + end_s))] = True
        last_s = end_s
    return spoken


def backgrounds(shared: Path) -> dict[str, FloatArray]:
    """Return what conditions are mixed from, at a level of 1."""
    noise = coloured_noise(30 * SAMPLE_RATE, np.random.default_rng(2))
    both = {"noise": noise, "music": recorded_music(shared)}
    return {name: (x / np.sqrt(np.square(x).mean())) for name, x in both.items()}


def scenes(shared: Path, condition: str, most: int) -> Iterator[tuple[FloatArray, np.ndarray]]:
    """Yield the sound of each clip under ``condition`` and where somebody speaks in it."""
    behind = backgrounds(shared)
    for i, clip in enumerate(english(shared)[:most]):
        gap = [np.zeros(int(s * SAMPLE_RATE), np.float32) for s in (BEFORE_S, AFTER_S)]
        sound = np.concatenate([gap[0], clip.samples, gap[1]])
        spoken = truth(clip.phones, len(sound) // ROW)
        if condition != "clean":
            kind, snr = condition.split()
            level = np.sqrt(np.square(clip.samples).mean()) * 10 ** (-float(snr) / 20)
            sound = sound + level * np.resize(np.roll(behind[kind], 99_991 * i), len(sound))
        yield sound.astype(np.float32), spoken


def judged(activity: VoiceActivity, shared: Path, condition: str, most: int) -> dict[str, float]:
    """Return how well ``activity`` does under ``condition``."""
    rules = TurnRules()
    hits = told = there = missed = early = several = count = 0
    onsets_ms, offsets_ms = [], []
    for sound, spoken in scenes(shared, condition, most):
        played = play(activity, sound, rules)
        rows = min(len(played.rows), len(spoken))
        is_told = played.rows[:rows] >= 0.5
        hits += int((is_told & spoken[:rows]).sum())
        told, there = told + int(is_told.sum()), there + int(spoken[:rows].sum())
        first_s, last_s = np.flatnonzero(spoken)[[0, -1]] / 100
        starts = [at for at, turned in played.turns if turned is Turned.STARTED and at > first_s]
        ends = [at for at, turned in played.turns if turned is Turned.ENDED and at > last_s]
        count, several = count + 1, several + (len(starts) > 1)
        before = [turned for at, turned in played.turns if at <= first_s]
        if before and before[-1] is Turned.STARTED:
            early += 1
        elif not starts or starts[0] > last_s:
            missed += 1
        else:
            onsets_ms.append(1000 * (starts[0] - first_s))
        if ends:
            offsets_ms.append(1000 * (ends[0] - last_s))
    return {
        "precision": hits / max(1, told),
        "recall": hits / max(1, there),
        **spread("onset_ms", onsets_ms),
        **spread("offset_ms", offsets_ms),
        "never_ended": 1 - len(offsets_ms) / max(1, count - missed),
        "several_turns": several / count,
        "began_early": early / count,
        "missed": missed / count,
    }


def spread(name: str, values: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of ``values``, nothing if there is none."""
    return {f"{name}_p{share}": percentile(values, share) for share in (50, 95) if values}


def alarms(activity: VoiceActivity, place: FloatArray) -> float:
    """Return how many turns a minute begin in ``place``, where nobody speaks."""
    turns = play(activity, place, TurnRules()).turns
    started = sum(turned is Turned.STARTED for _, turned in turns)
    return 60 * started * SAMPLE_RATE / len(place)


def cost_ms(activity: VoiceActivity) -> float:
    """Return the milliseconds that a second of sound takes, the best of three times ten seconds."""
    sound = coloured_noise(10 * SAMPLE_RATE, np.random.default_rng(0)).astype(np.float32) * 0.1
    best = np.inf
    for _ in range(3):
        watch = Stopwatch()
        play(activity, sound, TurnRules())
        best = min(best, 100 * watch.elapsed_s())
    return float(best)


def rounded(value: Any) -> Any:
    """Return ``value`` with the numbers in it to four digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=40)
    asked = parser.parse_args()
    results = {}
    places = quiet_places(asked.shared)
    for name in NAMES:
        activity = activity_by(name)
        found = {c: judged(activity, asked.shared, c, asked.clips) for c in CONDITIONS}
        for condition, numbers in found.items():
            shown = "  ".join(f"{key} {value:.3g}" for key, value in numbers.items())
            print(f"{name:8} {condition:9} {shown}", flush=True)
        alarmed = {place: alarms(activity, sound) for place, sound in places.items()}
        print(f"{name:8} alarms a minute: {alarmed}", flush=True)
        cost = {"ms_per_second": cost_ms(activity)}
        results[name] = {"conditions": found, "alarms_per_minute": alarmed, **cost}
    print(json.dumps(rounded(results)))


if __name__ == "__main__":
    main()
