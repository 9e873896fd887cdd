"""Lips against phones on held-out speakers: do they close, open, keep time and rest?

``python benchmarks/lips.py --shared ../shared`` prints one line per measure and JSON last. The lip
gap is that of the rig (assets/rig.npz) between the middles of the inner lips, in centimetres of an
average face: 0.05 cm is under one pixel in a 512-pixel portrait.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from visavis.audio.phones import PhoneRecognizer
from visavis.hub import asset
from visavis.motion.controls import Timeline
from visavis.motion.rules import RuleMotion
from visavis.train.speech_data import coloured_noise, is_held_out, read_sound, tones
from visavis.types import ARKIT_NAMES, SAMPLE_RATE, Audio, Features, Motion

CLOSED_CM = 0.05
TOLERANCE_S = 0.04
BILABIALS = ("P", "B", "M")
MAY_CLOSE = ("P", "B", "M", "SIL")
OPEN_VOWELS = ("AA", "AE", "AO", "AY", "AW")
APERTURE = {"AA": 1, "AE": 1, "AO": 0.9, "AW": 0.9, "AY": 0.9, "AH": 0.7, "EH": 0.8, "EY": 0.7,
            "OW": 0.6, "OY": 0.7, "ER": 0.5, "IH": 0.5, "IY": 0.4, "UH": 0.4, "UW": 0.3, "HH": 0.5,
            "SIL": 0, "P": 0, "B": 0, "M": 0, "F": 0.1, "V": 0.1, "W": 0.2}  # fmt: skip


def lip_gap(motion: Motion) -> np.ndarray:
    """Return the gap of the lips in cm (t,)."""
    with np.load(asset("rig.npz")) as rig:
        lower, upper = rig["lips_lower_inner"][5], rig["lips_upper_inner"][5]
        opens = (rig["basis"][:, lower, 1] - rig["basis"][:, upper, 1]).astype(np.float32)
    return np.maximum(0.0, motion.coefficients @ opens)


def mouth_values(motion: Motion) -> np.ndarray:
    """Return the coefficients of jaw, mouth and tongue (t, n)."""
    keep = [i for i, n in enumerate(ARKIT_NAMES) if n.startswith(("jaw", "mouth", "tongue"))]
    return motion.coefficients[:, keep]


def speak(samples: np.ndarray, seed: int = 0) -> tuple[Motion, Features, float, float]:
    """Return motion, features and the processor seconds of each."""
    recognizer, model = PhoneRecognizer(), RuleMotion()
    t0 = time.process_time()
    features = recognizer.step(recognizer.start(), Audio(samples), final=True)[1]
    t1 = time.process_time()
    motion = model.step(model.start(seed), features, Timeline(), final=True)[1]
    return motion, features, t1 - t0, time.process_time() - t1


def held_out(folder: Path) -> list[tuple[str, list[tuple[float, float, str]]]]:
    """Return name and phones of the clips no training saw."""
    entries = json.loads(folder.with_suffix(".json").read_text("utf-8"))
    return [(n, entries[n]["phones"]) for i, n in enumerate(sorted(entries)) if is_held_out(n, i)]


def reference_opening(phones: list[tuple[float, float, str]], rows: int) -> np.ndarray:
    """Return how far the mouth should be open at 100 rows a second, smoothed over 40 ms."""
    out = np.zeros(rows)
    for a, b, phone in phones:
        out[round(a * 100) : round(b * 100)] = APERTURE.get(phone, 0.3)
    weights = np.exp(-0.5 * (np.arange(-12, 13) / 4) ** 2)
    return np.convolve(out, weights / weights.sum(), "same")


def offset_ms(gap: np.ndarray, reference: np.ndarray, fps: int) -> float:
    """Return how much the mouth lags the sound (ms, negative: leads), by cross-correlation."""
    fine = np.interp(np.arange(len(reference)) / 100, np.arange(len(gap)) / fps, gap)
    a, b = fine - fine.mean(), reference - reference.mean()
    lags = np.arange(-20, 21)
    scores = [float((np.roll(a, -lag) * b)[25:-25].sum()) for lag in lags]
    k = int(np.clip(np.argmax(scores), 1, len(lags) - 2))
    left, peak, right = scores[k - 1 : k + 2]
    return 10.0 * (lags[k] + 0.5 * (left - right) / (left - 2 * peak + right))


def frames_of(start_s: float, end_s: float, fps: int, frames: int) -> slice:
    """Return the frames shown from ``start_s`` to ``end_s``."""
    return slice(max(0, int(np.ceil(start_s * fps))), min(frames, int(end_s * fps) + 1))


def rest_ms(motion: Motion, gap: np.ndarray, start_s: float, end_s: float) -> float:
    """Return how long after ``start_s`` the mouth is shut and still until ``end_s``."""
    speed = np.abs(np.diff(mouth_values(motion), axis=0, prepend=mouth_values(motion)[:1])).max(1)
    moving = (gap > CLOSED_CM) | (speed > 0.02)
    inside = frames_of(start_s, end_s, motion.fps, len(motion))
    busy = np.flatnonzero(moving[inside])
    last = inside.start + busy[-1] + 1 if len(busy) else inside.start
    return max(0.0, 1000 * (last / motion.fps - start_s))


def judge_clip(samples: np.ndarray, phones: list[tuple[float, float, str]]) -> dict[str, list]:
    """Return the raw counts of one clip, followed by 1.5 s of silence."""
    padded = np.concatenate([samples, np.zeros(SAMPLE_RATE * 3 // 2, np.float32)])
    motion, _, listening_s, moving_s = speak(padded)
    gap, fps, length_s = lip_gap(motion), motion.fps, len(samples) / SAMPLE_RATE
    found: dict[str, list] = {k: [] for k in ("P", "B", "M", "vowel", "rest", "pause", "false")}
    for i, (a, b, phone) in enumerate(phones):
        if phone in BILABIALS:
            near = gap[frames_of(a - TOLERANCE_S, b + TOLERANCE_S, fps, len(gap))]
            found[phone].append(bool((near <= CLOSED_CM).any()))
        if phone in OPEN_VOWELS and b - a >= 0.06:
            found["vowel"].append(float(gap[frames_of(a, b, fps, len(gap))].max(initial=0)))
        if phone not in MAY_CLOSE and all(
            q not in MAY_CLOSE or d <= a - 0.05 or c >= b + 0.05 for c, d, q in phones
        ):
            inside = gap[frames_of(a, b, fps, len(gap))]
            found["false"].append(bool((inside <= CLOSED_CM).any()))
        if phone == "SIL" and b - a >= 0.45 and i > 0:
            found["pause"].append(rest_ms(motion, gap, a, b - 0.15))
    last_speech_s = max((b for _, b, p in phones if p != "SIL"), default=0.0)
    found["rest"] = [rest_ms(motion, gap, min(last_speech_s, length_s), length_s + 1.4)]
    still = mouth_values(motion)[int((length_s + 0.2) * fps) :]
    found["still"] = [float(np.abs(np.diff(still, axis=0)).mean() * fps)]
    rows = int(length_s * 100)
    found["offset"] = [offset_ms(gap[: int(length_s * fps)], reference_opening(phones, rows), fps)]
    jaw = motion.coefficients[: int(length_s * fps), ARKIT_NAMES.index("jawOpen")]
    found["jaw"] = list(jaw)
    found["cost"] = [(listening_s, moving_s, len(padded) / SAMPLE_RATE)]
    return found


def without_speech() -> dict[str, float]:
    """Return the share of frames with open lips in noise and in music, no one speaking."""
    out = {}
    for name, make in (("noise", coloured_noise), ("music", tones)):
        rng = np.random.default_rng(7)
        gaps = [lip_gap(speak(make(160000, rng) * 0.05)[0]) for _ in range(4)]
        out[f"open_in_{name}"] = round(float((np.concatenate(gaps) > 0.1).mean()), 3)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    folder = parser.parse_args().shared / "data/speech/aligned"
    found: dict[str, list] = {}
    for name, phones in held_out(folder):
        clip = judge_clip(read_sound(folder / f"{name}.flac"), phones)
        for key, values in clip.items():
            found.setdefault(key, []).extend(values)
    every = found["P"] + found["B"] + found["M"]
    vowels, cost = np.array(found["vowel"]), np.array(found["cost"]).sum(0)
    result = {
        "bilabials": len(every),
        "closure_recall": round(float(np.mean(every)), 4),
        **{f"closure_recall_{p}": round(float(np.mean(found[p])), 4) for p in BILABIALS},
        "other_phones": len(found["false"]),
        "false_closure": round(float(np.mean(found["false"])), 4),
        "open_vowels": len(vowels),
        "vowel_never_open": round(float((vowels <= 0.15).mean()), 4),
        "vowel_opening_cm_p10_p50_p90": np.percentile(vowels, [10, 50, 90]).round(2).tolist(),
        "jaw_p50_p95_max": np.percentile(found["jaw"], [50, 95, 100]).round(3).tolist(),
        "av_offset_ms_median": round(float(np.median(found["offset"])), 1),
        "av_offset_ms_worst": round(float(max(found["offset"], key=abs)), 1),
        "rest_after_end_ms_p50_p95": np.percentile(found["rest"], [50, 95]).round().tolist(),
        "rest_in_pause_ms_p50_p95": np.percentile(found["pause"], [50, 95]).round().tolist(),
        "mouth_speed_in_silence_per_s": round(float(np.mean(found["still"])), 5),
        **without_speech(),
        "features_cpu_ms_per_s": round(1000 * cost[0] / cost[2], 2),
        "motion_cpu_ms_per_s": round(1000 * cost[1] / cost[2], 2),
    }
    for key, value in result.items():
        print(f"{key:32s} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
