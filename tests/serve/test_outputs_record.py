"""Recordings: whole or not at all, signed, labelled, and what was shown."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from moments import beeps, moment, moments

from visavis.errors import OutputError
from visavis.opening import DEMO_PORTRAIT
from visavis.provenance.policy import Policy
from visavis.provenance.sign import Facts, Seal, digest_of
from visavis.provenance.verify import Status, verify
from visavis.serve.outputs.badged import badged
from visavis.serve.outputs.mux import LiveMuxer
from visavis.serve.outputs.record import Recording, record

POLICY = Policy()


@pytest.fixture(autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of settings of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))


def test_a_recording_holds_what_was_shown_signed_and_labelled(tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    out = tmp_path / "talk.mp4"
    shown = badged(moments(101), POLICY)
    made = asyncio.run(record(shown, out, POLICY, Facts(DEMO_PORTRAIT), "session-7"))
    assert made == Recording(out, 101, ())
    assert list(tmp_path.iterdir()) == [out]
    verdict = verify(out, POLICY)
    assert (verdict.status, verdict.is_generated) == (Status.INTACT, True)
    assert verdict.portrait_sha256 == digest_of(DEMO_PORTRAIT)
    assert "session-7" in verdict.label
    seen, heard = beeps(str(out))
    assert seen == pytest.approx([0, 1, 2, 3, 4], abs=0.001)
    assert heard == pytest.approx(seen, abs=0.03)
    with av.open(str(out)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(first[:64].astype(int) - moment(1000).image[:64]).mean() < 4
    assert np.abs(first[110:].astype(int) - moment(1000).image[110:]).mean() > 12  # the badge


def test_without_signing(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    asyncio.run(record(moments(10), out, Policy(signing="off")))
    with av.open(str(out)) as container:
        assert "AIGC" not in container.metadata
        assert sum(1 for _ in container.decode(video=0)) == 10


@pytest.mark.parametrize("name", ["talk.webm", "talk", "missing/talk.mp4"])
def test_places_that_cannot_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        asyncio.run(record(moments(3), tmp_path / name, POLICY))
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_showed_nothing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing was shown"):
        asyncio.run(record(moments(0), tmp_path / "talk.mp4", POLICY))
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_recording_leaves_no_file(tmp_path: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(record(moments(100_000), tmp_path / "talk.mp4", POLICY))
        await asyncio.sleep(0.5)
        (hidden,) = tmp_path.iterdir()
        assert hidden.name.startswith(".visavis-")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert list(tmp_path.iterdir()) == []


FULL = """
import asyncio, resource, sys
sys.path.insert(0, sys.argv[2])
from moments import moments
from visavis.errors import OutputError
from visavis.provenance.policy import Policy
from visavis.serve.outputs.record import record
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    asyncio.run(record(moments(2000), sys.argv[1], Policy(signing="off")))
except OutputError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", FULL, str(tmp_path / "talk.mp4"), here]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, timeout=60)
    assert "cannot be written" in ended.stdout, ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_blocks_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, set[int]] = {}

    def noted(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return real(*given, **named)

        monkeypatch.setattr(owner, name, call)

    for name in ("__init__", "write", "finish", "abandon"):
        noted(LiveMuxer, name)
    noted(Seal, "__call__")
    noted(Path, "replace")
    asyncio.run(record(moments(5), tmp_path / "talk.mp4", POLICY))
    asked = {"__init__", "write", "finish", "abandon", "__call__", "replace"}
    assert set(threads) == asked
    assert all(threading.get_ident() not in used for used in threads.values())
