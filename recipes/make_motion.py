"""Make the clips that the motion model learns from, beside those of real people.

    python recipes/prepare_shared.py ../shared/data CLIPS    # real talking people first
    python recipes/make_motion.py --corpora ALIGNED TTS --voices LIBRISPEECH --out CLIPS

adds spoken clips (articulatory mouths on recordings with known phones, upper faces and heads lent
by the real clips of the training split), listening clips and idle ones. Finished clips are skipped.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from visavis.audio.phones import PhoneRecognizer
from visavis.data import articulation
from visavis.data.clip import Clip, Phones, read_clip, write_clip
from visavis.data.pairing import Stretch, lent, make_bank
from visavis.data.people import split_of
from visavis.data.states import silent
from visavis.motion.layout import SIZE, mirrored
from visavis.train.speech_data import is_held_out, read_sound
from visavis.types import SAMPLE_RATE, FloatArray, Phase

NOTHING = np.zeros(0, np.float32)


def recordings(corpora: list[Path]) -> Iterator[tuple[str, Path, Phones]]:
    """Yield name, file and phones of every recording that may be learnt from."""
    for folder in corpora:
        entries = json.loads(folder.with_name(folder.name + ".json").read_text("utf-8"))
        files = {p.stem: p for p in folder.iterdir()}
        for i, name in enumerate(sorted(set(entries) & set(files))):
            if not is_held_out(name, i):
                phones = tuple((a, b, p) for a, b, p in entries[name]["phones"])
                yield f"{folder.name}-{name}", files[name], phones


def bank_of(folder: Path) -> list[Stretch]:
    """Return the real motion of the training split in ``folder``, and its mirror images.

    Acted emotions are left out: what is lent goes with neutral speech.
    """
    real = [read_clip(p) for p in sorted(folder.glob("*.npz"))]
    motions = [
        c.motion
        for c in real
        if c.source == "talking"
        and split_of(c.person) == "train"
        and c.emotion in ("", "neutral")
        and not c.person.startswith("expressive")
    ]
    return make_bank([*motions, *(mirrored(m) for m in motions)])


def seed_of(name: str) -> int:
    """Return a number that depends on ``name`` alone."""
    return zlib.crc32(name.encode())


def spoken_clip(name: str, path: Path, phones: Phones, tools: tuple) -> Clip:
    """Return the clip of one recording; without phones the mouth follows what is heard."""
    recognizer, bank = tools
    samples = read_sound(path)
    samples = samples / max(0.05, float(np.abs(samples).max())) * 0.6
    rng = np.random.default_rng(seed_of(name))
    lead = np.zeros(int(rng.integers(0, SAMPLE_RATE // 2)), np.float32)
    samples = np.concatenate([lead, samples, np.zeros(SAMPLE_RATE * 2 // 5, np.float32)])
    shift = len(lead) / SAMPLE_RATE
    phones = tuple((a + shift, b + shift, p) for a, b, p in phones)
    rows = articulation.heard(samples, recognizer)
    rows = articulation.exact(rows, phones) if phones else rows
    motion = lent(articulation.spoken(rows, seed_of(name)), bank, rng)
    known = np.ones(SIZE, bool)
    return Clip(name, name, "speech", motion, known, samples, NOTHING, phones=phones)


def silent_clip(name: str, phase: Phase, other: FloatArray, tools: tuple, seconds: int) -> Clip:
    """Return a listening or idle clip of ``seconds`` s."""
    recognizer, bank = tools
    frames, seed = seconds * 25, seed_of(name)
    rows = articulation.heard(other, recognizer) if len(other) else None
    motion = silent(frames, phase, bank, seed, rows)
    rng = np.random.default_rng(seed)
    hiss = rng.standard_normal(frames * SAMPLE_RATE // 25) * 10 ** rng.uniform(-5, -2.5)
    samples = hiss.astype(np.float32)
    return Clip(name, name, phase.value, motion, np.ones(SIZE, bool), samples, other, phase=phase)


def main() -> None:
    """Make the clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, nargs="+", required=True)
    parser.add_argument("--voices", type=Path, help="recordings without phones")
    parser.add_argument("--out", type=Path, required=True, help="holds the real clips already")
    parser.add_argument("--silent", type=int, default=60, help="clips of each silent state")
    args = parser.parse_args()
    bank = bank_of(args.out)
    tools = (PhoneRecognizer(), bank)
    done = {p.stem for p in args.out.glob("*.npz")}
    spoken = list(recordings(args.corpora))
    if args.voices:
        voices = [
            p for i, p in enumerate(sorted(args.voices.iterdir())) if not is_held_out(p.stem, i)
        ]
        spoken += [(f"voices-{p.stem}", p, ()) for p in voices]
    for name, path, phones in spoken:
        if name not in done:
            write_clip(args.out, spoken_clip(name, path, phones, tools))
    for i in range(args.silent):
        if f"idle-{i}" not in done:
            write_clip(args.out, silent_clip(f"idle-{i}", Phase.IDLE, NOTHING, tools, 20))
        if f"listening-{i}" not in done:
            pick = np.random.default_rng(i).integers(0, len(spoken), 4)
            gap = np.zeros(SAMPLE_RATE, np.float32)
            heard = [x for k in pick for x in (0.6 * read_sound(spoken[k][1]), gap)]
            other = np.concatenate([gap, *heard])[: 25 * SAMPLE_RATE]
            seconds = len(other) // SAMPLE_RATE
            clip = silent_clip(f"listening-{i}", Phase.LISTENING, other, tools, seconds)
            write_clip(args.out, clip)
    print(json.dumps({"clips": len(list(args.out.glob("*.npz"))), "bank": len(bank)}))


if __name__ == "__main__":
    main()
