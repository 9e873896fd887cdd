"""Contact sheets to be looked at: 24 portraits, 8 moments, each renderer beside the others.

``python benchmarks/look.py --shared ../shared --out FOLDER [--qualities draft standard high]``

*pages*: the portrait and its 8 moments (every kind of lip shape, blink, smile, surprise, heads
turned by 20 degrees), four portraits a page, a page for each quality. *close*: mouth and eyes of
the same, enlarged, qualities below each other. *strips*: six neighbouring frames of lively speech,
lower faces. *truth*: mouth and eyes of real frames of test clips, and of synthetic pairs if
``--pairs`` is given, beside the same moment drawn from another frame. ``--only 1 5`` draws these
pages only. The last line is JSON: the files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import players
from look_portraits import MOMENTS, PER_PAGE, SITTERS, moments, seated
from renderer_people import Case, Tracker, clip_cases, pair_cases
from renderer_systems import Player, add_options, systems

from visavis.eval.regions import EYES, FACE, MOUTH, Region, cut_out, place
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.media.image import write_image
from visavis.motion.layout import unpack
from visavis.motion.models import motion_by
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.types import FloatArray, ImageArray, Motion, Portrait

CELL = 320
CLOSE = 2.0
"""Enlargement of a region over its own pixels."""
STRIP = 6
_BAR = 22  # pixels of a line of words


def words(text: str, width: int, height: int = _BAR) -> ImageArray:
    """Return a bar (height, width, 3) with ``text``."""
    bar = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(bar, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def named(text: str, picture: ImageArray) -> ImageArray:
    """Return ``picture`` under a line of words."""
    return np.vstack([words(text, picture.shape[1]), picture])


def scaled(image: ImageArray, size: tuple[int, int]) -> ImageArray:
    """Return ``image`` at ``size`` (width, height)."""
    how = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def piled(rows: Sequence[ImageArray]) -> ImageArray:
    """Return ``rows`` below each other, narrow ones filled up with white."""
    width = max(r.shape[1] for r in rows)
    full = [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    return np.vstack(full)


def _side_by_side(blocks: Sequence[ImageArray]) -> ImageArray:
    """Return ``blocks`` in a row, low ones filled up with white."""
    height = max(b.shape[0] for b in blocks)
    full = [
        np.pad(b, ((0, height - b.shape[0]), (0, 8), (0, 0)), constant_values=255) for b in blocks
    ]
    return np.hstack(full)


def region_of(image: ImageArray, near: FloatArray, region: Region) -> ImageArray:
    """Return ``region`` of the face that lies about at ``near`` (478, 3), enlarged."""
    found = track(image, FaceLandmarks(near, 1.0))
    points = near if found is None else found.points
    w, h = region.size
    where = place(region, points)
    where = np.column_stack([where[:, :2] / CLOSE, where[:, 2]])
    return cut_out(image, where, (round(w * CLOSE), round(h * CLOSE)))


class Sheets:
    """Draws sheets into a folder and remembers their names."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Make the renderers."""
        self.args = args
        self.renderers = systems(args.qualities, args.network)
        self.made: list[str] = []

    def write(self, name: str, picture: ImageArray) -> None:
        """Write one sheet."""
        path = self.args.out / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, picture)
        self.made.append(str(path))
        print(path, flush=True)

    def page(self, number: int) -> None:
        """Draw everything about the portraits of page ``number`` (from 1)."""
        sitters = SITTERS[PER_PAGE * (number - 1) : PER_PAGE * number]
        portraits = [seated(s, self.args.shared, self.args.size) for s in sitters]
        titles = [f"{s.what} ({s.path})" for s in sitters]
        drawn: dict[str, list[list[ImageArray]]] = {}
        strips: dict[str, list[ImageArray]] = {}
        for quality, renderer in self.renderers.items():
            ready = [Player(renderer, p) for p in portraits]
            drawn[quality] = [player.draw(moments()) for player in ready]
            if "strips" in self.args.parts:
                frames = [player.draw(speech(self.args.shared)) for player in ready]
                strips[quality] = [strip(f, p) for f, p in zip(frames, portraits, strict=True)]
        if "pages" in self.args.parts:
            for quality, frames in drawn.items():
                rows = [_row(*row) for row in zip(titles, portraits, frames, strict=True)]
                self.write(f"page{number}_{quality}", piled(rows))
        if "close" in self.args.parts:
            for region in (MOUTH, EYES):
                self.write(f"{region.name}{number}", close(region, titles, portraits, drawn))
        if strips:
            rows = [named(f"{t}: {q}", strips[q][i]) for i, t in enumerate(titles) for q in strips]
            self.write(f"strip{number}", piled(rows))

    def truth(self) -> None:
        """Draw true frames and what the renderers make of the same moment from another one."""
        tracker = Tracker(self.args.shared)
        blocks = [self._beside(c) for c in clip_cases(self.args.shared, tracker, self.args.size, 4)]
        self._grid("truth_clips", blocks, across=2, down=2)
        if self.args.pairs is not None:
            cases = pair_cases(self.args.pairs, tracker, self.args.size, 4)
            self._grid("truth_pairs", [self._beside(c) for c in cases], across=8, down=1)

    def _grid(self, name: str, blocks: Sequence[ImageArray], across: int, down: int) -> None:
        """Write pages of ``across`` by ``down`` blocks of one size."""
        for i in range(0, len(blocks), across * down):
            page = blocks[i : i + across * down]
            rows = [page[k : k + across] for k in range(0, len(page), across)]
            self.write(f"{name}{i // (across * down) + 1}", piled([_side_by_side(r) for r in rows]))

    def _beside(self, case: Case) -> ImageArray:
        """Return mouth and eyes of a case: a block for each true frame, systems below it."""
        ready = {"true": None} | {q: Player(r, case.portrait) for q, r in self._exact().items()}
        rows = []
        for system, player in ready.items():
            parts = []
            for truth in case.truths:
                at = truth.middle
                image = (
                    truth.frames[at] if player is None else player.draw(truth.motion[at:][:1])[0]
                )
                points = truth.points[at]
                eyes, mouth = (region_of(image, points, r) for r in (EYES, MOUTH))
                parts.append(np.vstack([eyes, _centred(mouth, eyes.shape[1])]))
            rows.append(named(f"{case.person} {case.material}: {system}", np.hstack(parts)))
        return piled(rows)

    def _exact(self) -> dict[str, MeshWarpRenderer]:
        """Return the renderers without the portrait's mood: the true frame has its own."""
        return systems(self.args.qualities, self.args.network, mood=0.0)


