"""Latent models as benchmarks/video.py plays them: folders, and how they are used otherwise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visavis.audio.features import ROWS_PER_SECOND
from visavis.motion.controls import Timeline
from visavis.nn.session import Network
from visavis.timing import Stopwatch
from visavis.types import Features, FloatArray, ImageArray, Motion, Portrait
from visavis.video.face_map import face_map
from visavis.video.motion import LatentMotion
from visavis.video.opening import NEEDED
from visavis.video.renderer import LatentRenderer
from visavis.video.settings import FILE, LatentSettings
from visavis.video.sizes import SPEECH_ROWS
from visavis.video.studio import LatentLooks, Studio, as_input


def variant(entry: str, place: Path) -> tuple[str, Path]:
    """Return the name and the folder of ``entry``: [NAME=]FOLDER[,setting=value …].

    With settings (of latent.json or of what it holds under "rolling") the folder is a new one in
    ``place``, of links to the same networks; ``denoiser=FILE`` and the like take other networks.
    """
    head, *changes = entry.split(",")
    name, _, text = head.rpartition("=")
    folder = Path(text).expanduser().resolve()
    name = name or ", ".join([folder.name, *changes])
    if not (folder / FILE).is_file():
        raise SystemExit(f"--model {entry}: there is no {FILE} in {folder}.")
    if not changes:
        return name, folder
    settings = json.loads((folder / FILE).read_text("utf-8"))
    files = {n: folder / f"{n}.onnx" for n in NEEDED}
    for key, value in (change.split("=", 1) for change in changes):
        if key in files:
            files[key] = Path(value).expanduser().resolve()
            continue
        known = settings if key in settings else settings["rolling"]
        if key not in known:
            raise SystemExit(f"--model {entry}: {FILE} has no {key}; it has {', '.join(known)}.")
        known[key] = value if isinstance(known[key], str) else json.loads(value)
    out = place / "".join(c if c.isalnum() else "_" for c in name)
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_text(json.dumps(settings), "utf-8")
    for file, path in files.items():
        link = out / f"{file}.onnx"
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    return name, out


@dataclass
class Clock:
    """Seconds spent and frames made, of making latents and of drawing them."""

    made_s: float = 0.0
    made: int = 0
    drawn_s: float = 0.0
    drawn: int = 0

    def per_frame(self) -> dict[str, float]:
        """Return ms a frame of both, and frames a second of one after the other."""
        a, b = 1000 * self.made_s / max(1, self.made), 1000 * self.drawn_s / max(1, self.drawn)
        return {"latents_ms": a, "drawing_ms": b, "fps": 1000 / max(1e-6, a + b)}


@dataclass(frozen=True)
class Model:
    """One model in use: ``clock`` runs while it works."""

    name: str
    folder: Path
    settings: LatentSettings
    motion: LatentMotion
    renderer: LatentRenderer
    networks: dict[str, Network]
    clock: Clock = field(default_factory=Clock)

    @staticmethod
    def open(entry: str, place: Path, threads: int = 1) -> Model:
        """Return the model of ``entry``, as ``variant`` reads it, on ``threads`` threads."""
        name, folder = variant(entry, place)
        settings = LatentSettings.from_json((folder / FILE).read_text("utf-8"), str(folder))
        networks = {n: Network(str(folder / f"{n}.onnx"), threads) for n in NEEDED}
        studio = Studio(networks, settings)
        motion = LatentMotion(networks["denoiser"], studio, settings)
        renderer = LatentRenderer(networks["decoder"], studio)
        return Model(name, folder, settings, motion, renderer, networks)

    def prepare(self, portrait: Portrait, size: int | None = None) -> LatentLooks:
        """Return ``portrait`` ready for pictures of ``size`` px, the model's own by default."""
        side = size or self.settings.side
        return self.renderer.prepare(portrait, (side, side))

    def moved(
        self,
        looks: LatentLooks,
        rows: FloatArray,
        timeline: Timeline | None = None,
        seed: int = 0,
        length: int | None = None,
    ) -> Motion:
        """Return the latents of all frames for evidence ``rows`` (r, 45).

        ``length``: every clip has so many frames; by default they grow as the model has it.
        """
        watch, asked = Stopwatch(), timeline or Timeline()
        state = self.motion.start(seed, looks)
        if length is None:
            _, made = self.motion.step(state, Features(rows, ROWS_PER_SECOND), asked, final=True)
        else:
            parts, total = [], -(-len(rows) // SPEECH_ROWS)
            for first in range(0, total, length):
                near = rows[SPEECH_ROWS * first : SPEECH_ROWS * (first + length + 4)]
                heard = Features(near, ROWS_PER_SECOND)
                state, part = self.motion.extend(state, heard, asked, min(length, total - first))
                parts.append(part)
            made = Motion.concatenate(parts)
        self.clock.made_s += watch.elapsed_s()
        self.clock.made += len(made)
        return made

    def pictures(
        self, looks: LatentLooks, motion: Motion, frames: Sequence[int] | None = None
    ) -> list[ImageArray]:
        """Return the pictures of ``frames`` of ``motion``, by default of all."""
        watch = Stopwatch()
        wanted = range(len(motion)) if frames is None else frames
        made = [self.renderer.draw(looks, motion[i : i + 1]) for i in wanted]
        self.clock.drawn_s += watch.elapsed_s()
        self.clock.drawn += len(made)
        return made

    def coded(
        self,
        looks: LatentLooks,
        pictures: Sequence[ImageArray],
        points: Sequence[FloatArray | None],
    ) -> list[ImageArray]:
        """Return true ``pictures`` (side, side, 3) as they come back through the codec alone.

        ``points`` (478, 3) are the landmarks of each; None: it shows no face.
        """
        ratio = np.array(self.settings.ratio, np.float32)[:, None, None]
        latents = np.concatenate(
            [self._latents(*pair) for pair in zip(pictures, points, strict=True)]
        )
        changes = (latents - looks.guide["latents"]) * ratio
        before = np.concatenate([changes[:1], changes[:-1]])
        still = Motion.rest(len(changes))
        motion = Motion(
            still.coefficients, still.rotation, still.translation, still.scale,
            latents=np.stack([changes, before], 1),
        )  # fmt: skip
        return [self.renderer.draw(looks, motion[i : i + 1]) for i in range(len(motion))]

    def _latents(self, picture: ImageArray, points: FloatArray | None) -> FloatArray:
        """Return the latents (1, c, h, w) of a picture."""
        spots = np.full((478, 2), np.nan) if points is None else points[:, :2] / len(picture)
        face = face_map(spots.astype(np.float32), len(picture) // 2)[None]
        return self.networks["guide"]({"picture": as_input(picture), "face": face})[0]


def rounded(value: Any, digits: int = 4) -> Any:
    """Return ``value`` with its floats rounded, for people and JSON."""
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    return float(f"{value:.{digits}g}") if isinstance(value, (float, np.floating)) else value
