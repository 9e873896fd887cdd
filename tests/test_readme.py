"""Every command and every line of Python in the README works, as written."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
import wave
from pathlib import Path

import numpy as np
import pytest

from product import ROOT

README = (ROOT / "README.md").read_text("utf-8")
SETUP = ("git clone", "cd ", "pip install", "python3 -m venv", ". .venv")
"""Lines that set a machine up; CI has done so when it comes here."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[str]:
    lines = [
        line.split("  #")[0].strip() for block in blocks("bash") for line in block.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Path:
    """A folder with what the README's reader has: a photograph and a recording."""
    from PIL import Image

    from visavis.opening import DEMO_PORTRAIT

    place = tmp_path_factory.mktemp("readme")
    Image.open(DEMO_PORTRAIT).save(place / "portrait.jpg", quality=95)
    with wave.open(str(place / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((speech[:24_000] * 32_767).astype("<i2").tobytes())
    return place


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_make_targets_exist(command: str) -> None:
    if shutil.which("make") is None:
        pytest.skip("no make here")
    run = subprocess.run(
        f"{command} --dry-run", shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_the_first_result_takes_two_commands() -> None:
    first = [line for line in blocks("bash")[0].splitlines() if line]
    assert len(first) <= 2, first


def test_commands_run_as_written(folder: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"VISAVIS_PROVENANCE": "on", "XDG_CONFIG_HOME": str(folder / "settings")}
    ours = [c for c in commands() if not c.startswith((*SETUP, "make ", "visavis serve"))]
    assert len(ours) >= 5, ours
    for command in ours:
        run = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"


def test_the_server_serves_as_written(folder: Path) -> None:
    pytest.importorskip("aiortc")
    (command,) = (c for c in commands() if c.startswith("visavis serve"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    program = [str(Path(sys.executable).parent / "visavis"), *command.split()[1:], "--port", port]
    with subprocess.Popen(program, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if line.startswith("Open "))
        with urllib.request.urlopen(said.split()[1], timeout=10) as answer:
            assert b"<html" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, process.stderr.read()


def test_python_runs_as_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