def _centred(picture: ImageArray, width: int) -> ImageArray:
    """Return ``picture`` with grey on both sides, ``width`` wide."""
    gap = width - picture.shape[1]
    around = ((0, 0), (gap // 2, gap - gap // 2), (0, 0))
    return np.pad(picture, around, constant_values=128)


def _row(title: str, portrait: Portrait, frames: Sequence[ImageArray]) -> ImageArray:
    """Return the portrait and its moments side by side."""
    cells = [named(title[:44], scaled(portrait.image, (CELL, CELL)))]
    cells += [
        named(name, scaled(f, (CELL, CELL))) for (name, *_), f in zip(MOMENTS, frames, strict=True)
    ]
    return np.hstack(cells)


def close(
    region: Region,
    titles: Sequence[str],
    portraits: Sequence[Portrait],
    drawn: dict[str, list[list[ImageArray]]],
) -> ImageArray:
    """Return enlarged ``region`` of every moment, qualities of one portrait below each other."""
    rows = []
    for i, (title, portrait) in enumerate(zip(titles, portraits, strict=True)):
        own = region_of(portrait.image, portrait.landmarks, region)
        for quality, frames in drawn.items():
            parts = [own, *(region_of(f, portrait.landmarks, region) for f in frames[i])]
            rows.append(named(f"{title}: {quality}", np.hstack(parts)))
    return piled(rows)


def strip(frames: Sequence[ImageArray], portrait: Portrait) -> ImageArray:
    """Return the lower faces of neighbouring frames, at one fixed place."""
    where = place(FACE, portrait.landmarks)
    w, h = FACE.size
    where = np.column_stack([where[:, :2] / 2, where[:, 2]])
    whole = [cut_out(f, where, (round(2 * w), round(2 * h))) for f in frames]
    return np.hstack([f[len(f) // 3 :] for f in whole])


@cache
def speech(shared: Path) -> Motion:
    """Return the six neighbouring frames of speech in which the jaw moves most."""
    sound = players.long_speech(shared, 8)
    motion = unpack(players.play(motion_by(None, 1), players.hear(sound)))
    moved = np.abs(np.diff(motion.coefficients[:, 20:50], axis=0)).sum(1)
    busy = np.convolve(moved, np.ones(STRIP - 1), "valid")
    first = int(np.argmax(busy))
    return motion[first : first + STRIP]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, help="folder of jaw/ and smile/ (synthetic pairs)")
    parser.add_argument("--parts", nargs="+", default=["pages", "close", "strips", "truth"])
    parser.add_argument("--only", nargs="+", type=int, help="pages, from 1")
    parser.add_argument("--size", type=int, default=512, help="side of the drawn pictures")
    add_options(parser)
    args = parser.parse_args()
    sheets = Sheets(args)
    if set(args.parts) & {"pages", "close", "strips"}:
        for number in args.only or range(1, -(-len(SITTERS) // PER_PAGE) + 1):
            sheets.page(number)
    if "truth" in args.parts:
        sheets.truth()
    print(json.dumps({"files": sheets.made}))


if __name__ == "__main__":
    main()
