"""The live path as a person meets it: a real server, and a real browser that decodes and looks.

``python benchmarks/live.py [--trials 20] [--minutes 10] [--parts burst steady]``

``visavis.serve`` runs in a process of its own, headless Chromium opens its page over loopback
WebRTC. Everything is timed by the browser's clock, from sending on the data channel to the frame
that is shown, by the pixels of the mouth (head held still, a mouth moves when it differs from rest
by more than rest differs from itself).

*first*: first speech sample -> first frame whose mouth moves, and -> first audible sound; for sound
that comes at once (a synthetic voice) and as it is spoken (a microphone: 20 ms pieces, each when
complete). The server's share is told apart: the sound it waited for, the compute until the first
picture. *barge-in*: interrupt sent -> lips at rest, -> silence. *steady*: frames per second, frames
missing and late, handing out -> screen, jitter buffers, sound against picture (negative: sound
ahead) by sample and pixel (each frame carries its number and time) and as the browser has it,
processor share of processes and stages.
JSON last.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from live_seen import (
    SLOT_MS,
    STEP_MS,
    av_offsets,
    first_move,
    first_sound,
    frames,
    last_move,
    last_sound,
    offsets_spread,
    spread,
    true_offsets,
)
from playwright.sync_api import Page, sync_playwright

from visavis.faces.framing import cut, head_and_shoulders
from visavis.faces.topology import LIPS_OUTER
from visavis.media.read import open_audio
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH, open_portrait
from visavis.types import SAMPLE_RATE, FloatArray, ImageArray

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
RATE = 24_000
ONSET_S = 0.24
"""Where the voice of the demo begins ("Hello", 1 s; then "A moment ago ...")."""
HELLO_S, LONG_S = 0.9, 8.0
TICKS = os.sysconf("SC_CLK_TCK")
SERVER_OWN = ("first_frame_ms", "sound_wait_ms", "shown_ms")
"""Compute until the first picture, sound waited for, first sample to picture handed out."""
MARK = 16
"""Pixels of a square of the mark that numbers each frame."""


# ---- the server and the browser


@contextmanager
def serving(quality: str) -> Iterator[tuple[str, int]]:
    """Run the server in a process of its own; gives its address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, __file__, "--server", str(port), "--quality", quality]
    environment = {**os.environ, "VISAVIS_CACHE": "off", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment) as process:
        address = f"http://127.0.0.1:{port}/"
        try:
            _await_server(address, process)
            yield address, process.pid
        finally:
            process.terminate()


