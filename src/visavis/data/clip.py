"""One clip of training material: sound, phones and motion on one clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.types import FloatArray, Phase

Phones = tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class Clip:
    """A stretch of one person. Frame ``i`` of the motion goes with the sound at ``i / 25`` s.

    ``person`` keeps splits apart. ``source`` says where it is from ("talking", "take", "speech",
    "rule"). ``motion`` (t, 58), ``known`` (58,) which of its values are true (the others teach
    nothing). ``samples`` (n,) own voice, 16 kHz; empty: silent or unheard, then ``is_heard`` tells
    which (False: the person may speak, but there is no sound). ``other`` (n,) the other person's
    voice while this one listens, or empty. ``phones`` (start_s, end_s, ARPAbet), maybe empty.
    ``emotion`` one of controls.EMOTIONS or "" (unknown), ``intensity`` 0..1.
    """

    name: str
    person: str
    source: str
    motion: FloatArray
    known: NDArray[np.bool_]
    samples: FloatArray
    other: FloatArray
    is_heard: bool = True
    phase: Phase = Phase.SPEAKING
    phones: Phones = ()
    emotion: str = ""
    intensity: float = 0.0


def write_clip(folder: Path, clip: Clip) -> Path:
    """Write ``clip`` as ``folder/NAME.npz``, whole or not at all; return its path.

    What a killed run leaves is not called .npz, so that no reader takes it for a clip.
    """
    facts = {
        "person": clip.person, "source": clip.source, "is_heard": clip.is_heard,
        "phase": clip.phase.value, "phones": clip.phones, "emotion": clip.emotion,
        "intensity": clip.intensity,
    }  # fmt: skip
    path, half = folder / f"{clip.name}.npz", folder / f"{clip.name}.part"
    try:
        with half.open("wb") as file:
            np.savez_compressed(
                file, motion=clip.motion.astype(np.float32), known=clip.known,
                samples=_whole(clip.samples), other=_whole(clip.other), facts=json.dumps(facts),
            )  # fmt: skip
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return path


def read_clip(path: Path) -> Clip:
    """Return the clip written to ``path``."""
    with np.load(path) as stored:
        facts = json.loads(str(stored["facts"]))
        facts["phase"] = Phase(facts["phase"])
        facts["phones"] = tuple((a, b, p) for a, b, p in facts["phones"])
        sounds = {k: stored[k].astype(np.float32) / 32_767 for k in ("samples", "other")}
        return Clip(
            name=path.stem, motion=stored["motion"], known=stored["known"], **sounds, **facts
        )


def _whole(samples: FloatArray) -> NDArray[np.int16]:
    return np.round(np.clip(samples, -1, 1) * 32_767).astype(np.int16)
