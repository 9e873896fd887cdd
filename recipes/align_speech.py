"""Find the phones of recorded speech whose words are known: forced alignment by pocketsphinx.

    python recipes/align_speech.py --sound FOLDER --texts TEXTS.json --language en-us --out OUT

``TEXTS.json`` holds the words of each file stem; ``OUT/*.flac`` and ``OUT.json`` come out in the
layout that ``visavis.train.speech_data`` reads. English words are spelt by the dictionary of
pocketsphinx, others and other languages by espeak-ng, as the English phones of the same
articulation (``visavis.train.ipa``). The acoustic model is English: borders in other languages are
good to a few hundredths of a second only. Needs ``pocketsphinx`` and ``espeakng-loader``.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
from pocketsphinx import Decoder

from visavis.audio.phones import PHONES
from visavis.train import espeak
from visavis.train.ipa import NEARLY, classes
from visavis.train.sentences import UNROUNDED_Y
from visavis.train.speech_data import read_sound

FRAME_S = 0.01
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
STANDS_FOR_NEARLY = "V"
LONGEST_PHONE_S = 0.35
_ENDS = re.compile(r"(\D+)")


class Aligner:
    """Pocketsphinx with the words of a text."""

    def __init__(self, language: str) -> None:
        """Load the acoustic model and its dictionary."""
        self._decoder = Decoder(samprate=16000, bestpath=False, lm=None, loglevel="FATAL")
        self._language = language
        self._near: dict[str, list[int]] = {}

    def align(self, samples: Any, text: str) -> list[tuple[float, float, str]] | None:
        """Return the phones, or None where the words do not fit the sound."""
        words = [self._known(word.lower()) for word in WORD.findall(text)]
        words = [w for w in words if w]
        if not words:
            return None
        sound = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        self._decoder.set_align_text(" ".join(words))
        if not self._run(sound) or self._decoder.hyp() is None:
            return None
        try:
            self._decoder.set_alignment()
        except RuntimeError:
            return None
        if not self._run(sound):
            return None
        return self._phones(self._decoder.get_alignment())

    def _run(self, sound: bytes) -> bool:
        try:
            self._decoder.start_utt()
            self._decoder.process_raw(sound, no_search=False, full_utt=True)
            self._decoder.end_utt()
        except RuntimeError:
            return False
        return True

    def _known(self, word: str) -> str:
        """Return the dictionary's name of ``word``, added to it when new."""
        english = self._language.startswith("en")
        name = word if english else f"{self._language}_{word}"
        if self._decoder.lookup_word(name) is not None:
            return name
        ipa = espeak.spell(word, self._language)
        if self._language in UNROUNDED_Y:
            ipa = ipa.replace("y", "ɨ")
        spelt = classes(ipa, english)
        self._near[name] = [i for i, p in enumerate(spelt) if p == NEARLY]
        if not spelt:
            return ""
        line = " ".join(STANDS_FOR_NEARLY if p == NEARLY else p for p in spelt)
        self._decoder.add_word(name, line, True)
        return name

    def _phones(self, alignment: Any) -> list[tuple[float, float, str]] | None:
        out = []
        for word in alignment:
            near = self._near.get(word.name, [])
            for i, phone in enumerate(word):
                name = phone.name if phone.name in PHONES else "SIL"
                name = NEARLY if i in near else name
                start = phone.start * FRAME_S
                out.append((start, start + phone.duration * FRAME_S, name))
        return out


def is_plausible(phones: list[tuple[float, float, str]]) -> bool:
    """Tell whether few phones are as short or as long as a failed alignment makes them."""
    spoken = [(b - a, p) for a, b, p in phones if p != "SIL"]
    odd = sum(d > LONGEST_PHONE_S or d <= 0.03 for d, _ in spoken)
    return len(spoken) >= 4 and odd <= 0.25 * len(spoken)


def write_flac(path: Path, samples: Any) -> None:
    """Write 16 kHz mono."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flac", rate=16_000)
        stream.layout = "mono"
        wide = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wide, format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def main() -> None:
    """Align one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sound", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--language", default="en-us")
    parser.add_argument("--late", type=float, default=0.0, help="seconds the model is late")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    aligner, made, bad = Aligner(args.language), {}, 0
    args.out.mkdir(parents=True, exist_ok=True)
    texts = json.loads(args.texts.read_text("utf-8"))
    for path in sorted(p for p in args.sound.rglob("*") if p.stem in texts):
        samples = read_sound(path)
        phones = aligner.align(samples, texts[path.stem])
        if phones is None or not is_plausible(phones):
            bad += 1
            continue
        write_flac(args.out / f"{path.stem}.flac", samples)
        kept = [[max(0.0, round(a - args.late, 3)), round(b - args.late, 3), p]
                for a, b, p in phones if b > args.late]  # fmt: skip
        made[path.stem] = {"seconds": len(samples) / 16_000, "language": args.language,
                           "text": texts[path.stem], "phones": kept}  # fmt: skip
    args.out.with_name(args.out.name + ".json").write_text(json.dumps(made, ensure_ascii=False))
    minutes = sum(e["seconds"] for e in made.values()) / 60
    print(json.dumps({"clips": len(made), "minutes": round(minutes, 1), "rejected": bad}))


if __name__ == "__main__":
    main()
