"""ARKit recordings become motion at 25 fps, their head and gaze at rest in the middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.data.takes import read_take
from visavis.errors import InputError, UnreadableMedia
from visavis.motion.files import LIVE_LINK_NAMES, write_motion
from visavis.motion.layout import INDEX, pack, unpack
from visavis.types import Motion


def write_take(path: Path, frames: int = 120, drop: str = "", **columns: np.ndarray) -> Path:
    names = [n for n in LIVE_LINK_NAMES if n != drop]
    values = np.zeros((frames, len(names)), np.float32)
    for name, column in columns.items():
        values[:, names.index(name)] = column
    codes = [f"10:59:{59 + n // 60:02d}:{n % 60:02d}.000" for n in range(frames)]
    np.savez(path, values=values.astype(np.float16), names=np.array(names), timecode=codes)
    return path


def test_sixty_frames_a_second_become_twenty_five(tmp_path: Path) -> None:
    wave = 0.5 - 0.5 * np.cos(np.arange(120) / 60 * 2 * np.pi)
    values, known = read_take(write_take(tmp_path / "a.npz", JawOpen=wave))
    assert len(values) == 50
    expected = 0.5 - 0.5 * np.cos(np.arange(50) / 25 * 2 * np.pi)
    assert values[:, INDEX["jawOpen"]] == pytest.approx(expected, abs=0.01)
    assert values[:, INDEX["headScale"]] == pytest.approx(1.0)
    assert known[:52].all()
    assert not known[52:].any()  # this phone stood on the head: nothing of it was recorded


def test_head_and_gaze_rest_in_the_middle(tmp_path: Path) -> None:
    yaw = -np.radians(10 + 5 * np.sin(np.arange(120) / 10))
    up = 0.3 + 0.2 * np.sin(np.arange(120) / 7)
    path = write_take(
        tmp_path / "a.npz", HeadYaw=yaw, EyeLookUpLeft=up, EyeLookUpRight=up, EyeLookInLeft=0.4
    )
    values, known = read_take(path)
    assert known[52:55].all()
    assert not known[55:].any()
    assert np.median(values[:, INDEX["headYaw"]]) == pytest.approx(0.0, abs=0.1)
    assert values[:, INDEX["headYaw"]].max() == pytest.approx(5.0, abs=1.5)
    assert values[:, INDEX["eyeLookUpLeft"]].max() == pytest.approx(0.2, abs=0.05)
    assert values[:, INDEX["eyeLookDownLeft"]].max() == pytest.approx(0.2, abs=0.05)
    assert not values[:, INDEX["eyeLookInLeft"]].any()


def test_motion_files_are_takes(tmp_path: Path) -> None:
    values = np.zeros((30, 58), np.float32)
    values[:, INDEX["mouthSmileLeft"]], values[:, INDEX["headScale"]] = 0.5, 1
    for name in ("a.csv", "a.npz"):
        motion = unpack(values, 30)
        write_motion(tmp_path / name, motion)
        got, _ = read_take(tmp_path / name)
        assert len(got) == 25
        assert got[:, INDEX["mouthSmileLeft"]] == pytest.approx(0.5)
    assert isinstance(motion, Motion)
    assert pack(motion).shape == (30, 58)


def test_what_is_no_take_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JawOpen"):
        read_take(write_take(tmp_path / "a.npz", drop="JawOpen"))
    np.savez(tmp_path / "c.npz", values=np.zeros(5), names=LIVE_LINK_NAMES, timecode=["x"])
    with pytest.raises(UnreadableMedia):
        read_take(tmp_path / "c.npz")
    (tmp_path / "b.npz").write_bytes(b"no archive at all")
    with pytest.raises(UnreadableMedia):
        read_take(tmp_path / "b.npz")
