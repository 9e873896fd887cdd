"""The lips of the whole path, sound to motion, against phones on a speaker no training saw."""

import json
from pathlib import Path

import numpy as np
import pytest

from visavis.audio.phones import PhoneRecognizer
from visavis.media.read import open_audio
from visavis.motion.controls import Timeline
from visavis.motion.layout import INDEX, pack
from visavis.motion.rules import RuleMotion
from visavis.types import Audio, Motion

SPEECH = Path(__file__).parents[3] / "shared/data/speech"


def spoken(sound: np.ndarray) -> Motion:
    recognizer, model = PhoneRecognizer(), RuleMotion()
    rows = recognizer.step(recognizer.start(), Audio(sound), final=True)[1]
    return model.step(model.start(0), rows, Timeline(), final=True)[1]


def parting(motion: Motion) -> np.ndarray:
    values = pack(motion)
    names = ("jawOpen", "mouthLowerDownLeft", "mouthUpperUpLeft", "mouthFunnel")
    opening = sum(values[:, INDEX[name]] for name in names)
    return np.asarray(opening - values[:, INDEX["mouthClose"]])


@pytest.mark.shared
def test_lips_close_on_bilabials_and_open_on_vowels() -> None:
    if not SPEECH.exists():
        pytest.skip("no shared data")
    entries = json.loads((SPEECH / "aligned.json").read_text("utf-8"))
    closed, opened = [], []
    for name in sorted(n for n in entries if n.startswith("p228")):
        with open_audio(SPEECH / "aligned" / f"{name}.flac") as reader:
            gap = parting(spoken(np.concatenate(list(reader.chunks()))))
        for start, end, phone in entries[name]["phones"]:
            near = gap[max(0, int(np.ceil((start - 0.04) * 25))) : int((end + 0.04) * 25) + 1]
            if phone in ("P", "B", "M"):
                closed.append(near.min() < 0.03)
            if phone in ("AA", "AE", "AO", "AY") and end - start > 0.06:
                opened.append(near.max() > 0.2)
    assert np.mean(closed) >= 0.9
    assert np.mean(opened) >= 0.95


@pytest.mark.parametrize("kind", ["noise", "hum", "silence"])
def test_no_speech_no_mouth(kind: str) -> None:
    t = np.arange(48000) / 16000
    sound = {
        "noise": np.random.default_rng(2).normal(0, 0.03, len(t)),
        "hum": 0.1 * np.sin(2 * np.pi * 100 * t),
        "silence": np.zeros(len(t)),
    }[kind]
    gap = parting(spoken(sound.astype(np.float32)))
    assert (gap < 0.03).mean() > 0.95


def test_rows_that_know_nothing_close_the_mouth() -> None:
    from visavis.audio.phones import SIZE
    from visavis.motion.coarticulation import WINDOW_ROWS, mouth

    shapes = mouth(np.full((WINDOW_ROWS, SIZE), 0.01, np.float32))
    assert np.isfinite(shapes).all()
    assert shapes.max() < 0.05
