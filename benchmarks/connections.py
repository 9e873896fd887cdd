"""Hundreds of clients come and go, some killed in mid-sentence: what is left, who notices.

``python benchmarks/connections.py [--connects 500] [--kills 20] [--out FOLDER]``

The server runs here, the clients in processes of their own that connect over loopback, half by
WebRTC and half by WebSocket with pictures, each to a session that it opens and speaks in. Every
other process closes what it opened; the others get SIGKILL while they speak. After each process,
once its sessions are over, the server's memory, tasks, file handles and objects are counted and
drawn to ``connections.png``: each must end where it began.

*killed*: the frame times of a session that nobody touches, before and after each time that a client
beside it is killed in mid-sentence. JSON last.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from charts import Curve, Panel, draw

from visavis.machine import cpu_name, resident_mb
from visavis.media.read import open_audio
from visavis.opening import DEMO_SPEECH
from visavis.provenance.policy import Policy
from visavis.serve.context import Server
from visavis.serve.live import LiveSession
from visavis.serve.run import make_server
from visavis.serve.sessions import Wish
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage
from visavis.serve.voices import Voices
from visavis.stream.worker import Crew
from visavis.timing import SYSTEM, percentile
from visavis.types import MOTION_FPS, SAMPLE_RATE

EACH = 10
"""Connections that one process makes."""
GONE_S = 40.0
WINDOW_S = 3.0
"""Seconds before and after each kill whose frames are compared."""
FIRST = 3
"""Samples that are left out of the slopes: caches fill."""


# ---- clients, in processes of their own


def speech() -> np.ndarray:
    """Return a few seconds of speech, (n,) float32 at 16 kHz."""
    with open_audio(DEMO_SPEECH, (0.0, 4.0)) as reader:
        return np.concatenate(list(reader.chunks()))


def as_message(sound: np.ndarray) -> str:
    """Return ``sound`` as a message of the control protocol."""
    data = base64.b64encode((sound * 32_767).astype("<i2").tobytes()).decode()
    return json.dumps({"type": "agent.speak", "audio": data, "sample_rate": SAMPLE_RATE})


async def over_socket(http: Any, opened: dict[str, Any], is_kept: bool) -> Any:
    """Connect by WebSocket, speak, see a few pictures; close unless it ``is_kept``."""
    from websockets.asyncio.client import connect

    base = str(http.base_url).replace("http", "ws").rstrip("/")
    wire = await connect(f"{base}{opened['ws']}?token={opened['token']}&media=1", max_size=None)
    await wire.send(as_message(speech()[:SAMPLE_RATE]))
    pictures = 0
    while pictures < 5:
        data = await wire.recv()
        pictures += isinstance(data, bytes) and data[0] == 1
    if not is_kept:
        await wire.close()
    return wire


async def over_webrtc(http: Any, opened: dict[str, Any], is_kept: bool) -> Any:
    """Connect by WebRTC, speak over the data channel, see a few pictures; close likewise."""
    from aiortc import RTCPeerConnection, RTCSessionDescription

    peer = RTCPeerConnection()
    channel = peer.createDataChannel("control")
    opening = asyncio.get_running_loop().create_future()
    video: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    channel.on("open", lambda: opening.set_result(None))
    peer.on("track", lambda track: track.kind == "video" and video.set_result(track))
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer", "session_id": opened["session_id"]}
    token = {"Authorization": f"Bearer {opened['token']}"}
    answer = (await http.post("/api/offer", json=offer, headers=token)).json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    await asyncio.wait_for(opening, 20)
    for start in range(0, SAMPLE_RATE, SAMPLE_RATE // 4):
        channel.send(as_message(speech()[start : start + SAMPLE_RATE // 4]))
    track = await video
    for _ in range(5):
        await asyncio.wait_for(track.recv(), 20)
    if not is_kept:
        await peer.close()
    return peer


async def client(address: str, count: int, is_kept: bool) -> None:
    """Connect ``count`` times, in turn by WebRTC and WebSocket; keep the last few if asked to."""
    import httpx

    kept = []
    async with httpx.AsyncClient(base_url=address, timeout=30) as http:
        for number in range(count):
            opened = (await http.post("/api/sessions", json={})).json()
            keeps = is_kept and number >= count - 2
            way = over_webrtc if number % 2 else over_socket
            kept.append(await way(http, opened, keeps))
            if not keeps:
                token = {"Authorization": f"Bearer {opened['token']}"}
                await http.delete(f"/api/sessions/{opened['session_id']}", headers=token)
        print("connected", flush=True)
        if is_kept:
            await asyncio.sleep(600)


# ---- the server


@dataclass(frozen=True)
class Count:
    """What the server holds after ``connects`` connections."""

    connects: int
    memory_mb: float
    tasks: int
    handles: int
    objects: int


@asynccontextmanager
async def serving(size: int, quality: str) -> AsyncIterator[tuple[Server, str]]:
    """Serve on a free port of 127.0.0.1."""
    settings = ServerSettings(
        port=0, size=size, quality=quality, max_sessions=8, sessions_per_caller=8, drain_s=0,
        starts_per_minute=100_000, unwatched_s=2,
    )  # fmt: skip
    server = make_server(settings, Stage(settings, Policy(), Crew(), Voices(None)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.05)
        parts: Server = server.config.app.state.server  # type: ignore[union-attr]
        yield parts, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await running


@asynccontextmanager
async def process(address: str, count: int, is_kept: bool) -> AsyncIterator[Any]:
    """Run a client in a process of its own, connected; it is killed, or has ended."""
    words = [__file__, "--client", address, "--connects", str(count)]
    told = [*words, "--kept"] if is_kept else words
    child = await asyncio.create_subprocess_exec(
        sys.executable, *told, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    line = await child.stdout.readline()
    assert line.strip() == b"connected", line
    try:
        yield child
    finally:
        if is_kept:
            child.send_signal(signal.SIGKILL)
        await child.wait()


async def alone(parts: Server, sessions: int = 0) -> float:
    """Wait until ``sessions`` are left and no peer; return the seconds it took."""
    start = SYSTEM.now_ns()
    while len(parts.sessions) > sessions or len(parts.peers):
        await asyncio.sleep(0.1)
        if SYSTEM.now_ns() - start > GONE_S * 1e9:
            raise SystemExit(f"{len(parts.sessions)} sessions, {len(parts.peers)} peers are left")
    return (SYSTEM.now_ns() - start) / 1e9


async def come_and_go(parts: Server, address: str, connects: int) -> tuple[list[Count], float]:
    """Return what the server holds after each process, and the longest until all were gone."""
    counts, longest = [], 0.0
    for done in range(0, connects, EACH):
        async with process(address, EACH, is_kept=done // EACH % 2 == 1):
            pass
        longest = max(longest, await alone(parts))
        await asyncio.sleep(0.5)
        gc.collect()
        handles, tasks = len([*Path("/proc/self/fd").iterdir()]), len(asyncio.all_tasks())
        counts.append(Count(done + EACH, resident_mb(), tasks, handles, len(gc.get_objects())))
        print(counts[-1], file=sys.stderr, flush=True)
    return counts, longest


async def frame_times(live: LiveSession, times_ms: list[float]) -> None:
    """Note when each moment comes to a reader, until it is cancelled."""
    feed = live.subscribe()
    try:
        async for _ in feed:
            times_ms.append(SYSTEM.now_ns() / 1e6)
    finally:
        feed.close()


async def kill(parts: Server, address: str, kills: int) -> list[float]:
    """Have clients beside the watched session killed in mid-sentence; return when, in ms."""
    instants = []
    for _ in range(kills):
        async with process(address, 1, is_kept=True):
            await asyncio.sleep(WINDOW_S)
            instants.append(SYSTEM.now_ns() / 1e6)
        await alone(parts, sessions=1)
    return instants


def evenness(times_ms: list[float], windows: list[tuple[float, float]]) -> dict[str, float]:
    """Return how even the moments are that came in the ``windows``."""
    slot = 1000 / MOTION_FPS
    gaps = [
        later - earlier
        for earlier, later in zip(times_ms, times_ms[1:], strict=False)
        if any(start <= earlier < end for start, end in windows)
    ]
    off = [abs(gap - slot) for gap in gaps]
    return {
        "frames": len(gaps),
        "interval_ms_p50": round(percentile(gaps, 50), 2),
        "off_ms_p95": round(percentile(off, 95), 2),
        "off_ms_p99": round(percentile(off, 99), 2),
        "interval_ms_max": round(max(gaps), 2),
    }


async def untouched(parts: Server, address: str, kills: int) -> dict[str, Any]:
    """Return the frame times of a session while clients beside it are killed."""
    opened = await parts.sessions.open(Wish(), "benchmark")
    times_ms: list[float] = []
    reading = asyncio.create_task(frame_times(opened.live, times_ms))
    instants = await kill(parts, address, kills)
    reading.cancel()
    numbers = opened.live.numbers()
    await opened.live.close()
    span = 1000 * WINDOW_S
    return {
        "kills": kills,
        "before": evenness(times_ms, [(t - span, t) for t in instants]),
        "after": evenness(times_ms, [(t, t + span) for t in instants]),
        "late_frames": numbers["late_frames"],
        "frames": numbers["frames"],
    }


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured."""
    async with serving(given.size, given.quality) as (parts, address):
        counts, longest = await come_and_go(parts, address, given.connects)
        killed = await untouched(parts, address, given.kills) if given.kills else {}
    first, last = counts[min(FIRST, len(counts) - 1)], counts[-1]
    later = counts[len(counts) // 2 :]
    slope = (
        0.0
        if len(later) < 3
        else float(np.polyfit([c.connects for c in later], [c.memory_mb for c in later], 1)[0])
    )
    draw_counts(given.out, counts)
    return {
        "connects": last.connects,
        "memory_mb": [round(first.memory_mb, 1), round(last.memory_mb, 1)],
        "memory_kb_per_connect_second_half": round(1024 * slope, 2),
        "tasks": [first.tasks, last.tasks],
        "handles": [first.handles, last.handles],
        "objects": [first.objects, last.objects],
        "longest_until_gone_s": round(longest, 1),
        "clients_killed": killed,
    }


def draw_counts(folder: Path, counts: list[Count]) -> None:
    """Draw the curves."""
    x = [c.connects for c in counts]
    panels = [
        Panel(name, "connections", unit, (Curve(name, x, [getattr(c, key) for c in counts]),))
        for name, unit, key in (
            ("memory", "MiB", "memory_mb"), ("tasks", "", "tasks"), ("file handles", "", "handles"),
            ("objects", "", "objects"),
        )
    ]  # fmt: skip
    draw(folder / "connections.png", panels, heading="after all clients of a process have gone")


def main() -> None:
    """Be the server, or a client of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--connects", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--out", type=Path, default=Path("connections"))
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        asyncio.run(client(given.client, given.connects, given.kept))
        return
    measured = asyncio.run(measure(given))
    print(json.dumps({"machine": cpu_name(), "size": given.size, **measured}))


if __name__ == "__main__":
    main()
