"""The log: it grows, from any number of processes, and shows where it was tampered with."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from visavis.provenance.audit import LogReport, append, check_log

AT = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def written(path: Path, count: int = 5) -> list[bytes]:
    """Write ``count`` entries to ``path``; return its lines."""
    for n in range(count):
        append(path, "session.opened", AT, {"session": str(n), "consent": "c" * 64})
    return path.read_bytes().splitlines(keepends=True)


def test_a_log_that_was_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path)
    assert check_log(path) == LogReport(5, None, json.loads(lines[-1])["hash"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert append(path, "x", AT, {}) == check_log(path).head


@pytest.mark.parametrize("line", range(5))
def test_an_altered_line_is_found(line: int, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path)
    lines[line] = lines[line].replace(f'"session": "{line}"'.encode(), b'"session": "9"')
    path.write_bytes(b"".join(lines))
    assert check_log(path).broken_at == line + 1


@pytest.mark.parametrize("line", range(4))
def test_a_removed_line_is_found(line: int, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path)
    path.write_bytes(b"".join(lines[:line] + lines[line + 1 :]))
    assert check_log(path).broken_at == line + 1


def test_a_line_written_anew_with_its_hash_is_found(tmp_path: Path) -> None:
    path, forged = tmp_path / "audit.jsonl", tmp_path / "forged.jsonl"
    lines = written(path)
    append(forged, "session.opened", AT, {"session": "forged"})
    path.write_bytes(b"".join([forged.read_bytes(), *lines[1:]]))
    assert check_log(path).broken_at == 2


@pytest.mark.parametrize("junk", [b"\n", b"{}\n", b"null\n", b"[1]\n", b"\xff\n", b"[" * 9999])
def test_junk_is_found_and_does_not_stop_the_log(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path, 2)
    with path.open("ab") as file:
        file.write(junk)
    assert check_log(path).broken_at == 3
    append(path, "after", AT, {})


def test_a_torn_line_of_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path, 3)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    append(path, "after", AT, {})
    assert check_log(path).entries == 3
    assert check_log(path).broken_at is None


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "from visavis.provenance.audit import append; from pathlib import Path; import sys;"
        "from datetime import datetime, timezone; at = datetime.now(timezone.utc);"
        "[append(Path(sys.argv[1]), 'e', at, {'n': str(n)}) for n in range(25)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    report = check_log(path)
    assert (report.entries, report.broken_at) == (75, None)


def test_entries_have_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with pytest.raises(ValueError, match="too long"):
        append(path, "e", AT, {"x": "y" * 20_000})
    assert path.read_bytes() == b""
