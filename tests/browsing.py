"""A real server in a thread and a real browser, for the tests of the page."""

from __future__ import annotations

import os
import shutil
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from visavis.provenance.policy import Policy
from visavis.stream.worker import Crew

_WHY = {"reason": 'needs playwright and pip install "visavis[live]"'}
playwright = pytest.importorskip("playwright.sync_api", **_WHY)
settings = pytest.importorskip("visavis.serve.settings", **_WHY)
stage = pytest.importorskip("visavis.serve.stage", **_WHY)
run = pytest.importorskip("visavis.serve.run", **_WHY)
voices = pytest.importorskip("visavis.serve.voices", **_WHY)

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
)  # fmt: skip
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
NARROW = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1366, "height": 800}}
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Return where Chromium is; skips the test where there is none."""
    given = os.environ.get("VISAVIS_CHROMIUM")
    found = given or next((path for name in _CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@contextmanager
def serving(**given: Any) -> Iterator[str]:
    """Run the real server in a thread; gives its address."""
    told = settings.ServerSettings(port=0, **given)
    with_faces = stage.Stage(
        told, told.policy(Policy()), Crew(threads=2), voices.Voices.named(told.voice)
    )
    server = run.make_server(told, with_faces)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started or not thread.is_alive(), 60)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def browsing(*flags: str) -> Iterator[Any]:
    """Run Chromium; gives Playwright's browser."""
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=[*FLAGS, *flags])
        try:
            yield found
        finally:
            found.close()


@contextmanager
def visiting(browser: Any, address: str, script: str = "", **view: Any) -> Iterator[Any]:
    """Open the page; gives Playwright's page, which has kept what went wrong in ``problems``."""
    context = browser.new_context(**(view or DESKTOP))
    page = context.new_page()
    page.problems = []
    page.requested = []
    page.on("console", lambda said: said.type == "error" and page.problems.append(said.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.requested.append(request.url))
    page.set_default_timeout(20_000)
    if script:
        page.add_init_script(script)
    page.goto(address)
    page.wait_for_selector("#avatars label")
    try:
        yield page
    finally:
        context.close()


def start(page: Any) -> None:
    """Start the conversation and wait for its picture."""
    page.click("#start")
    page.wait_for_selector("#video.shown")


def eventually(is_so: Callable[[], bool], seconds: float) -> None:
    """Wait until ``is_so``."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.05)


def write_wav(path: Path, sound: np.ndarray, rate: int = 16_000) -> Path:
    """Write ``sound`` (n,) as the 48 kHz WAV that Chromium's fake microphone plays."""
    levels = np.round(np.clip(soxr.resample(sound, rate, 48_000), -1, 1) * 32_767)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, len(levels), "NONE", ""))
        file.writeframes(levels.astype("<i2").tobytes())
    return path
