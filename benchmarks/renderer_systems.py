"""The renderers that benchmarks/renderer.py and benchmarks/look.py compare, by quality."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visavis.errors import InputError
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.types import ImageArray, Motion, Portrait

DRAFT = "draft"
"""The mesh warp alone, which needs no network."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --qualities and --network to ``parser``."""
    parser.add_argument("--qualities", nargs="+", default=[DRAFT], help="draft standard high")
    parser.add_argument(
        "--network", action="append", default=[], metavar="PART=FILE.onnx",
        help="another network than the packaged one: mouth=FILE or eye=FILE; may be repeated",
    )  # fmt: skip


def systems(
    qualities: Sequence[str], networks: Sequence[str] = (), mood: float = 0.5
) -> dict[str, MeshWarpRenderer]:
    """Return a renderer for each quality; ``networks`` are PART=FILE.

    Raises:
        InputError: a quality is not built in, or an entry of ``networks`` is no PART=FILE.
    """
    files = dict(_pair(n) for n in networks)
    return {q: MeshWarpRenderer(mood=mood, touch=_touch(q, files)) for q in qualities}


def _pair(entry: str) -> tuple[str, Path]:
    part, _, file = entry.partition("=")
    if part not in ("mouth", "eye") or not Path(file).is_file():
        raise InputError(f"--network {entry}: give mouth=FILE.onnx or eye=FILE.onnx.")
    return part, Path(file)


def _touch(quality: str, files: dict[str, Path]) -> Any:
    """Return what corrects the warp at ``quality``; None for the draft."""
    if quality == DRAFT:
        return None
    try:
        from visavis.render.quality import touch_for
    except ImportError as error:
        raise InputError(f"Quality {quality} is not built in yet; draft is.") from error
    return touch_for(quality, **({"networks": files} if files else {}))


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
