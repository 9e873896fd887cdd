"""Clips given other words: does the mouth say the new ones, and nothing of the old?

``python benchmarks/dub.py --shared ../shared`` takes clips of persons that no network was trained
on, dubs each with held-out speech of somebody else, writes the video and looks at it from outside.
For every clip: closures, openings and A/V offset as ``visavis evaluate`` gives them; the opening of
the lips seen in the result as a sum of what was asked and of what the clip's own mouth does at that
moment (least squares; ``leak`` is the second slope, ``follow`` the first, and both correlations);
pixels that changed far from the mouth and at the eyes; flicker beside that of the clip itself.

``--judge teacher`` looks with MediaPipe's landmarks (needs ai-edge-litert) instead of our own
network. ``--untouched`` measures the clips with their own mouths: what a full leak scores. ``--keep
FOLDER`` keeps the videos, and a sheet of each: clip above, result below. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from lips_sets import Spoken, english
from talk import mean, place, pooled, row, teacher

import visavis
from visavis.animator import spoken
from visavis.eval.evaluate import Evaluation, Follow, evaluate
from visavis.eval.track import PAIRS, Track, on_grid, see
from visavis.faces.film import Film, FilmPortrait, framed
from visavis.faces.framing import Region, fitted
from visavis.faces.landmarks import track
from visavis.faces.topology import CHIN, FOREHEAD, LEFT_EYE, RIGHT_EYE
from visavis.media.read import open_audio
from visavis.media.write import open_writer
from visavis.opening import open_portrait
from visavis.playing import PIECE
from visavis.render.rig import PortraitRig, express, fit_portrait, load_rig
from visavis.types import FloatArray, Frame, ImageArray

CLIPS = (
    "hdtf/RD_Radio2_000.mp4", "hdtf/WDA_AndyKim_000_6642_6722.mp4", "voxceleb/00067.mp4",
    "voxceleb/517600055.mp4", "latentsync/demo3_video.mp4", "silent/b.mp4", "grid/lwbsza.mpg",
    "ditto-trainset/Clip+eynXzhySluI+P0+C0+F20600-20730.mp4",
    "mead-emotion/W011_front_happy_level3_001.mp4", "expressive/d12.mp4", "expressive/d19.mp4",
)  # fmt: skip
"""One clip of each test person of data/people.py; silent/b is a painting."""
CHECK_EVERY = 7


def generic() -> PortraitRig:
    """Return the rig of nobody in particular: how far lips are asked to part."""
    rig = load_rig()
    return fit_portrait(rig, (rig.neutral * 20).astype(np.float32))


def asked(rig: PortraitRig, frames: list[FloatArray]) -> FloatArray:
    """Return the opening of the lips (t,) that the coefficients ask for, in cm."""
    points = [express(rig, c) for c in frames]
    upper, lower = ([p[i] for p in PAIRS] for i in (0, 1))
    gaps = [np.linalg.norm(p[upper] - p[lower], axis=1).mean() for p in points]
    return np.array(gaps, np.float32)


def own_gap(film: Film, follow: Follow) -> FloatArray:
    """Return the opening of the clip's own lips (t,) in each of its pictures, in eye distances."""
    sights, found = [], None
    for index in range(len(film)):
        image = film.picture(index)
        found = follow(image, found)
        sights.append(None if found is None else see(image, found.points))
    seconds = np.arange(len(film)) / float(film.rate)
    curves = on_grid(Track(seconds, tuple(sights), (0, 0)))
    at = np.clip(np.round(seconds * 100).astype(int), 0, len(curves) - 1)
    return curves.gap[at]


def parts_of(seen: FloatArray, wanted: FloatArray, own: FloatArray) -> dict[str, float]:
    """Return how much of ``seen`` (t,) is ``wanted`` (t,), and how much is the clip's ``own``."""
    terms = np.stack([wanted - wanted.mean(), own - own.mean()], axis=1)
    follow, leak = np.linalg.lstsq(terms, seen - seen.mean(), rcond=None)[0]
    r = np.corrcoef([seen, wanted, own])
    return {
        "follow": float(follow), "leak": float(leak), "r_wanted": float(r[0, 1]),
        "r_own": float(r[0, 2]), "r_chance": float(r[1, 2]),
    }  # fmt: skip


