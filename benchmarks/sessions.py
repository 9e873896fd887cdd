"""How many people can be live at a time in one process: frames on time, by number of sessions.

``python benchmarks/sessions.py --shared ../shared [--seconds 20] [--size 512] [--quality draft]``

Each session speaks without a pause and its frames are encoded as for a browser (VP8 at 2.5 Mbit/s,
aiortc's own encoder), all on this machine. More and more sessions are opened until frames come
late: the first table with what was asked for, the second where quality may give way
(stream/overload.py). A session's frame is late if it was not drawn when it was due. JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import os
import time
from pathlib import Path
from typing import Any

import players
from aiortc.codecs import vpx
from av import VideoFrame

from visavis.api import load
from visavis.faces.framing import cut, head_and_shoulders
from visavis.machine import cpu_name
from visavis.opening import DEMO_PORTRAIT, open_portrait
from visavis.render.mesh_warp import resized
from visavis.stream import session as sessions
from visavis.stream.moments import Moment
from visavis.stream.overload import Load
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.types import MOTION_FPS, SAMPLE_RATE

BITRATE = 2_500_000
GOOD = 0.01
"""Share of late frames below which a session counts as carried."""


class Viewer:
    """Encodes what a session shows, as for WebRTC."""

    def __init__(self) -> None:
        """Make an encoder."""
        self._encoder: Any = vpx.Vp8Encoder()
        self._encoder.target_bitrate = BITRATE
        self.bytes = 0

    def encode(self, moment: Moment) -> None:
        """Encode the picture of ``moment``."""
        frame = VideoFrame.from_ndarray(moment.image, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = moment.index * 3600, fractions.Fraction(1, 90_000)
        self.bytes += sum(map(len, self._encoder.encode(frame)[0]))


async def watched(session: Session, sound: Any, frames: int, into: list[float]) -> None:
    """Let ``session`` speak ``sound`` for ``frames`` frames; note when each was handed out."""
    viewer = Viewer()
    async with session:
        session.push_audio(sound, SAMPLE_RATE)
        async for moment in session:
            into.append(time.monotonic())
            await asyncio.to_thread(viewer.encode, moment)
            if moment.index + 1 >= frames:
                return


async def together(animator: Any, prepared: Any, shared: Path, count: int, seconds: int) -> dict:
    """Return how ``count`` sessions did together."""
    crew, frames = Crew(), seconds * MOTION_FPS
    made = [Session(animator, prepared, crew, Settings(seed=i)) for i in range(count)]
    sounds = [players.long_speech(shared, seconds + 3.0, seed=i) for i in range(count)]
    times: list[list[float]] = [[] for _ in made]
    cpu, begin = time.process_time(), time.monotonic()
    await asyncio.gather(
        *(watched(s, x, frames, t) for s, x, t in zip(made, sounds, times, strict=True))
    )
    elapsed = time.monotonic() - begin
    crew.close()
    late = [s.stats().late_frames / max(1, s.stats().frames) for s in made]
    gaps = sorted(b - a for t in times for a, b in zip(t, t[1:], strict=False))
    return {
        "sessions": count, "late_worst": max(late), "late_mean": sum(late) / count,
        "level_worst": max(s.stats().level for s in made),
        "frame_gap_p99_ms": 1000 * gaps[int(0.99 * len(gaps))],
        "fps": frames * count / elapsed / count,
        "cores_used": (time.process_time() - cpu) / elapsed,
        "draw_ms": made[0].stats().summary()["draw_ms"],
    }  # fmt: skip


def carried(
    animator: Any, prepared: Any, shared: Path, seconds: int, may_step_down: bool
) -> list[dict]:
    """Return a row for each number of sessions, up to the first that is not carried."""
    kept = sessions.judged
    if not may_step_down:
        sessions.judged = lambda load, is_late: Load()
    rows = []
    for count in range(1, 17):
        rows.append(asyncio.run(together(animator, prepared, shared, count, seconds)))
        print("  ".join(f"{k} {v:.3g}" for k, v in rows[-1].items()), flush=True)
        if rows[-1]["late_worst"] > (GOOD if not may_step_down else 0.1):
            break
    sessions.judged = kept
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--quality", nargs="*", default=["standard", "draft"])
    args = parser.parse_args()
    portrait = open_portrait(DEMO_PORTRAIT)
    portrait = resized(cut(portrait, head_and_shoulders(portrait)), (args.size, args.size))
    result: dict[str, Any] = {
        "machine": cpu_name(), "threads": os.cpu_count(), "size": args.size,
        "load_before": os.getloadavg()[0],
    }  # fmt: skip
    for quality in args.quality:
        animator = load(quality=quality)
        prepared = animator.prepare(portrait)
        for may_step_down in (False, True):
            name = f"{quality}{', may step down' if may_step_down else ''}"
            print(name, flush=True)
            rows = carried(animator, prepared, args.shared, args.seconds, may_step_down)
            result[name] = rows
            good = [r["sessions"] for r in rows if r["late_worst"] <= GOOD]
            result[f"carried: {name}"] = max(good, default=0)
    result["load_after"] = os.getloadavg()[0]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
