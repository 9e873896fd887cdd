"""The renderers that benchmarks/renderer.py and benchmarks/look.py compare, by quality."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visavis.nn.session import Network
from visavis.render.mesh_warp import MeshWarpRenderer, Touch
from visavis.render.quality import touch_for
from visavis.render.refiner import Refiner
from visavis.types import ImageArray, Motion, Portrait

PARTS = ("mouth", "eye")
DRAFT = "draft"
"""The mesh warp alone, which needs no network."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --qualities and --network to ``parser``."""
    parser.add_argument("--qualities", nargs="+", default=[DRAFT], help="draft standard high")
    parser.add_argument(
        "--network", action="append", default=[], metavar="[NAME:]PART=FILE.onnx",
        help="networks to try, mouth=FILE and eye=FILE: judged as NAME (tried) after the qualities",
    )  # fmt: skip


def systems(
    qualities: Sequence[str], networks: Sequence[str] = (), mood: float = 0.5
) -> dict[str, MeshWarpRenderer]:
    """Return a renderer for each quality, and one for each name in ``networks``.

    Raises:
        SystemExit: there is no such quality, its network is not packaged, or an entry of
            ``networks`` is no [NAME:]PART=FILE.
    """
    touches: dict[str, Touch | None] = {q: _packaged(q) for q in qualities}
    files: dict[str, dict[str, Path]] = {}
    for name, part, file in map(_parsed, networks):
        files.setdefault(name, {})[part] = file
    touches |= {name: _tried(name, parts) for name, parts in files.items()}
    return {name: MeshWarpRenderer(mood=mood, touch=touch) for name, touch in touches.items()}


def _parsed(entry: str) -> tuple[str, str, Path]:
    before, _, file = entry.partition("=")
    name, _, part = before.rpartition(":")
    if part not in PARTS or not Path(file).is_file():
        raise SystemExit(f"--network {entry}: give [NAME:]mouth=FILE.onnx or [NAME:]eye=FILE.onnx.")
    return name or "tried", part, Path(file)


def _packaged(quality: str) -> Touch | None:
    """Return what corrects the warp at ``quality``; None for the draft."""
    touch = touch_for(quality)
    if touch is None and quality != DRAFT:
        raise SystemExit(f"Quality {quality} has no network yet; try one with --network.")
    return touch


def _tried(name: str, files: dict[str, Path]) -> Touch:
    """Return the refiner with the networks in ``files``."""
    if set(files) != set(PARTS):
        raise SystemExit(f"--network: {name} needs both mouth=FILE.onnx and eye=FILE.onnx.")
    return Refiner(*(Network(str(files[part])) for part in PARTS))


class Player:
    """One renderer with one portrait made ready."""

    def __init__(self, renderer: MeshWarpRenderer, portrait: Portrait) -> None:
        """Prepare ``portrait`` at its own size."""
        height, width = portrait.image.shape[:2]
        self._renderer = renderer
        self.appearance = renderer.prepare(portrait, (width, height))

    def draw(self, motion: Motion) -> list[ImageArray]:
        """Return a picture for each frame of ``motion``."""
        return [
            np.asarray(self._renderer.draw(self.appearance, motion[i : i + 1]), np.uint8)
            for i in range(len(motion))
        ]
