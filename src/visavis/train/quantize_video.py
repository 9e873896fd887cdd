"""A latent model's networks in bytes: ``python -m visavis.train.quantize_video``.

``--model FOLDER --shards SHARDS --out FOLDER`` takes what recipes/export_latent.py wrote. Ranges
are those met while the model itself speaks clips of the training split, clip after clip, as in use.
Denoiser and decoder are made so, what is run once a portrait is copied. Prints how far the results
are off on clips of held-out persons, and what they cost, as JSON.

What stays in floats (LLIA does not say which of its layers do): what every frame's noise and labels
go through, first and last convolutions, and the denoiser's shortcuts, whose inputs are not
normalised: of a half-trained model they made 0.39 of an error of 0.40. In the decoder those that
tell pixels where to move, and the narrow ones that enlarge: on held-out clips the rest is 43.5 dB
from floats, all but the last two convolutions 33.7 dB, for the same time. Pictures still show it:
beside 39.3 in floats the Fréchet distance is 39.6 with the denoiser in bytes, 43.6 with the
decoder, so what is packaged has the first alone (``--parts denoiser``).
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.audio.features import ROWS_PER_SECOND
from visavis.errors import VisavisError
from visavis.faces.portrait import make_portrait
from visavis.motion.controls import Controls, Timeline
from visavis.nn.quantize import Feed, to_bytes
from visavis.nn.session import Network
from visavis.timing import Stopwatch
from visavis.train.video_data import VideoClip, VideoData
from visavis.types import MOTION_FPS, Features, FloatArray, Phase
from visavis.video.motion import LatentMotion
from visavis.video.opening import FILES, NEEDED
from visavis.video.renderer import LatentRenderer
from visavis.video.settings import FILE, LatentSettings
from visavis.video.studio import Studio

log = logging.getLogger(__name__)

PARTS = ("denoiser", "decoder")
KINDS = {"denoiser": ("Conv", "MatMul", "Gemm"), "decoder": ("Conv",)}
"""Nodes that are made bytes: those with weights."""
_TOLD = ("/stem/", "/time/", "/told/", "/face/", "/speech/")
FLOATS = {
    "denoiser": (*_TOLD, "/shortcut", "/denoiser/out/"),
    "decoder": ("/flows.", "/entry/", "/grow.", "/leave/"),
}
"""Parts of the names of nodes that stay in floats."""
CALLS = {"denoiser": 48, "decoder": 96}
"""Calls on which ranges are taken, and as many on which the result is judged, at most."""


@dataclass
class Recorder:
    """A network that keeps what it is given, every ``every``-th time."""

    network: Network
    every: int = 1
    feeds: list[Feed] = field(default_factory=list)
    calls: int = 0

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Run it."""
        if self.calls % self.every == 0:
            self.feeds.append(dict(inputs))
        self.calls += 1
        return self.network(inputs)


def spoken(folder: Path, clips: Iterable[VideoClip]) -> dict[str, list[Feed]]:
    """Return what denoiser and decoder of the model in ``folder`` are given while it speaks.

    ``clips`` lend portrait, sound and labels; those whose portrait shows no face are left out.
    """
    settings = LatentSettings.from_json((folder / FILE).read_text("utf-8"))
    networks = {name: Network(str(folder / f"{name}.onnx")) for name in NEEDED}
    denoiser, decoder = Recorder(networks["denoiser"]), Recorder(networks["decoder"], 5)
    studio = Studio(networks, settings)
    motion = LatentMotion(denoiser, studio, settings)
    renderer = LatentRenderer(decoder, studio)
    size = (settings.side, settings.side)
    for number, clip in enumerate(clips):
        try:
            looks = renderer.prepare(make_portrait(clip.portrait), size)
        except VisavisError as reason:
            log.info("%s: %s", clip.name, reason)
            continue
        rows = Features(clip.speech.reshape(-1, clip.speech.shape[-1]), ROWS_PER_SECOND)
        _, moved = motion.step(motion.start(number, looks), rows, timeline_of(clip), final=True)
        for i in range(len(moved)):
            renderer.draw(looks, moved[i : i + 1])
    return {"denoiser": denoiser.feeds, "decoder": decoder.feeds}


