"""An hour of conversation, faster than real time: does the person stay who it was?

``python benchmarks/soak.py --shared ../shared [--minutes 60] [--size 512] [--out DIR]``

Each minute the session speaks for about twenty seconds, listens to somebody for twenty, and idles
for the rest; everything is drawn. Of each minute: the mean pose and expression, how lively they
are, the distance of the face from the portrait by dlib's descriptors, colours and sharpness of the
face, and the memory of the process. A straight line goes through each; it counts as drift where it
leaves its own scatter (|t| > 4) or the last sixth does from the first. The curves are drawn to
``soak.png``. JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import players
from charts import Curve, Panel, draw

from stream import minute_statistics, report_drift, slope
from visavis.api import load
from visavis.eval.identity import IdentityNet
from visavis.faces.framing import cut, head_and_shoulders
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.machine import cpu_name, resident_mb
from visavis.motion.layout import pack
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.render.mesh_warp import resized
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.timing import Stopwatch
from visavis.types import MOTION_FPS, SAMPLE_RATE, FloatArray, Motion, Portrait

MINUTE = 60 * MOTION_FPS
SPEECH_S, LISTEN_FROM, LISTEN_TO = 20, 24 * MOTION_FPS, 44 * MOTION_FPS
LOOK = 5 * MOTION_FPS
"""Frames between two looks at the picture."""


@dataclass
class Minute:
    """What is kept of one minute."""

    motion: list[Motion] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    identity: list[float] = field(default_factory=list)
    colour: list[FloatArray] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        """Return the numbers of this minute."""
        red, green, blue = np.mean(self.colour, 0)
        out = minute_statistics(pack(Motion.concatenate(self.motion)))
        return out | {
            "identity distance": float(np.mean(self.identity)),
            "sharpness": np.mean(self.sharpness),
            "red": red, "green": green, "blue": blue, "memory, MB": resident_mb(),
            "share speaking": self.phases.count("speaking") / MINUTE,
            "share listening": self.phases.count("listening") / MINUTE,
        }  # fmt: skip


class Observer:
    """Looks at every ``LOOK``-th picture as somebody who knows the portrait."""

    def __init__(self, portrait: Portrait) -> None:
        """Remember ``portrait``."""
        self._net = IdentityNet()
        self._own = self._net.describe(portrait.image, portrait.landmarks)
        self._face: FaceLandmarks | None = None

    def look(self, moment: Moment, minute: Minute) -> None:
        """Note how the picture of ``moment`` looks."""
        self._face = track(moment.image, self._face)
        assert self._face is not None, f"no face in frame {moment.index}"
        points = self._face.points
        apart = np.linalg.norm(self._net.describe(moment.image, points) - self._own)
        minute.identity.append(float(apart))
        (x0, y0), (x1, y1) = (f(points[:, :2], 0).astype(int) for f in (np.min, np.max))
        face = moment.image[max(0, y0) : y1, max(0, x0) : x1]
        minute.colour.append(face.mean((0, 1)))
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        minute.sharpness.append(float(cv2.Laplacian(grey, cv2.CV_32F).var()))


async def conversed(session: Session, shared: Path, minutes: int) -> AsyncIterator[Moment]:
    """Yield the moments of ``minutes`` minutes of speaking, listening and idling."""
    talk = players.long_speech(shared, minutes * SPEECH_S, seed=1)
    other = players.long_speech(shared, 300.0, seed=2)
    slot = SAMPLE_RATE // MOTION_FPS
    async for moment in session:
        minute, frame = divmod(moment.index, MINUTE)
        if frame == 0:
            start = minute * SPEECH_S * SAMPLE_RATE
            session.push_audio(talk[start : start + SPEECH_S * SAMPLE_RATE], SAMPLE_RATE)
            session.end_audio()
        elif frame in (LISTEN_FROM, LISTEN_TO):
            session.user_started() if frame == LISTEN_FROM else session.user_ended()
        if LISTEN_FROM <= frame < LISTEN_TO:
            start = moment.index * slot % (len(other) - slot)
            session.push_user_audio(other[start : start + slot], SAMPLE_RATE)
        yield moment
        if moment.index + 1 == minutes * MINUTE:
            return


async def soak(shared: Path, minutes: int, size: int, quality: str) -> list[dict[str, float]]:
    """Return the numbers of each minute."""
    animator, portrait = load(quality=quality), open_portrait(DEMO_PORTRAIT)
    portrait = resized(cut(portrait, head_and_shoulders(portrait)), (size, size))
    observer, rows, minute = Observer(portrait), [], Minute()
    crew = Crew(2)
    settings = Settings(is_paced=False, sound_rate=SAMPLE_RATE, longest_queue_s=120.0)
    async with Session(animator, animator.prepare(portrait), crew, settings) as session:
        async for moment in conversed(session, shared, minutes):
            assert moment.motion is not None
            assert moment.is_fresh, moment.index
            minute.motion.append(moment.motion)
            minute.phases.append(moment.phase.value)
            if moment.index % LOOK == 0:
                observer.look(moment, minute)
            if (moment.index + 1) % MINUTE == 0:
                rows.append(minute.row())
                minute = Minute()
                print(f"minute {len(rows)}", {k: round(float(v), 3) for k, v in rows[-1].items()},
                      flush=True)  # fmt: skip
    crew.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--out", type=Path, default=Path("scratch/measure/soak"))
    args = parser.parse_args()
    watch = Stopwatch()
    rows = asyncio.run(soak(args.shared, args.minutes, args.size, args.quality))
    table = {k: np.array([row[k] for row in rows], float) for k in rows[0]}
    x, panels = np.arange(len(rows)), []
    for name, y in table.items():
        line = np.polyval(np.polyfit(x, y, 1), x)
        panels.append(Panel(name, "minute", "", (Curve("", x, y), Curve("", x, line, "--"))))
    draw(args.out / "soak.png", panels, across=5, heading=f"{len(rows)} minutes of conversation")
    found = {k: slope(y) for k, y in table.items() if y.std() > 0}
    result = {
        "machine": cpu_name(), "threads": os.cpu_count(), "minutes": args.minutes,
        "elapsed_s": watch.elapsed_s(), "times_real_time": 60 * args.minutes / watch.elapsed_s(),
        "drift": found, "statistics_that_drift": report_drift(found),
    }  # fmt: skip
    print(json.dumps(result, default=float))


if __name__ == "__main__":
    main()
