"""Run the command line on hundreds of broken, mislabelled and extreme files.

Every run must end in a valid video, or in one line that says what is wrong with exit code 1 (2 for
wrong usage); never in a traceback, a crash, a hang, a half-written or left-over file, much memory,
or a connection to anywhere.

    python benchmarks/fuzz.py [--only PATTERN] [--every 25] [--media]

Each case runs in a forked process with a fresh working folder; one in ``--every`` as a separate
``python -m visavis``. The last line is JSON: ``cases``, ``valid_videos``, ``clean_errors``,
``violations`` (a list, empty when all is well).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
from hostile import Case, cases, make_kit

import visavis.api
import visavis.cli
from visavis.errors import VisavisError
from visavis.hub import ASSETS
from visavis.media.image import read_image
from visavis.media.read import VideoReader, open_audio
from visavis.media.write import open_writer

TIME_LIMIT_S = 120
MEMORY_LIMIT_MB = 2_500
PORTRAIT, SPEECH = ASSETS / "demo_portrait.webp", ASSETS / "demo_speech.flac"


@dataclass(frozen=True)
class Ending:
    """How a run ended: ``code`` (negative: killed by that signal), its words, its peak memory."""

    code: int
    words: str
    memory_mb: float


def command(arguments: list[str]) -> None:
    """Run ``visavis`` with ``arguments`` in this process."""
    sys.argv = ["visavis", *arguments]
    visavis.cli.main()


def media_only(arguments: list[str]) -> None:
    """Read the picture and the sound and write a video without animating anything."""
    out = next(a.split("=", 1)[1] for a in arguments if a.startswith("--out="))
    picture, sound = [*(a for a in arguments[1:] if not a.startswith("--")), "", ""][:2]
    try:
        image = cv2.resize(read_image(picture), (128, 128))
        with open_audio(sound) as reader:
            samples = sum(len(chunk) for chunk in reader.chunks())
        with open_writer(out, (128, 128), 25, sound) as writer:
            for _ in range(-(-samples // 640)):
                writer.write(image)
    except VisavisError as error:
        print(f"visavis: error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def run_forked(run: Callable[[list[str]], None], arguments: list[str], folder: Path) -> Ending:
    """Run ``run`` in a fork of this process with ``folder`` as its working folder."""
    log = folder.parent / "log"
    child = os.fork()
    if child == 0:
        _become_child(run, arguments, folder, log)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Ending(code, log.read_text("utf-8", "replace"), usage.ru_maxrss / 1024)


def _become_child(
    run: Callable[[list[str]], None], arguments: list[str], folder: Path, log: Path
) -> None:
    """Run and leave; never returns."""
    signal.alarm(TIME_LIMIT_S)
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder.parent / "tmp")
    tempfile.tempdir = None
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    code = 0
    try:
        run(arguments)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - to be reported, whatever it is
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_apart(arguments: list[str], folder: Path) -> Ending:
    """Run ``python -m visavis`` as a user would."""
    environment = {**os.environ, "TMPDIR": str(folder.parent / "tmp")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = subprocess.run(
        [sys.executable, "-m", "visavis", *arguments],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=TIME_LIMIT_S,
    )  # fmt: skip
    words = (result.stdout + result.stderr).decode("utf-8", "replace")
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Ending(result.returncode, words, after / 1024 if after > before else 0.0)


def judge(ending: Ending, case: Case, folder: Path) -> str:
    """Return "video", "error", or what is wrong with the way the run ended."""
    left = [p for p in folder.parent.rglob("*") if p.name not in ("run", "tmp", "log")]
    if ending.code < 0:
        name = signal.Signals(-ending.code).name
        return f"killed by {name}" + (" (too slow)" if name == "SIGALRM" else "")
    if ending.memory_mb > MEMORY_LIMIT_MB:
        return f"took {ending.memory_mb:.0f} MB"
    if "Traceback" in ending.words or "unexpected" in ending.words:
        return f"unexpected error: {ending.words.strip()[-300:]}"
    if ending.code == 0:
        return _judge_result(left, case, folder)
    if left:
        return f"left {[p.name for p in left]}"
    lines = ending.words.strip().splitlines()
    if ending.code == 2 and "Error" in ending.words:
        return "error"
    if len(lines) != 1 or not lines[0].startswith("visavis: error: "):
        return f"not one line: {ending.words.strip()[-300:]!r}"
    return "error" if ending.code == 1 else f"exit code {ending.code}"


def _judge_result(left: list[Path], case: Case, folder: Path) -> str:
    """Return "video" if nothing but a valid result lies in ``folder``."""
    out = folder / case.out
    is_frames = case.out.endswith(("/", ".png"))
    allowed = set(left) if is_frames else {out}
    if not left or set(left) - allowed or any(p.name.startswith(".vis") for p in left):
        return f"left {[p.name for p in left]}"
    if is_frames:
        return "video" if len(read_image(max(left), 1)) else "no frames"
    if case.out.endswith(".rgb"):
        return "video" if out.stat().st_size % (3 * 64 * 64) == 0 else "odd size"
    with VideoReader(out) as video:
        shown = sum(1 for _ in video)
    if not shown or video.warnings:
        return f"bad video: {shown} frames, {video.warnings}"
    if case.out.endswith(".gif") or any(a.startswith("--motion=") for a in case.arguments):
        return "video"
    with open_audio(out) as reader:
        seconds = sum(len(chunk) for chunk in reader.chunks()) / 16_000
    wrong = abs(seconds - shown / float(video.fps)) > 0.15
    return f"{shown} frames but {seconds:.2f} s of sound" if wrong else "video"


def check(case: Case, root: Path, run: Callable[[list[str]], None] | None) -> tuple[str, Ending]:
    """Run one case in a fresh folder below ``root``; return the verdict."""
    shutil.rmtree(root / "case", ignore_errors=True)
    folder = root / "case" / "run"
    folder.mkdir(parents=True)
    (root / "case" / "tmp").mkdir()
    arguments = ["animate", "--quiet", f"--out={case.out}", *case.arguments]
    if not any(a.startswith("--size") for a in arguments):
        arguments.insert(1, "--size=128")
    ending = run_forked(run, arguments, folder) if run else run_apart(arguments, folder)
    try:
        return judge(ending, case, folder), ending
    except VisavisError as error:
        return f"bad result: {error}", ending


def main() -> None:
    """Run all cases and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="run only cases whose name contains this")
    parser.add_argument("--every", type=int, default=25, help="run one in so many as a subprocess")
    parser.add_argument("--media", action="store_true", help="only read and write, do not animate")
    options = parser.parse_args()
    tally = {"video": 0, "error": 0}
    violations = []
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as server:
        root = Path(name)
        (root / "files").mkdir()
        kit = make_kit(root / "files", PORTRAIT, SPEECH, server.getsockname()[1])
        run = media_only if options.media else command
        visavis.api.load()  # the forks inherit the networks
        chosen = (c for c in cases(kit) if options.only in c.name)
        for n, case in enumerate(c for c in chosen if not options.media or len(c.arguments) > 1):
            is_apart = not options.media and n % options.every == options.every - 1
            verdict, ending = check(case, root, None if is_apart else run)
            if case.name.startswith("intact") and verdict == "error":
                verdict = f"refused: {ending.words.strip()[:300]}"
            tally[verdict] = tally.get(verdict, 0) + 1
            if verdict not in ("video", "error"):
                violations.append(f"{case.name}: {verdict}")
            print(f"{n} {case.name}: {verdict}: {ending.words.strip()[:200]!a}", flush=True)
        server.settimeout(0.1)
        try:
            server.accept()
            violations.append("something connected to the network")
        except TimeoutError:
            pass
    total = tally["video"] + tally["error"] + sum(not v.startswith("something") for v in violations)
    figures = {
        "cases": total,
        "valid_videos": tally["video"],
        "clean_errors": tally["error"],
        "violations": violations,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
