"""Transparent results: each kind is decoded again, and shows what was covered."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from visavis.errors import OutputError
from visavis.media.write import check_alpha, open_writer

SIZE = (96, 80)


def ball(n: int) -> np.ndarray:
    """A coloured disc that moves to the right, half covered at its top."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    disc = np.hypot(x - 30 - 3 * n, y - 40) < 25
    alpha = np.where(y < 30, 128, 255) * disc
    return np.dstack([np.full_like(x, 200), 2 * x, np.full_like(x, 40), alpha]).astype(np.uint8)


def written(path: Path | str, frames: int = 8) -> None:
    with open_writer(path, SIZE, 25, has_alpha=True) as writer:
        for n in range(frames):
            writer.write(ball(n))


def decoded(path: Path) -> list[np.ndarray]:
    """All pictures as RGBA; FFmpeg's own VP9 decoder leaves alpha out, libvpx shows it."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if path.suffix == ".webm":
            decoder = av.codec.CodecContext.create("libvpx-vp9", "r")
            frames = [f for packet in file.demux(stream) for f in decoder.decode(packet)]
        else:
            frames = list(file.decode(stream))
    return [frame.to_ndarray(format="rgba") for frame in frames]


@pytest.mark.parametrize(("name", "colour_error"), [("v.webm", 4), ("v.mov", 2)])
def test_videos_keep_the_share_of_coverage(tmp_path: Path, name: str, colour_error: int) -> None:
    written(tmp_path / name)
    frames = decoded(tmp_path / name)
    assert len(frames) == 8
    for n, frame in enumerate(frames):
        given = ball(n).astype(int)
        off = np.abs(frame.astype(int) - given)
        assert off[..., 3].max() <= 24
        assert off[..., 3].mean() < 1
        assert off[given[..., 3] == 255][:, :3].mean() < colour_error


def test_the_file_says_that_it_has_alpha(tmp_path: Path) -> None:
    written(tmp_path / "v.webm")
    with av.open(str(tmp_path / "v.webm")) as file:
        assert file.streams.video[0].metadata["alpha_mode"] == "1"
    written(tmp_path / "v.mov")
    with av.open(str(tmp_path / "v.mov")) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt[:8]) == ("prores", "yuva444p")


def test_gif_is_seen_or_not(tmp_path: Path) -> None:
    written(tmp_path / "v.gif")
    frames = decoded(tmp_path / "v.gif")
    for n, frame in enumerate(frames):
        given = ball(n)
        assert np.array_equal(frame[..., 3] > 0, given[..., 3] >= 128)
        seen = given[..., 3] == 255
        assert np.abs(frame.astype(int) - given)[seen][:, :3].mean() < 4


def test_png_pictures_are_exact(tmp_path: Path) -> None:
    written(f"{tmp_path}/frames/", 3)
    for n in range(3):
        picture = cv2.imread(str(tmp_path / f"frames/{n:05d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), ball(n))


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.rgb"])
def test_what_cannot_be_transparent_says_what_can(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"cannot be transparent\. Use \.webm, \.mov"):
        check_alpha(tmp_path / name)
    with (
        pytest.raises(OutputError, match="cannot be transparent"),
        open_writer(tmp_path / name, SIZE, 25, has_alpha=True),
    ):
        pass
    assert not list(tmp_path.iterdir())
