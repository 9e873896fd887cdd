"""Ten minutes of speech: does colour, sharpness or likeness drift?"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
import players
from charts import Curve, Panel, draw
from renderer_systems import Player, systems

from stream import report_drift, slope
from visavis.eval import regions
from visavis.eval.identity import IdentityNet
from visavis.faces.framing import cut, head_and_shoulders
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.motion.layout import unpack
from visavis.motion.models import motion_by
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.render.mesh_warp import resized
from visavis.types import MOTION_FPS, FloatArray, ImageArray, Portrait

STRETCH_S = 10
SAMPLED = 8
"""Frames that are drawn of every stretch, evenly apart."""
SKIN = ((0.30, 0.45), (0.70, 0.45), (0.5, 0.12))
"""Both cheeks and the forehead, in shares of the face's picture."""


@dataclass(frozen=True)
class Look:
    """One picture: mean CIE Lab of the skin (3,), spread of the Laplacian, distance of identity."""

    lab: FloatArray
    sharpness: float
    identity: float


def measure(args: argparse.Namespace) -> dict:
    """Draw the long render's statistics to ``args.out`` and return what drifts, by quality."""
    seconds = args.minutes * 60
    sound = players.long_speech(args.shared, seconds)
    motion = unpack(players.play(motion_by(None, 1), players.hear(sound)))
    portrait = open_portrait(DEMO_PORTRAIT)
    portrait = resized(cut(portrait, head_and_shoulders(portrait)), (args.size, args.size))
    net = IdentityNet()
    own = net.describe(portrait.image, portrait.landmarks)
    result = {}
    for name, renderer in systems(args.qualities, args.network).items():
        player = Player(renderer, portrait)
        rows = []
        for start in range(0, len(motion) - STRETCH_S * MOTION_FPS + 1, STRETCH_S * MOTION_FPS):
            at = start + np.arange(SAMPLED) * STRETCH_S * MOTION_FPS // SAMPLED
            frames = [player.draw(motion[i : i + 1])[0] for i in at]
            looks = [look(f, portrait, net, own) for f in frames]
            rows.append([*np.mean([x.lab for x in looks], axis=0),
                         np.mean([x.sharpness for x in looks]),
                         np.mean([x.identity for x in looks])])  # fmt: skip
        columns = ("skin L", "skin a", "skin b", "sharpness", "identity distance")
        series = dict(zip(columns, np.array(rows).T, strict=True))
        _draw(args, name, series)
        print(f"\ndrift over {args.minutes:g} minutes, {name}")
        found = {k: renamed(slope(v)) for k, v in series.items()}
        result[name] = {"series": found, "drifts": report_drift(found)}
    return result


def renamed(line: dict[str, float]) -> dict[str, float]:
    """Return ``line`` with its slope called by what it is here: 60 stretches are 10 minutes."""
    return {n.replace("per_hour", "per_10_minutes"): v for n, v in line.items()}


def look(image: ImageArray, portrait: Portrait, net: IdentityNet, own: FloatArray) -> Look:
    """Return the looks of ``image`` (h, w, 3)."""
    found = track(image, FaceLandmarks(portrait.landmarks, 1.0))
    points = portrait.landmarks if found is None else found.points
    face = regions.cut_out(image, regions.place(regions.FACE, points), regions.FACE.size)
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).std())
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    h, w = grey.shape
    spots = [lab[int(y * h) - 8 : int(y * h) + 8, int(x * w) - 8 : int(x * w) + 8] for x, y in SKIN]
    mean = np.mean([s.reshape(-1, 3).mean(0) for s in spots], axis=0)
    distance = float(np.linalg.norm(net.describe(image, points) - own))
    return Look(mean, sharpness, distance)


def _draw(args: argparse.Namespace, name: str, series: dict[str, FloatArray]) -> None:
    panels = []
    for title, y in series.items():
        x = (np.arange(len(y)) + 0.5) * STRETCH_S / 60
        line = np.polyval(np.polyfit(x, y, 1), x)
        panels.append(Panel(title, "minute", "", (Curve("", x, y), Curve("", x, line, "--"))))
    draw(args.out / f"drift_{name}.png", panels, across=3,
         heading=f"{args.minutes:g} minutes of speech, {name}: means of {STRETCH_S} s")  # fmt: skip
