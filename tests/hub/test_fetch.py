"""Fetching from a hub: whatever goes wrong is told clearly, and the next call goes on."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_stand_in import COMMIT, StandIn, serving
from visavis.errors import InputError, MissingExtra, ModelError, OutputError, WeightsMismatch
from visavis.hub import fetch as module
from visavis.hub.catalog import CATALOG, PublishedFile, PublishedModel
from visavis.hub.fetch import Step, fetch
from visavis.hub.folder import RECORD, located, models_folder, read_record

constants = pytest.importorskip("huggingface_hub.constants")

BIG, SMALL = "models/big.pth", "aux/small.onnx"
MEGABYTE = 2**20


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A hub with the model ``small`` of two files, the digest of one of them unknown."""
    folder = tmp_path / "served"
    for path, size in ((BIG, MEGABYTE), (SMALL, 1000)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(random.Random(path).randbytes(size))
    told = hashlib.sha256((folder / BIG).read_bytes()).hexdigest()
    files = (
        PublishedFile(BIG, "decoder", MEGABYTE, told),
        PublishedFile(SMALL, "hubert", 1000),
    )
    model = PublishedModel(
        "small", "for tests", "somebody/something", COMMIT, "MIT", "Do as you like.", files
    )
    monkeypatch.setitem(CATALOG, "small", model)
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("VISAVIS_ACCEPT_LICENCE", "small")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with serving(StandIn(folder)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def same(hub: StandIn) -> bool:
    folder = located("small")
    pairs = ((folder / path, hub.folder / path) for path in (BIG, SMALL))
    return all(here.read_bytes() == there.read_bytes() for here, there in pairs)


def test_a_model_is_fetched_once(hub: StandIn) -> None:
    steps: list[Step] = []
    folder = fetch("small", on_file=steps.append)
    assert folder == models_folder() / "small"
    assert same(hub)
    assert [(s.file.path, s.number, s.count, s.size) for s in steps] == [
        (BIG, 1, 2, MEGABYTE),
        (SMALL, 2, 2, 1000),
    ]
    record = read_record(folder)
    assert (record.repository, record.revision) == ("somebody/something", COMMIT)
    assert record.files[SMALL].sha256 == hashlib.sha256((folder / SMALL).read_bytes()).hexdigest()
    asked = len(hub.asked)
    assert fetch("small") == folder
    assert len(hub.asked) == asked


def test_the_licence_is_agreed_to_once(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ACCEPT_LICENCE", "ditto, other")
    with pytest.raises(InputError, match=r"Do as you like.*") as told:
        fetch("small")
    assert "--accept-licence" in str(told.value)
    assert hub.asked == []
    fetch("small", accept_licence=True)
    (located("small") / SMALL).unlink()
    fetch("small")
    assert same(hub)


def test_connections_that_break_off_are_taken_up_again(hub: StandIn) -> None:
    hub.cut_after = 300_000
    fetch("small")
    assert same(hub)
    ranges = [line for line in hub.asked if "/cdn/" in line and "bytes=" in line]
    assert len(ranges) == 3


def test_a_broken_download_goes_on_where_it_stopped(hub: StandIn) -> None:
    hub.cut_after, hub.dies = 500_000, True
    with pytest.raises(ModelError, match=r"cannot be reached.*goes on at big\.pth"):
        fetch("small")
    begun = (models_folder() / "small" / f"{BIG}.part").stat().st_size
    assert 490_000 < begun <= 500_000
    with pytest.raises(ModelError, match="not on this machine: 2 of its 2 files"):
        located("small")
    hub.cut_after, hub.dies = None, False
    hub.asked.clear()
    fetch("small")
    assert same(hub)
    assert f"GET /cdn/{BIG} bytes={begun}-" in hub.asked


def test_a_killed_process_loses_nothing_but_a_moment(hub: StandIn) -> None:
    hub.cut_after, hub.holds = 600_000, threading.Event()
    code = (
        "import huggingface_hub.constants as c; c.DOWNLOAD_CHUNK_SIZE = 4096\n"
        "from visavis.hub import catalog, fetch\n"
        "files = (catalog.PublishedFile('models/big.pth', 'decoder', 2**20),)\n"
        "catalog.CATALOG['small'] = catalog.PublishedModel("
        f"'small', '', 'somebody/something', '{COMMIT}', 'MIT', '', files)\n"
        "fetch.fetch('small')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    part = models_folder() / "small" / f"{BIG}.part"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 500_000):
        threading.Event().wait(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.holds.set()
    hub.cut_after = hub.holds = None
    hub.asked.clear()
    begun = part.stat().st_size
    fetch("small")
    assert begun > 500_000
    assert same(hub)
    assert f"GET /cdn/{BIG} bytes={begun}-" in hub.asked


@pytest.mark.parametrize("lie", ["size", "digest"])
def test_what_is_offered_wrongly_is_not_even_loaded(hub: StandIn, lie: str) -> None:
    hub.lies = lie
    with pytest.raises(WeightsMismatch, match=r"The hub offers another big\.pth"):
        fetch("small")
    assert not any(line.startswith("GET") for line in hub.asked)
    hub.lies = ""
    fetch("small")
    assert same(hub)


def test_wrong_bytes_are_thrown_away(hub: StandIn) -> None:
    hub.lies = "body"
    with pytest.raises(WeightsMismatch, match=r"The hub sent another big\.pth.*SHA-256"):
        fetch("small")
    assert list((models_folder() / "small").rglob("*.pth*")) == []
    hub.lies = ""
    fetch("small")
    assert same(hub)


@pytest.mark.parametrize("size", [1000, MEGABYTE, 2 * MEGABYTE])
def test_a_part_of_something_else_is_found_out(hub: StandIn, size: int) -> None:
    part = models_folder() / "small" / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(size))
    fetch("small")
    assert same(hub)


def test_what_came_first_is_trusted(hub: StandIn) -> None:
    place = fetch("small") / SMALL
    place.unlink()
    (hub.folder / SMALL).write_bytes(bytes(1000))
    with pytest.raises(WeightsMismatch, match=r"The hub offers another small\.onnx"):
        fetch("small")
    fetch("small", revision="main")
    assert same(hub)


def test_a_part_that_is_whole_is_not_loaded_again(hub: StandIn) -> None:
    part = models_folder() / "small" / f"{BIG}.part"
    part.parent.mkdir(parents=True)
    shutil.copy(hub.folder / BIG, part)
    fetch("small")
    assert same(hub)
    assert not any(line.startswith(f"GET /cdn/{BIG}") for line in hub.asked)


def test_a_full_disk_is_told_before(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=70 * MEGABYTE)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage)
    fetch("small")
    shutil.rmtree(models_folder())
    usage = usage._replace(free=64 * MEGABYTE)
    with pytest.raises(OutputError, match=r"0\.07 GB free.*VISAVIS_MODELS"):
        fetch("small")


def test_a_disk_that_fills_up_keeps_what_came(
    hub: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(url: str, file: Any, **options: Any) -> None:
        file.write(bytes((hub.folder / BIG).read_bytes()[:5000]))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.http_get", fill)
        with pytest.raises(OutputError, match="The disk is full"):
            fetch("small")
    fetch("small")
    assert same(hub)
    assert f"GET /cdn/{BIG} bytes=5000-" in hub.asked


def test_no_network(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(ModelError, match="The hub cannot be reached"):
            fetch("small")
        patch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
            fetch("small")
    fetch("small")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch("small")
    assert same(hub)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((403, "GatedRepo"), "asks who you are.*HF_TOKEN"),
        ((401, "RepoNotFound"), "has no repository somebody/something"),
        ((404, "RevisionNotFound"), "has no models/big.pth at revision"),
        ((404, "EntryNotFound"), "has no models/big.pth at revision"),
        ((500, ""), "(refuses|reached) .500.*goes on at big.pth"),
        ((403, ""), "refuses .403.. Set HF_TOKEN"),
    ],
)
def test_refusals(hub: StandIn, refusal: tuple[int, str], said: str) -> None:
    hub.refuses = refusal
    with pytest.raises(ModelError, match=said):
        fetch("small")
    hub.refuses = None
    fetch("small")
    assert same(hub)


def test_the_token_is_shown(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    with pytest.raises(ModelError, match="HF_TOKEN"):
        fetch("small")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch("small")
    assert same(hub)


def test_another_revision_replaces_what_differs(hub: StandIn) -> None:
    fetch("small")
    (hub.folder / SMALL).write_bytes(b"newer")
    hub.asked.clear()
    made = [located("small") / name for name in ("decoder.safetensors", "onnx/decoder.onnx")]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    fetch("small", revision="main")
    assert same(hub)
    assert not any(path.exists() for path in made)
    assert read_record(located("small")).revision == "main"
    assert not any(line.startswith(f"GET /cdn/{BIG}") for line in hub.asked)
    hub.asked.clear()
    fetch("small")  # what was chosen stays
    assert hub.asked == []
    with pytest.raises(ModelError, match="at revision 'elsewhere'"):
        fetch("small", revision="elsewhere")
    assert fetch("small") == located("small")
    (hub.folder / SMALL).write_bytes(b"newest")
    fetch("small", revision="main")
    assert same(hub)
    with pytest.raises(WeightsMismatch):
        fetch("small", revision=COMMIT)


def test_a_damaged_record_costs_a_look(hub: StandIn) -> None:
    folder = fetch("small")
    (folder / RECORD).write_text("{")
    fetch("small")
    assert same(hub)


def test_files_put_there_by_hand_are_taken(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISAVIS_ACCEPT_LICENCE")
    shutil.copytree(hub.folder, models_folder() / "small")
    fetch("small")
    assert same(hub)
    assert hub.asked == []


def test_a_folder_that_cannot_be_written_to(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = hub.folder / "a_file"
    blocked.write_text("")
    monkeypatch.setenv("VISAVIS_MODELS", str(blocked))
    with pytest.raises(OutputError, match="cannot be written to"):
        fetch("small")


def test_without_the_extra(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"visavis\[neural\]"):
        fetch("small")