def _await_server(address: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the server answers."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server has ended; see above")
        try:
            urllib.request.urlopen(address + "readyz", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def run_server(port: int, quality: str) -> None:
    """Serve until told to end."""
    from visavis.serve.run import serve
    from visavis.serve.settings import ServerSettings
    from visavis.serve.stage import Stage

    Stage.badge = lambda self: Mark()  # in place of the words: the number of the frame
    serve(ServerSettings(port=port, quality=quality, log_format="text", drain_s=0))


class Mark:
    """The number of a frame and the time of day in ms: two rows of 16 dark or light squares."""

    def draw(self, image: ImageArray, index: int) -> ImageArray:
        """Return ``image`` with its marks in the corner, lowest bits first; a copy."""
        values = np.array([[index], [time.time_ns() // 1_000_000]])
        squares = ((values >> np.arange(16)) & 1) * 220 + 18
        drawn = image.copy()
        drawn[: 2 * MARK, : 16 * MARK] = squares.repeat(MARK, 0).repeat(MARK, 1)[..., None]
        return drawn


@contextmanager
def visiting(address: str) -> Iterator[Page]:
    """Open the page, start the conversation, hold the head still."""
    script = (Path(__file__).parent / "browser" / "live.js").read_text()
    with sync_playwright() as driver:
        chromium = os.environ.get("VISAVIS_CHROMIUM", "/usr/bin/chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: print("page:", error, file=sys.stderr))
        page.goto(address)
        page.wait_for_selector("#avatars label")
        page.click("#start")
        page.wait_for_selector("#video.shown")
        page.evaluate(script)
        page.evaluate("""() => bench.conversation.send({
            type: "agent.set_control", freeze: ["head"], gaze: "viewer"})""")
        page.evaluate("(box) => bench.watch(box)", mouth_box())
        page.wait_for_timeout(3_000)
        yield page
        page.evaluate("() => bench.conversation.leave()")
        browser.close()


def mouth_box() -> list[float]:
    """Return left, top, width and height of the lips and what they move, as shares of the frame."""
    portrait = open_portrait(DEMO_PORTRAIT)
    framed = cut(portrait, head_and_shoulders(portrait))
    height, width = framed.image.shape[:2]
    lips = framed.landmarks[list(LIPS_OUTER), :2] / (width, height)
    (left, top), (right, bottom) = lips.min(0), lips.max(0)
    across, down = right - left, bottom - top
    return [float(x) for x in (left - 0.1 * across, top - 0.1 * down, 1.2 * across, 2.0 * down)]


# ---- what is said


def voice(seconds: float) -> FloatArray:
    """Return the demo's voice from its first sound on, at ``RATE``."""
    with open_audio(DEMO_SPEECH) as reader:
        sound: FloatArray = np.concatenate(list(reader.chunks()))
    sound = soxr.resample(sound[round(ONSET_S * SAMPLE_RATE) :], SAMPLE_RATE, RATE)
    return sound[: round(seconds * RATE)]


def loudness(sound: FloatArray) -> FloatArray:
    """Return the level of ``sound`` every STEP_MS."""
    step = round(STEP_MS * RATE / 1000)
    rows = sound[: len(sound) // step * step].reshape(-1, step)
    return np.sqrt(np.square(rows).mean(1))


def pieces_of(sound: FloatArray, piece_s: float) -> list[str]:
    """Return ``sound`` as base64 PCM16 in pieces."""
    levels = np.round(sound * 32_767).astype("<i2")
    step = round(piece_s * RATE)
    cuts = range(0, len(levels), step)
    return [base64.b64encode(levels[i : i + step].tobytes()).decode() for i in cuts]


# ---- the measurements


def first_frames(page: Page, trials: int, is_paced: bool) -> dict[str, float]:
    """Return how long "Hello" takes to be seen and heard, over ``trials``."""
    piece_s = 0.02 if is_paced else 0.5
    pieces, rng = pieces_of(voice(HELLO_S), piece_s), np.random.default_rng(0)
    seen_ms, heard_ms = [], []
    told: dict[str, float] = {}
    for _ in range(trials):
        page.evaluate("() => bench.taken()")
        page.wait_for_timeout(1_300 + rng.uniform(0, 400))
        before = page.evaluate("() => bench.taken()")
        start = page.evaluate(
            "([pieces, ms, paced]) => bench.speak(pieces, ms, paced)",
            [pieces, 1000 * piece_s, is_paced],
        )
        page.evaluate("() => bench.heard('agent.speak_ended', 10000)")
        after = page.evaluate("() => bench.taken()")
        seen_ms.append(first_move(before, after, start))
        heard_ms.append(first_sound(after, start))
        page.wait_for_timeout(900)
        told = _numbers(before) or told
    server = {k: round(v, 1) for k, v in told.items() if k.startswith(SERVER_OWN)}
    return spread(seen_ms, "seen_ms") | spread(heard_ms, "heard_ms") | {"server": server}


def _numbers(seen: Mapping[str, Any]) -> dict[str, float]:
    """Return what the server last told of the session in numbers."""
    told = [m for m in seen["messages"] if m["type"] == "metrics.frame"]
    return told[-1] if told else {}


def barge_ins(page: Page, trials: int) -> dict[str, float]:
    """Return how long lips and sound go on after an interruption, over ``trials``."""
    pieces, rng = pieces_of(voice(LONG_S), 1.0), np.random.default_rng(1)
    rest_ms, silent_ms, off_ms = [], [], []
    for _ in range(trials):
        page.evaluate("() => bench.taken()")
        page.wait_for_timeout(1_500)
        before = page.evaluate("() => bench.taken()")
        page.evaluate("(pieces) => bench.speak(pieces, 1000, false)", pieces)
        page.evaluate("() => bench.heard('agent.speak_started', 5000)")
        page.wait_for_timeout(1_200 + rng.uniform(0, 1_500))
        start = page.evaluate("() => bench.interrupt()")
        page.wait_for_timeout(1_200)
        after = page.evaluate("() => bench.taken()")
        rest_ms.append(last_move(before, after, start))
        silent_ms.append(last_sound(after, start))
        off_ms.append(_position_off(after))
    return (
        spread(rest_ms, "lips_at_rest_ms") | spread(silent_ms, "silent_ms")
        | spread(off_ms, "position_off_ms")
    )  # fmt: skip


def _position_off(seen: Mapping[str, Any]) -> float:
    """Return by how many ms the position told differs from the frames that were spoken."""
    told = {m["type"]: m for m in seen["messages"]}
    begun, stopped = told.get("agent.speak_started"), told.get("agent.speak_interrupted")
    if begun is None or stopped is None:
        return float("nan")
    return abs(1000 * stopped["position_s"] - SLOT_MS * (stopped["index"] - begun["index"]))


def steady(page: Page, minutes: float, pids: Mapping[str, int]) -> dict[str, Any]:
    """Return how talking and idling in turn goes for ``minutes``."""
    sound = voice(LONG_S)
    pieces, loud = pieces_of(sound, 1.0), loudness(sound)
    seen: list[dict[str, Any]] = []
    told: list[list[float]] = []
    true: list[float] = []
    page.evaluate("() => bench.taken()")
    reports, cpu, start = [_media(page)], cpu_seconds(pids), time.monotonic()
    while time.monotonic() < start + 60 * minutes:
        page.evaluate("(pieces) => bench.speak(pieces, 1000, false)", pieces)
        page.evaluate("() => bench.heard('agent.speak_ended', 20000)")
        page.wait_for_timeout(1_000)
        part = page.evaluate("() => bench.taken()")
        true += true_offsets(part, loud, _first_frame(part))
        told.append([offset for _, offset in part["offsets"]])
        seen.append({k: part[k] for k in ("frames", "messages")})
    wall = time.monotonic() - start
    reports.append(_media(page))
    spent = {name: (used - cpu[name]) / wall for name, used in cpu_seconds(pids).items()}
    return {
        "seconds": round(wall, 1), **frames(seen, wall), **_server(seen), **_buffers(*reports),
        "sound_behind_picture_ms": offsets_spread(true), "as_the_browser_has_it": av_offsets(told),
        "cpu_share": {k: round(v, 3) for k, v in spent.items() if v > 0.002},
    }  # fmt: skip


def _first_frame(seen: Mapping[str, Any]) -> int:
    """Return the number of the frame in which the utterance began."""
    begun = next(m for m in seen["messages"] if m["type"] == "agent.speak_started")
    return int(begun["index"])


def _server(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the session's own numbers: late frames, and milliseconds a frame of each stage."""
    told = [m for part in parts for m in part["messages"] if m["type"] == "metrics.frame"]
    first, last = told[0], told[-1]
    frames = last["frames"] - first["frames"]
    return {
        "server_fps": round(frames / ((last["at"] - first["at"]) / 1000), 2),
        "server_late_share": round((last["late_frames"] - first["late_frames"]) / frames, 5),
        "levels": sorted({m["level"] for m in told}),
        "stage_ms": {k: round(last[k], 2) for k in ("move_ms", "draw_ms") if k in last},
    }


def _media(page: Page) -> dict[str, dict[str, float]]:
    """Return what getStats() knows of the two tracks."""
    return {entry["kind"]: entry for entry in page.evaluate("() => bench.report()")}


def _buffers(first: dict[str, Any], last: dict[str, Any]) -> dict[str, float]:
    """Return how long picture and sound wait in the browser, and what it lost."""
    out: dict[str, float] = {}
    for kind in ("audio", "video"):
        delay = last[kind]["jitterBufferDelay"] - first[kind]["jitterBufferDelay"]
        count = last[kind]["jitterBufferEmittedCount"] - first[kind]["jitterBufferEmittedCount"]
        out[f"{kind}_jitter_buffer_ms"] = round(1000 * delay / max(count, 1), 1)
        out[f"{kind}_packets_lost"] = last[kind]["packetsLost"] - first[kind]["packetsLost"]
    for name in ("framesDropped", "freezeCount"):
        out[name] = last["video"][name] - first["video"][name]
    hidden = last["audio"]["concealedSamples"] - first["audio"]["concealedSamples"]
    heard = last["audio"]["totalSamplesReceived"] - first["audio"]["totalSamplesReceived"]
    out["sound_concealed_share"] = round(hidden / max(heard, 1), 5)
    return out


# ---- who computes


def processes(server: int) -> dict[str, int]:
    """Return the processes of the measurement by name: the server's, and Chromium's by kind."""
    found = {"server": server}
    mine = os.getpid()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().replace("\0", " ").split()
            parents = _parents(int(folder.name))
        except OSError:
            continue
        if words and mine in parents and "chromium" in words[0]:
            kind = next((w[7:] for w in words if w.startswith("--type=")), "browser")
            service = next((w.split("=")[1].split(".")[0] for w in words if "sub-type=" in w), kind)
            found[f"chromium {service} {folder.name}"] = int(folder.name)
    return found


def _parents(pid: int) -> list[int]:
    """Return the ancestors of ``pid``."""
    found: list[int] = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        found.append(pid)
    return found


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the processor seconds that each process has used."""
    out = {}
    for name, pid in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        out[name] = (int(fields[11]) + int(fields[12])) / TICKS
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=1.0, help="10 for a closing note")
    parser.add_argument("--parts", nargs="*", default=["burst", "spoken", "barge_in", "steady"])
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--server", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.server:
        run_server(args.server, args.quality)
        return
    result: dict[str, Any] = {"quality": args.quality, "load_before": os.getloadavg()[0]}
    parts: dict[str, Callable[[Page, int], dict[str, Any]]] = {
        "burst": lambda page, server: first_frames(page, args.trials, is_paced=False),
        "spoken": lambda page, server: first_frames(page, args.trials, is_paced=True),
        "barge_in": lambda page, server: barge_ins(page, args.trials),
        "steady": lambda page, server: steady(page, args.minutes, processes(server)),
    }
    with serving(args.quality) as (address, server):
        for name in args.parts:
            with visiting(address) as page:
                result[name] = parts[name](page, server)
            print(name, json.dumps(result[name]), flush=True)
    result["load_after"] = os.getloadavg()[0]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
