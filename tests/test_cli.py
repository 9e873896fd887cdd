"""The commands as people and scripts run them: exit codes, streams, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from product import visavis
from visavis import __version__
from visavis.motion.files import read_motion
from visavis.motion.layout import INDEX, pack
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH


@pytest.fixture
def half_second(tmp_path: Path, speech: np.ndarray) -> Path:
    path = tmp_path / "in" / "speech.wav"
    path.parent.mkdir()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((speech[8000:16_000] * 32_767).astype("<i2").tobytes())
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "in")


def test_help_and_version(tmp_path: Path) -> None:
    assert __version__ in visavis("--version", folder=tmp_path).stdout
    for words in (["--help"], ["animate", "--help"], ["bench", "--help"]):
        run = visavis(*words, folder=tmp_path)
        assert run.returncode == 0
        assert "Usage: visavis" in run.stdout


def test_animate_says_what_it_made(tmp_path: Path, half_second: Path) -> None:
    words = (str(DEMO_PORTRAIT), str(half_second), "-o", "out.mp4", "--size", "128")
    run = visavis("animate", *words, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "out.mp4: 0.5 s of video, 128x128 at 25 fps" in run.stderr
    assert "x real time" in run.stderr
    assert left(tmp_path) == ["out.mp4"]


def test_quiet_is_quiet_and_the_pipe_holds_frames_only(tmp_path: Path, half_second: Path) -> None:
    words = (str(DEMO_PORTRAIT), str(half_second), "-o", "-", "--size", "64", "--quiet")
    run = visavis("animate", *words, folder=tmp_path, text=False)
    assert (run.returncode, run.stderr) == (0, b"")
    assert len(run.stdout) == 13 * 64 * 64 * 3
    run = visavis("animate", *words[:-1], folder=tmp_path, text=False)
    assert len(run.stdout) == 13 * 64 * 64 * 3
    assert b"x real time" in run.stderr


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["animate"], "needs a portrait and a recording"),
        (["animate", str(DEMO_PORTRAIT)], "needs a portrait and a recording"),
        (["animate", "no.jpg", "no.wav"], "no.jpg"),
        (["animate", str(DEMO_PORTRAIT), "no.wav"], "no.wav"),
        (["animate", "--demo", "--trim", "3"], "START:END"),
        (["animate", "--demo", "--trim", "a:b"], "START:END"),
        (["animate", "--demo", "--trim", "900:"], "trim"),
        (["animate", "--demo", "--size", "65"], "odd"),
        (["animate", "--demo", "-o", "out.doc"], "out.doc"),
        (["animate", "--demo", "-o", "no/out.mp4"], "does not exist"),
        (["animate", "--demo", "--face", "7"], "no face 7"),
        (["animate", "--demo", "--motion", "no.csv"], "no.csv"),
        (["animate", "--demo", "--emotion", "hapy"], "happy"),
        (["animate", "--demo", "--gaze", "1,2,3"], "viewer, away, free, or YAW,PITCH"),
        (["animate", "--demo", "--blink-rate", "99"], "0 to 60"),
        (["animate", "--demo", "--gain", "jawOpen"], "NAME=NUMBER"),
        (["animate", "--demo", "--offset", "jaw=0.1"], "jawOpen"),
        (["animate", "--demo", "--freeze", "nose"], "brows, lids, gaze, mouth, head"),
        (["animate", "--demo", "--controls", "no.json"], "no.json"),
        (["animate", "--demo", "--steps", "3"], "steps 3"),
        (["animate", "--demo", "--motion-model", "magic"], "diffused, rules"),
        (["animate", "--demo", "--listen-to", "no.wav"], "no.wav"),
        (["animate", str(DEMO_SPEECH), str(DEMO_SPEECH)], "FLAC"),
        (["inspect", str(DEMO_SPEECH)], "FLAC"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_errors_are_one_line_with_exit_code_1(
    tmp_path: Path, words: list[str], needle: str
) -> None:
    run = visavis(*words, folder=tmp_path)
    assert run.returncode == 1
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("visavis: error: ")
    assert needle in lines[0]
    assert left(tmp_path) == []


def test_controls_come_as_options_and_from_a_file(tmp_path: Path, half_second: Path) -> None:
    keys = tmp_path / "in" / "keys.csv"
    keys.write_text("time,gaze,hold.jawOpen\n0,viewer,\n0.2,,0.125\n")
    words = (str(DEMO_PORTRAIT), str(half_second), "-o", "out.mp4", "--size", "64")
    asked = ("--controls", str(keys), "--phase", "speaking", "--head", "-4,9,0", "--energy", "1.2")
    named = (
        "--freeze",
        "brows",
        "--freeze",
        "lids",
        "--gain",
        "mouthPucker=0",
        "--gain",
        "headX=0",
    )
    curves = ("--motion-out", "m.npz", "--motion-model", "rules", "-q")
    run = visavis("animate", *words, *asked, *named, *curves, folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    values = pack(read_motion(tmp_path / "m.npz"))
    columns = [INDEX[n] for n in ("browInnerUp", "eyeBlinkLeft", "mouthPucker", "headX")]
    assert not values[:, columns].any()
    assert (values[5:, INDEX["jawOpen"]] == 0.125).all()
    assert 4.0 < values[:, INDEX["headYaw"]].mean() < 14.0
    assert left(tmp_path) == ["m.npz", "out.mp4"]


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    for words in (["animate", "--sizes", "3"], ["dance"], ["animate", "--size", "big"]):
        assert visavis(*words, folder=tmp_path).returncode == 2


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    run = visavis("animate", "no.jpg", "no.wav", "--debug", folder=tmp_path)
    assert run.returncode != 0
    assert "Traceback" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "visavis", "animate", "--demo", "-o", "out.mp4"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not left(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left(tmp_path) != ["out.mp4"], "finished before it could be stopped"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert left(tmp_path) == []


def test_what_is_made_is_signed_and_verified(tmp_path: Path, half_second: Path) -> None:
    pytest.importorskip("c2pa")
    env = os.environ | {"VISAVIS_PROVENANCE": "on", "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    made = [sys.executable, "-m", "visavis", "animate", str(DEMO_PORTRAIT), str(half_second), "-q"]
    subprocess.run([*made, "-o", "out.mp4", "--size", "64"], cwd=tmp_path, env=env, check=True)
    ask = [sys.executable, "-m", "visavis", "verify", "--json"]

    def verdict(name: str) -> tuple[int, dict]:
        run = subprocess.run(
            [*ask, name], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        return run.returncode, json.loads(run.stdout)

    code, found = verdict("out.mp4")
    assert (code, found["status"], found["is_generated"], found["is_own"]) == (
        0,
        "intact",
        True,
        True,
    )
    data = bytearray((tmp_path / "out.mp4").read_bytes())
    data[-5_000] ^= 0xFF
    (tmp_path / "altered.mp4").write_bytes(data)
    code, found = verdict("altered.mp4")
    assert (code, found["status"]) == (4, "altered")
    again = subprocess.run(
        [*made, "-o", "plain.mp4", "--size", "64"], cwd=tmp_path, check=False,
        env=env | {"VISAVIS_PROVENANCE": "off"},
    )  # fmt: skip
    assert again.returncode == 0
    assert verdict("plain.mp4")[0] == 3


def first_picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_words_are_spoken_and_the_badge_is_drawn(tmp_path: Path, half_second: Path) -> None:
    pytest.importorskip("hibari")
    words = ("animate", str(DEMO_PORTRAIT), "--text", "Good morning.", "--size", "128", "-q")
    for name, more in (("a.mp4", ()), ("b.mp4", ("--badge",))):
        run = visavis(*words, "-o", name, *more, folder=tmp_path)
        assert (run.returncode, run.stderr) == (0, "")
    plain, marked = (first_picture(tmp_path / name) for name in ("a.mp4", "b.mp4"))
    differs = np.abs(plain.astype(int) - marked).max(-1) > 40
    assert differs[96:, 64:].any()
    assert not differs[:64].any()
    both = visavis(*words[:2], str(half_second), *words[2:], folder=tmp_path)
    assert both.returncode == 1
    assert "not both" in both.stderr


def test_serving_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    pytest.importorskip("aiortc")
    (tmp_path / "wrong.json").write_text('{"prot": 80}')
    for words, said in (
        (("serve", "wrong.json"), "Did you mean port?"),
        (("serve", "none.toml"), "none.toml"),
        (("serve", "--port", "70000"), "port"),
        (("serve", "--quality", "best"), "quality"),
    ):
        run = visavis(*words, folder=tmp_path)
        assert run.returncode == 1, run.stderr
        assert said in run.stderr
        assert len(run.stderr.strip().splitlines()) == 1


def test_inspect_draws_a_picture_beside(tmp_path: Path) -> None:
    run = visavis("inspect", str(DEMO_PORTRAIT), folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "1 face found" in run.stdout
    assert left(tmp_path) == ["demo_portrait_inspected.png"]


def test_doctor_finds_this_machine_able(tmp_path: Path) -> None:
    run = visavis("doctor", "--json", folder=tmp_path)
    assert run.returncode == 0, run.stdout
    findings = {finding["subject"]: finding for finding in json.loads(run.stdout)}
    assert findings["models"]["is_ok"]
    assert "frames/s" in findings["speed"]["text"]
    assert findings["cache"]["text"].startswith("off")
    assert left(tmp_path) == []
    assert "ok    encoders: " in visavis("doctor", folder=tmp_path).stdout


def test_bench_ends_in_a_line_of_json(tmp_path: Path) -> None:
    words = ("--size", "128", "--quality", "draft", "--seconds", "2", "--starts", "2")
    run = visavis("bench", *words, folder=tmp_path)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    for key in ("frames_per_s", "realtime_factor", "first_frame_ms_p50", "first_frame_ms_p95"):
        assert figures[key] > 0
    assert figures["peak_rss_mb"] > 30
    assert {"features", "motion", "render", "encode"} <= set(figures["stages_ms"])
    assert (figures["size"], figures["quality"], figures["frames"]) == (128, "draft", 50)
    assert figures["prepare_ms"] > 0
    assert figures["remembered_ms"] < figures["open_portrait_ms"] + figures["prepare_ms"]
    assert figures["cpu_threads"] >= 1
    odd = visavis("bench", "--size", "129", folder=tmp_path)
    assert odd.returncode == 1
    assert "Use 130" in odd.stderr
    ultra = visavis("bench", "--quality", "ultra", folder=tmp_path)
    assert ultra.returncode == 1
    assert "no quality 'ultra'. Give one of: draft, standard, high" in ultra.stderr
    assert left(tmp_path) == []
