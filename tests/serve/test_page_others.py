"""The page in other engines: Firefox over WebRTC, WebKit (Safari's engine) over the WebSocket.

Firefox is driven by WebDriver BiDi, its own protocol since version 129; WebKitGTK, whose builds for
Linux have no WebRTC, by WebDriver on a display of its own. Each is skipped where it is missing.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from browsing import eventually, serving

PREFERENCES = {
    "media.navigator.permission.disabled": True, "media.navigator.streams.fake": True,
    "media.autoplay.default": 0, "app.update.enabled": False, "remote.active-protocols": 1,
    "browser.shell.checkDefaultBrowser": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "toolkit.telemetry.enabled": False,
}  # fmt: skip
MINI_BROWSER = Path("/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser")
SPEAK = """(async () => {
    const {conversation} = await import('./main.js');
    const voice = Float32Array.from({length: 24000 * 4}, (_, n) => 0.4 * Math.sin(n * n / 4e5));
    const bytes = new Uint8Array(Int16Array.from(voice, (x) => x * 32767).buffer);
    for (let at = 0; at < bytes.length; at += 48000) {
        const audio = btoa(String.fromCharCode(...bytes.subarray(at, at + 48000)));
        conversation.send({type: 'agent.speak', audio});
    }
    conversation.send({type: 'agent.speak_end'});
})()"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as address:
        yield address


class Firefox:
    """One tab of Firefox, by WebDriver BiDi."""

    def __init__(self, wire: Any) -> None:
        """Take the tab that is open."""
        self._wire = wire
        self._numbers = itertools.count(1)
        self.problems: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self._tab = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method: str, **parameters: Any) -> Any:
        """Return the result of a command; notes errors that the page logs meanwhile."""
        number = next(self._numbers)
        self._wire.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._wire.recv())).get("id") != number:
            if answer.get("params", {}).get("level") == "error":
                self.problems.append(answer["params"]["text"])
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, address: str) -> None:
        """Open ``address``."""
        self.call("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def run(self, script: str) -> Any:
        """Return the value of ``script``, as if a person had just clicked."""
        answer = self.call(
            "script.evaluate", expression=script, target={"context": self._tab},
            awaitPromise=True, userActivation=True,
        )  # fmt: skip
        assert answer["type"] == "success", answer
        return answer["result"].get("value")


class WebKit:
    """One window of WebKitGTK's MiniBrowser, by WebDriver."""

    def __init__(self, driver: str) -> None:
        """Open a window through the driver at ``driver``."""
        self._driver = driver
        options = {"binary": str(MINI_BROWSER), "args": ["--automation"]}
        wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self._path = f"/session/{self._call('/session', wanted)['sessionId']}"
        self.problems: list[str] = []

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(self._driver + path, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["value"]

    def open(self, address: str) -> None:
        """Open ``address``."""
        self._call(f"{self._path}/url", {"url": address})

    def run(self, script: str) -> Any:
        """Return the value of ``script``."""
        return self._call(f"{self._path}/execute/sync", {"script": f"return {script}", "args": []})


@contextmanager
def running(*words: str, **environment: str) -> Iterator[None]:
    """Run a program until the end of the block."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, env={**os.environ, **environment}, **quiet) as program:
        try:
            yield
        finally:
            program.terminate()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Return when somebody listens at ``port``."""

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(is_open, 30)


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    found = shutil.which("firefox") or shutil.which("firefox-esr")
    if found is None:
        pytest.skip("no Firefox on this machine")
    lines = (f'user_pref("{k}", {json.dumps(v)});' for k, v in PREFERENCES.items())
    (tmp_path / "user.js").write_text("\n".join(lines))
    port = free_port()
    words = ("--headless", "--no-remote", "--profile", str(tmp_path), "--remote-debugging-port")
    with running(found, *words, str(port)):
        await_port(port)
        with connect(f"ws://127.0.0.1:{port}/session", max_size=2**26) as wire:
            yield Firefox(wire)


@pytest.fixture
def webkit() -> Iterator[WebKit]:
    if not (shutil.which("WebKitWebDriver") and shutil.which("Xvfb") and MINI_BROWSER.exists()):
        pytest.skip("no WebKitWebDriver, MiniBrowser and Xvfb on this machine")
    port, display = free_port(), f":{90 + os.getpid() % 900}"
    settings = {"DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1"}
    settings["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"  # containers forbid its namespaces
    with (
        running("Xvfb", display, "-screen", "0", "1366x900x24"),
        running("WebKitWebDriver", f"--port={port}", **settings),
    ):
        await_port(port)
        time.sleep(0.5)
        yield WebKit(f"http://127.0.0.1:{port}")


def talk(browser: Firefox | WebKit, address: str, picture: str) -> None:
    """Start, see the picture, let it speak, interrupt it, leave."""
    browser.open(address)
    eventually(lambda: browser.run("document.querySelectorAll('#avatars label').length > 0"), 20)
    browser.run("document.getElementById('start').click()")
    eventually(lambda: browser.run(f"document.querySelector('#{picture}.shown') !== null"), 30)
    browser.run(SPEAK)
    eventually(lambda: browser.run("document.body.dataset.speaking === 'yes'"), 20)
    browser.run("document.getElementById('interrupt').click()")
    eventually(lambda: browser.run("document.body.dataset.speaking === 'no'"), 10)
    browser.run("document.getElementById('leave').click()")
    eventually(lambda: browser.run("document.body.dataset.life === 'ready'"), 10)
    assert browser.problems == []


def test_firefox_talks_over_webrtc(firefox: Firefox, server: str) -> None:
    talk(firefox, server, "video")


def test_firefox_hears_its_microphone(firefox: Firefox, server: str) -> None:
    firefox.open(server)
    eventually(lambda: firefox.run("document.querySelectorAll('#avatars label').length > 0"), 20)
    firefox.run("document.getElementById('handsfree').click()")
    pressed = "document.getElementById('mic').getAttribute('aria-pressed') === 'true'"
    eventually(lambda: firefox.run(f"document.body.dataset.life === 'live' && {pressed}"), 30)
    firefox.run("document.getElementById('leave').click()")
    eventually(lambda: not firefox.run(pressed), 10)
    assert firefox.problems == []


def test_webkit_talks_without_webrtc(webkit: WebKit, server: str) -> None:
    talk(webkit, server, "canvas")
