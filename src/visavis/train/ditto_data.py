"""What Ditto's denoiser is asked while it is distilled: sounds, and the sitters of photographs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visavis.audio.hubert import HubertFeatures, load_hubert
from visavis.errors import InputError, ModelError
from visavis.faces.implicit import Sitter
from visavis.faces.portrait import make_portrait
from visavis.hub import ASSETS
from visavis.hub.folder import found
from visavis.media.image import read_image
from visavis.media.read import open_audio
from visavis.motion.ditto.conditions import LABELS, NEUTRAL, emotion, packed, told
from visavis.motion.ditto.windows import WINDOW
from visavis.neural.opening import open_engine
from visavis.render.liveportrait.renderer import LivePortraitRenderer
from visavis.types import Audio, FloatArray

_SIZE = (512, 512)
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Material:
    """What windows are made of: rows (t, d) of each sound, and the sitters of photographs."""

    sounds: tuple[FloatArray, ...]
    sitters: tuple[Sitter, ...]

    def asked(
        self, rng: np.random.Generator, count: int, felt: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return what ``count`` windows are told (b, 80, c), and their sitters' portraits (b, 265).

        A share ``felt`` of them has an emotion besides neutral.
        """
        rows, portraits = [], []
        for _ in range(count):
            sitter = self.sitters[rng.integers(len(self.sitters))]
            mood = emotion(NEUTRAL)
            if rng.random() < felt:
                share = np.float32(rng.random())
                mood = (1 - share) * mood + share * emotion(int(rng.integers(len(LABELS))))
            rows.append(told(self._heard(rng), np.tile(mood, (WINDOW, 1)), sitter, 0))
            portraits.append(packed(sitter.faces[:1])[0])
        return np.stack(rows), np.stack(portraits)

    def _heard(self, rng: np.random.Generator) -> FloatArray:
        """Return 80 rows of one of the sounds; a short one repeats."""
        rows = self.sounds[rng.integers(len(self.sounds))]
        first = rng.integers(max(1, len(rows) - WINDOW + 1))
        return rows[np.arange(first, first + WINDOW) % len(rows)]


def gather(data: Path, model: Path, portraits: Path | None, kept: Path) -> Material:
    """Return the sounds in ``data`` and the sitters of ``portraits``, a folder of photographs.

    Sounds are rows (t, d) of Ditto's HuBERT in .npy files, 25 a second, or recordings that the one
    in the folder ``model`` hears; the rows of those stay in the folder ``kept``. Without portraits
    the packaged one sits.

    Raises:
        InputError: there is no sound, or no photograph.
        ModelError: the model has no speech encoder.
    """
    files = sorted(path for path in data.iterdir() if path.is_file()) if data.is_dir() else []
    sounds = tuple(_rows(files, model, kept))
    if not sounds:
        raise InputError(f"{data} holds no sounds; give a folder of recordings or of .npy rows.")
    pictures = [ASSETS / "demo_portrait.webp"]
    if portraits is not None:
        pictures = sorted(p for p in portraits.glob("*") if p.suffix.lower() in PICTURES)
    if not pictures:
        raise InputError(f"{portraits} holds no photographs ({', '.join(PICTURES)}).")
    renderer = LivePortraitRenderer(open_engine(model, "cpu"), None)
    looks = [renderer.prepare(make_portrait(read_image(path)), _SIZE) for path in pictures]
    return Material(sounds, tuple(look.sitter for look in looks))


def _rows(files: list[Path], model: Path, kept: Path) -> Iterator[FloatArray]:
    """Yield the rows (t, d) of every file."""
    features: HubertFeatures | None = None
    for path in files:
        rows = path if path.suffix == ".npy" else kept / f"{path.name}.npy"
        if not rows.is_file():
            features = features or _ear(model)
            kept.mkdir(parents=True, exist_ok=True)
            np.save(rows, _heard(path, features))
        yield np.load(rows).astype(np.float32)


def _ear(model: Path) -> HubertFeatures:
    """Return Ditto's speech encoder."""
    weights = found(model, "hubert")
    if weights is None:
        raise ModelError(
            f"{model} has no speech encoder to hear recordings; give .npy rows, or fetch it: "
            "visavis models fetch ditto"
        )
    return load_hubert(weights, normalize=False)


def _heard(path: Path, features: HubertFeatures) -> FloatArray:
    """Return the rows (t, d) of a recording."""
    with open_audio(path) as reader:
        samples = np.concatenate([np.zeros(0, np.float32), *reader.chunks()])
    return features.step(features.start(), Audio(samples), final=True)[1].values