class Watch:
    """Pixels that changed, of frames beside the clip's own pictures."""

    def __init__(self, film: Film) -> None:
        """Compare with the pictures of ``film``."""
        self._film = film
        self.far: list[int] = []
        self.eyes: list[int] = []
        self.tiles: list[ImageArray] = []

    def __call__(self, frame: Frame) -> None:
        """Take one frame of the result."""
        if frame.index % CHECK_EVERY:
            return
        shown = self._film.at(frame.index, frame.motion.fps)
        before, points = self._film.picture(shown), self._film.points[shown, :, :2]
        change = np.abs(frame.image.astype(int) - before).max(2)
        height = float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))
        y, x = np.mgrid[: change.shape[0], : change.shape[1]]
        middle = points[[13, 14]].mean(0)
        is_far = np.hypot(x - middle[0], y - middle[1]) > 1.3 * height
        self.far.append(int(change[is_far].max(initial=0)))
        for ring in (RIGHT_EYE, LEFT_EYE):
            eye = points[list(ring)]
            (left, top), (right, bottom) = (v.astype(int) for v in (eye.min(0) - 3, eye.max(0) + 4))
            self.eyes.append(int(change[max(top, 0) : bottom, max(left, 0) : right].max(initial=0)))
        self.tiles.append(tile(before, frame.image, middle, height))

    def sheet(self, path: Path) -> None:
        """Write what was seen."""
        tiles = self.tiles[:24] + [np.zeros_like(self.tiles[0])] * (-len(self.tiles[:24]) % 8)
        rows = [np.concatenate(tiles[i : i + 8], 1) for i in range(0, len(tiles), 8)]
        cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])


def tile(before: ImageArray, after: ImageArray, middle: FloatArray, height: float) -> ImageArray:
    """Return the lower faces of both pictures, one above the other."""
    reach = 0.55 * height
    view = np.array(
        [[2 * reach / 200, 0, middle[0] - reach], [0, 2 * reach / 200, middle[1] - reach]]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.concatenate([cv2.warpAffine(p, view, (200, 200), flags=how) for p in (before, after)])


def dub(
    portrait: FilmPortrait, speech: Path, out: Path, *, untouched: bool
) -> tuple[list[FloatArray], Watch]:
    """Write the clip with the words of ``speech``; return the coefficients and what changed."""
    animator = visavis.load()
    h, w = portrait.image.shape[:2]
    size = (w - w % 2, h - h % 2)
    prepared = animator.prepare(portrait, size)
    film = prepared.appearance.film
    watch, values = Watch(film), []
    with open_audio(speech) as sound, open_writer(out, size, 25, speech) as writer:
        pieces = ((piece, None) for piece in sound.chunks(PIECE))
        for frame in spoken(animator, prepared, pieces, 0):
            if untouched:
                frame = replace(frame, image=film.picture(film.at(frame.index, 25)))
            watch(frame)
            writer.write(frame.image)
            values.append(frame.motion.coefficients[0])
    return values, watch


def one(
    args: argparse.Namespace, clip: str, speech: Spoken, folder: Path, follow: Follow
) -> tuple[Evaluation, dict[str, float]]:
    """Dub one clip and judge it."""
    portrait = open_portrait(args.shared / "data/talking" / clip)
    assert isinstance(portrait, FilmPortrait)
    h, w = portrait.image.shape[:2]
    region, size = Region(0, 0, w, h), fitted(w, h, args.size)
    portrait = framed(portrait, region, size)
    name = clip.replace("/", "_").rsplit(".", 1)[0]
    sound = args.shared / f"data/speech/aligned/{speech.name}.flac"
    video, phones = folder / f"{name}.mp4", folder / f"{name}.json"
    phones.write_text(json.dumps(speech.phones), "utf-8")
    values, watch = dub(portrait, sound, video, untouched=args.untouched)
    result = evaluate(video, phones=phones, follow=follow)
    if args.keep is not None:
        watch.sheet(folder / f"{name}.png")
    film = portrait.film
    own = own_gap(film, follow)
    shown = np.array([film.at(i, 25) for i in range(len(values))])
    at = np.clip(np.arange(len(values)) * 4, 0, len(result.curves) - 1)
    steady = [r for r in (result.figures["flicker"],) if r is not None]
    figures = parts_of(result.curves.gap[at], asked(generic(), values), own[shown])
    figures |= {"far": max(watch.far), "eyes": max(watch.eyes), "flicker": steady[0]}
    return result, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--judge", choices=["own", "teacher"], default="own")
    parser.add_argument("--size", type=int, default=720, help="longest side in pixels")
    parser.add_argument("--clips", nargs="*", default=CLIPS)
    parser.add_argument("--untouched", action="store_true", help="keep the clips' own mouths")
    parser.add_argument("--keep", type=Path, help="keep videos and sheets in this folder")
    args = parser.parse_args()
    follow = teacher(args.shared) if args.judge == "teacher" else track
    speeches = [s for s in english(args.shared) if len(s.samples) > 4 * 16_000]
    results, rows = [], []
    with place(args.keep) as folder:
        for number, clip in enumerate(args.clips):
            result, figures = one(args, clip, speeches[3 * number % len(speeches)], folder, follow)
            print(row(clip, result))
            print("   ", "  ".join(f"{k} {v:.3f}" for k, v in figures.items()), flush=True)
            results.append(result)
            rows.append(figures)
    whole = {key: mean([r[key] for r in rows]) for key in rows[0]}
    summary = {"dub": whole, "speech": pooled(results), "judge": args.judge}
    print(json.dumps(summary | {"clips": list(args.clips)}))


if __name__ == "__main__":
    main()
