"""Stills of emotions in shuffled order without words, and the key to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import players

from visavis.faces.framing import cut, head_and_shoulders
from visavis.media.image import write_image
from visavis.motion.base import MotionModel
from visavis.motion.controls import EMOTIONS, Controls
from visavis.motion.layout import COEFFICIENTS, unpack
from visavis.opening import open_portrait
from visavis.render.inset import InsetRenderer
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.types import ImageArray

SIDE = 320
ASKED = ("happy", "sad", "angry", "surprised")
PER_ROW = 4


def contact_sheet(
    model: MotionModel, voice: np.ndarray, portraits: Sequence[Path], out: Path, seed: int = 5
) -> None:
    """Write ``stills.png`` (four emotions), ``stills_all.png`` (all eight) and their keys.

    Each tile is one portrait in one emotion at full intensity while the same speech is spoken, in
    the frame that is nearest to the mean face there.
    """
    heard, renderer = players.hear(voice), InsetRenderer(MeshWarpRenderer())
    tiles: dict[tuple[str, str], ImageArray] = {}
    for path in portraits:
        portrait = open_portrait(path)
        face = renderer.prepare(cut(portrait, head_and_shoulders(portrait)), (SIDE, SIDE))
        for emotion in EMOTIONS:
            asked = Controls(emotion=emotion, intensity=float(emotion != "neutral"))
            values = players.play(model, heard, seed, asked)
            at = typical(values)
            tiles[path.stem, emotion] = renderer.draw(face, unpack(values[at : at + 1]))
    out.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("stills", ASKED), ("stills_all", EMOTIONS)):
        keys = [k for k in tiles if k[1] in chosen]
        order = [keys[i] for i in np.random.default_rng(seed).permutation(len(keys))]
        write_image(out / f"{name}.png", sheet([tiles[k] for k in order]))
        answers = {str(i + 1): {"portrait": p, "emotion": e} for i, (p, e) in enumerate(order)}
        (out / f"{name}_key.json").write_text(json.dumps(answers, indent=1), "utf-8")


def typical(values: np.ndarray) -> int:
    """Return the frame after the first second that is nearest to the mean face."""
    faces = values[25:, COEFFICIENTS]
    return 25 + int(np.argmin(np.square(faces - faces.mean(axis=0)).sum(axis=1)))


def sheet(tiles: Sequence[ImageArray]) -> ImageArray:
    """Return the tiles in rows, numbered from 1."""
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    numbered = []
    for i, tile in enumerate(tiles):
        picture = np.ascontiguousarray(tile)
        cv2.putText(picture, str(i + 1), (6, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 0), 2)
        numbered.append(picture)
    numbered += [blank] * (-len(tiles) % PER_ROW)
    rows = [np.hstack(numbered[i : i + PER_ROW]) for i in range(0, len(numbered), PER_ROW)]
    return np.vstack(rows)
