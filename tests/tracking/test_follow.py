"""Stretches between cuts and losses, on pictures with a real face and our own landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visavis.errors import UnreadableMedia
from visavis.faces.landmarks import FaceLandmarks, track
from visavis.media.write import open_writer
from visavis.tracking import follow
from visavis.tracking.follow import stretches
from visavis.types import ImageArray, Portrait

SIDE = 256


@pytest.fixture(scope="module")
def image(portrait: Portrait) -> ImageArray:
    import cv2

    return cv2.resize(portrait.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def write(path: Path, pictures: list[ImageArray], fps: int = 25) -> Path:
    with open_writer(path, (SIDE, SIDE), fps) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def test_one_shot_is_one_stretch_with_its_clock(image: ImageArray, tmp_path: Path) -> None:
    counts: list[int] = []
    shifted = [np.roll(image, n, axis=1) for n in range(20)]
    (only,) = stretches(write(tmp_path / "a.mp4", shifted), progress=counts.append)
    assert only.points.shape == (20, 478, 3)
    assert only.seconds == pytest.approx(np.arange(20) / 25, abs=1e-3)
    assert (only.fps, only.missing, counts) == (25.0, 0.0, list(range(1, 21)))
    moved = only.points[:, :468, 0].mean(1)
    assert moved[-1] - moved[0] == pytest.approx(19, abs=1.5)


def test_of_fast_videos_every_second_picture_is_looked_at(
    image: ImageArray, tmp_path: Path
) -> None:
    (only,) = stretches(write(tmp_path / "a.mp4", [image] * 20, fps=50))
    assert (len(only.points), only.fps) == (10, 25.0)
    assert only.seconds == pytest.approx(np.arange(10) / 25, abs=1e-3)


def test_a_short_loss_is_bridged_and_a_long_one_ends(image: ImageArray, tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4", [image] * 40)
    lost = {5, 6, *range(20, 27)}
    seen = -1

    def blinking(picture: ImageArray, before: FaceLandmarks | None) -> FaceLandmarks | None:
        nonlocal seen
        seen += 1
        return None if seen in lost else track(picture, before)

    first, second = stretches(video, blinking)
    assert (len(first.points), len(second.points)) == (20, 13)
    assert first.missing == pytest.approx(2 / 20)
    assert np.isfinite(first.points).all()
    assert second.seconds[0] == pytest.approx(27 / 25, abs=1e-3)


def test_a_cut_ends_a_stretch(image: ImageArray, tmp_path: Path) -> None:
    import cv2

    near = cv2.resize(image[40:216, 40:216], (SIDE, SIDE))
    cut = [image] * 12 + [near] * 12
    assert [len(s.points) for s in stretches(write(tmp_path / "near.mp4", cut))] == [12, 12]
    dark = [image] * 12 + [np.uint8(image * 0.55)] * 12
    assert [len(s.points) for s in stretches(write(tmp_path / "dark.mp4", dark))] == [12, 12]


def test_a_long_shot_is_cut_to_keep_memory_bounded(
    image: ImageArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LONGEST_S", 0.4)
    video = write(tmp_path / "a.mp4", [image] * 25)
    assert [len(s.points) for s in stretches(video)] == [10, 10, 5]


def test_no_face_and_no_video(tmp_path: Path) -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    assert list(stretches(write(tmp_path / "a.mp4", [grey] * 3))) == []
    (tmp_path / "b.mp4").write_bytes(b"nothing that could be played")
    with pytest.raises(UnreadableMedia):
        list(stretches(tmp_path / "b.mp4"))