def timeline_of(clip: VideoClip) -> Timeline:
    """Return the phases of ``clip`` as wishes; where they are not known, people speak."""
    phases = tuple(Phase)
    told = [phases[p] if p < len(phases) else Phase.SPEAKING for p in clip.phase]
    starts = [i for i in range(len(told)) if i == 0 or told[i] is not told[i - 1]]
    return Timeline(tuple((i / MOTION_FPS, Controls(phase=told[i])) for i in starts))


def quantize_latent(
    source: Path, out: Path, feeds: Mapping[str, Sequence[Feed]], parts: Sequence[str] = PARTS
) -> dict[str, int]:
    """Write the model in ``source`` to ``out``, its ``parts`` in bytes; return nodes in bytes.

    ``feeds`` as ``spoken`` gives them.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in (FILE, *(f"{name}.onnx" for name in FILES if name not in parts)):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    return {
        name: to_bytes(
            source / f"{name}.onnx", out / f"{name}.onnx", thinned(feeds[name], CALLS[name]),
            KINDS[name], FLOATS[name],
        )
        for name in parts
    }  # fmt: skip


def thinned(feeds: Sequence[Feed], most: int) -> list[Feed]:
    """Return ``most`` of ``feeds``, evenly apart."""
    picked = np.linspace(0, len(feeds) - 1, min(most, len(feeds))).round().astype(int)
    return [feeds[i] for i in picked]


def apart(one: Path, two: Path, feeds: Sequence[Feed]) -> dict[str, float]:
    """Return how far the network ``two`` is from ``one`` on ``feeds``, and the median ms of both.

    ``error`` is the root mean square difference, in that of what ``one`` gives.
    """
    rows: list[tuple[float, float]] = []
    spent: list[list[float]] = [[], []]
    pair = [Network(str(path)) for path in (one, two)]
    for feed in feeds:
        made: list[FloatArray] = []
        for k, network in enumerate(pair):
            network(feed)
            watch = Stopwatch()
            made.append(network(feed)[0])
            spent[k].append(1000 * watch.elapsed_s())
        rows.append((float(np.square(made[0] - made[1]).mean()), float(np.square(made[0]).mean())))
    off, power = np.mean(rows, 0)
    ms = [float(np.median(s)) for s in spent]
    return {
        "error": round(float(np.sqrt(off / power)), 5),
        "rms_off": round(float(np.sqrt(off)), 5),
        "float_ms": round(ms[0], 3),
        "bytes_ms": round(ms[1], 3),
    }


def _clips(folder: Path, splits: Sequence[str], most: int) -> Iterator[VideoClip]:
    """Yield up to ``most`` clips of each of ``splits``, of more than one frame, evenly apart."""
    for split in splits:
        data = VideoData(folder, split, 9)
        picked = np.linspace(0, len(data) - 1, min(most, len(data))).round().astype(int)
        yield from (data.clip(int(i)) for i in picked)


def main() -> None:
    """Quantize from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("model", "shards", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--clips", type=int, default=16, help="to take ranges on")
    parser.add_argument("--judged", type=int, default=4, help="clips to judge the result on")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    feeds = spoken(args.model, _clips(args.shards, ["train"], args.clips))
    nodes = quantize_latent(args.model, args.out, feeds, args.parts)
    held = spoken(args.model, _clips(args.shards, ["validation", "test"], args.judged))
    report: dict[str, Any] = {"nodes": nodes}
    for name in args.parts:
        one, two = (folder / f"{name}.onnx" for folder in (args.model, args.out))
        report[name] = apart(one, two, thinned(held[name], CALLS[name]))
        report[name]["mb"] = round(two.stat().st_size / 1e6, 2)
    print(json.dumps(report))  # noqa: T201 - what the command is for


if __name__ == "__main__":
    main()
