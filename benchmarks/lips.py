"""Lips against phones nobody trained on: do they close, open, keep time and rest?

``python benchmarks/lips.py --shared ../shared [--model diffused|rules] [--corpora FOLDER ...]``
prints one line per measure and JSON last: English recordings; languages no training hears, spoken
by espeak-ng here and now (skipped where the package ``espeakng-loader`` is missing); corpora made
by recipes/make_speech_languages.py or recipes/align_speech.py; each clean and at 10 dB under noise
and babble. The lip gap is that of the rig (assets/rig.npz) between the middles of the inner lips,
in centimetres of an average face: 0.05 cm is under one pixel in a 512-pixel portrait.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from lips_sets import CONDITIONS, Disturbance, Spoken, by_espeak, english, from_folder

from visavis.audio.phones import PhoneRecognizer
from visavis.motion.base import MotionModel
from visavis.motion.contact import lip_gap
from visavis.motion.controls import Timeline
from visavis.motion.diffused import DiffusedMotion
from visavis.motion.layout import pack
from visavis.motion.models import MOTION_MODELS, motion_by
from visavis.nn.session import Network
from visavis.train.ipa import NEARLY
from visavis.train.speech_data import coloured_noise, tones
from visavis.types import ARKIT_NAMES, SAMPLE_RATE, Audio, Motion

CLOSED_CM = 0.05
OPEN_CM = 0.1
TOLERANCE_S = 0.04
BILABIALS = ("P", "B", "M")
MAY_CLOSE = ("P", "B", "M", "SIL", NEARLY)
OPEN_VOWELS = ("AA", "AE", "AO", "AY", "AW")
APERTURE = {"AA": 1, "AE": 1, "AO": 0.9, "AW": 0.9, "AY": 0.9, "AH": 0.7, "EH": 0.8, "EY": 0.7,
            "OW": 0.6, "OY": 0.7, "ER": 0.5, "IH": 0.5, "IY": 0.4, "UH": 0.4, "UW": 0.3, "HH": 0.5,
            "SIL": 0, "P": 0, "B": 0, "M": 0, "F": 0.1, "V": 0.1, "W": 0.2,
            NEARLY: 0.1}  # fmt: skip

Counts = dict[str, list[Any]]


class Speaker:
    """The way from sound to motion."""

    def __init__(self, model: str, phones: Path | None, network: Path | None) -> None:
        """Load the motion model and the phone network, packaged or in the files given."""
        self._recognizer = PhoneRecognizer(None if phones is None else Network(str(phones)))
        self._model: MotionModel = (
            motion_by(model) if network is None else DiffusedMotion(Network(str(network)))
        )

    def __call__(self, samples: np.ndarray, seed: int = 0) -> tuple[Motion, float, float]:
        """Return the motion and the processor seconds of hearing and of moving."""
        hear, move = self._recognizer, self._model
        t0 = time.process_time()
        features = hear.step(hear.start(), Audio(samples), final=True)[1]
        t1 = time.process_time()
        motion = move.step(move.start(seed), features, Timeline(), final=True)[1]
        return motion, t1 - t0, time.process_time() - t1


def gap_of(motion: Motion) -> np.ndarray:
    """Return the gap of the lips in cm (t,), none below 0."""
    return np.maximum(0.0, lip_gap(pack(motion)))


def mouth_values(motion: Motion) -> np.ndarray:
    """Return the coefficients of jaw, mouth and tongue (t, n)."""
    keep = [i for i, n in enumerate(ARKIT_NAMES) if n.startswith(("jaw", "mouth", "tongue"))]
    return motion.coefficients[:, keep]


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


def is_apart(phones: list[tuple[float, float, str]], a: float, b: float) -> bool:
    """Tell whether no sound that may close the lips is within 50 ms of ``a``..``b``."""
    return all(q not in MAY_CLOSE or d <= a - 0.05 or c >= b + 0.05 for c, d, q in phones)


def judge_clip(clip: Spoken, speaker: Speaker) -> Counts:
    """Return the raw counts of one clip, followed by 1.5 s of silence."""
    samples, phones = clip.samples, clip.phones
    padded = np.concatenate([samples, np.zeros(SAMPLE_RATE * 3 // 2, np.float32)])
    motion, hearing_s, moving_s = speaker(padded)
    gap, fps, length_s = gap_of(motion), motion.fps, len(samples) / SAMPLE_RATE
    found = judge_phones(phones, gap, motion)
    last_speech_s = max((b for _, b, p in phones if p != "SIL"), default=0.0)
    found["rest"] = [rest_ms(motion, gap, min(last_speech_s, length_s), length_s + 1.4)]
    still = mouth_values(motion)[int((length_s + 0.2) * fps) :]
    found["still"] = [float(np.abs(np.diff(still, axis=0)).mean() * fps)]
    rows = int(length_s * 100)
    found["offset"] = [offset_ms(gap[: int(length_s * fps)], reference_opening(phones, rows), fps)]
    found["jaw"] = list(motion.coefficients[: int(length_s * fps), ARKIT_NAMES.index("jawOpen")])
    found["cost"] = [(hearing_s, moving_s, len(padded) / SAMPLE_RATE)]
    return found


def judge_phones(phones: list[tuple[float, float, str]], gap: np.ndarray, motion: Motion) -> Counts:
    """Return, by kind of phone, whether the lips closed or how far they opened."""
    fps = motion.fps
    found: Counts = {k: [] for k in ("P", "B", "M", "vowel", "shut_vowel", "false", "pause")}
    for i, (a, b, phone) in enumerate(phones):
        inside = gap[frames_of(a, b, fps, len(gap))]
        if phone in BILABIALS:
            near = gap[frames_of(a - TOLERANCE_S, b + TOLERANCE_S, fps, len(gap))]
            found[phone].append(bool((near <= CLOSED_CM).any()))
        if phone in OPEN_VOWELS and b - a >= 0.06:
            found["vowel"].append(float(inside.max(initial=0)))
        if phone not in MAY_CLOSE and is_apart(phones, a, b):
            found["false"].append(bool((inside <= CLOSED_CM).any()))
            if phone in OPEN_VOWELS:
                found["shut_vowel"].append(found["false"][-1])
        if phone == "SIL" and b - a >= 0.45 and i > 0:
            found["pause"].append(rest_ms(motion, gap, a, b - 0.15))
    return found


def judge(clips: list[Spoken], speaker: Speaker) -> Counts:
    """Return the counts of all ``clips`` together."""
    found: Counts = {}
    for clip in clips:
        for key, values in judge_clip(clip, speaker).items():
            found.setdefault(key, []).extend(values)
    return found


def in_short(found: Counts) -> dict[str, Any]:
    """Return the measures that the acceptance of issue 3 asks for."""
    every = found["P"] + found["B"] + found["M"]
    return {
        "bilabials": len(every),
        "recall": share(every),
        **{p: share(found[p]) for p in BILABIALS},
        "shut_vowels": share(found["shut_vowel"]),
        "never_open": share([v <= 0.15 for v in found["vowel"]]),
        "false": share(found["false"]),
        "offset_ms": round(float(np.median(found["offset"])), 1),
        "rest_ms": round(float(np.median(found["rest"]))),
        "still": round(float(np.mean(found["still"])), 5),
    }


def share(hits: list[bool]) -> float | None:
    """Return the share of true ones, None of nothing."""
    return round(float(np.mean(hits)), 4) if hits else None


def in_full(found: Counts) -> dict[str, Any]:
    """Return what else the clean English recordings tell."""
    cost = np.array(found["cost"]).sum(0)
    pauses = found["pause"] or [0.0]
    return {
        "vowel_opening_cm_p10_p50_p90": np.percentile(found["vowel"], [10, 50, 90])
        .round(2)
        .tolist(),
        "jaw_p50_p95_max": np.percentile(found["jaw"], [50, 95, 100]).round(3).tolist(),
        "av_offset_ms_worst": round(float(max(found["offset"], key=abs)), 1),
        "rest_after_end_ms_p50_p95": np.percentile(found["rest"], [50, 95]).round().tolist(),
        "rest_in_pause_ms_p50_p95": np.percentile(pauses, [50, 95]).round().tolist(),
        "features_cpu_ms_per_s": round(1000 * cost[0] / cost[2], 2),
        "motion_cpu_ms_per_s": round(1000 * cost[1] / cost[2], 2),
    }


def without_speech(speaker: Speaker) -> dict[str, float]:
    """Return the share of frames with open lips in noise and in music, no one speaking."""
    out = {}
    for name, make in (("noise", coloured_noise), ("music", tones)):
        rng = np.random.default_rng(7)
        gaps = [gap_of(speaker(make(160000, rng) * 0.05)[0]) for _ in range(4)]
        out[f"open_in_{name}"] = round(float((np.concatenate(gaps) > OPEN_CM).mean()), 3)
    return out


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--model", choices=MOTION_MODELS, default="diffused")
    parser.add_argument("--network", type=Path, help="another motion network (ONNX)")
    parser.add_argument("--phones", type=Path, help="another phone network (ONNX)")
    parser.add_argument("--corpora", type=Path, nargs="*", default=[])
    parser.add_argument("--conditions", nargs="*", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--most", type=int, default=24, help="clips of each language")
    return parser.parse_args()


def main() -> None:
    """Print the measures."""
    args = arguments()
    speaker, disturb = Speaker(args.model, args.phones, args.network), Disturbance(args.shared)
    sets = {"en (recorded)": english(args.shared), **by_espeak(args.most)}
    for folder in args.corpora:
        sets.update(from_folder(folder, args.most))
    if len(sets) == 1:
        print("Only English: pip install espeakng-loader, or give --corpora.")
    result: dict[str, Any] = {"model": args.model}
    for name, clips in sets.items():
        for condition in args.conditions:
            found = judge([disturb(c, condition, i) for i, c in enumerate(clips)], speaker)
            result[f"{name}, {condition}"] = short = in_short(found)
            print(
                f"{name + ', ' + condition:30s}", *(f"{k} {v}" for k, v in short.items()), sep="  "
            )
            if not result.get("english") and condition == "clean":
                result["english"] = {**in_full(found), **without_speech(speaker)}
                print(result["english"])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
