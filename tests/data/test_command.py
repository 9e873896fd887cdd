"""`visavis prepare` as people run it."""

from __future__ import annotations

from pathlib import Path

from product import visavis


def test_nothing_usable_ends_with_one_line_and_a_report(tmp_path: Path) -> None:
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "a.mp4").write_bytes(b"no video" * 20)
    run = visavis("prepare", "talks", "-o", "clips", folder=tmp_path)
    assert run.returncode == 1
    assert "left out: a at 0.0 s" in run.stdout
    assert run.stderr.count("\n") == 1
    assert "Not one clip could be made" in run.stderr
    assert (tmp_path / "clips" / "report.json").exists()


def test_a_folder_without_videos_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "talks").mkdir()
    run = visavis("prepare", "talks", "-o", "clips", folder=tmp_path)
    assert run.returncode == 1
    assert "no video" in run.stderr
    assert not list((tmp_path / "talks").iterdir())
