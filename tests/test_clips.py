"""Clips as portraits, from the library and the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import visavis
import visavis.api
import visavis.opening
from filmed import SIDE, nodding, write_clip
from product import visavis as run_visavis
from visavis.errors import InputError, OutputError
from visavis.media.kinds import is_video
from visavis.types import SAMPLE_RATE, Audio, Portrait


def test_a_clip_keeps_its_own_picture_and_says_something_else(
    portrait: Portrait, speech: np.ndarray, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", nodding(portrait))
    sound = (speech[:24_000], SAMPLE_RATE)
    result = visavis.animate(clip, sound, tmp_path / "out.mp4")
    assert (result.frames, result.size) == (38, (SIDE, SIDE))
    images = [frame.image for frame in visavis.frames(clip, sound, size=128, loop="hold")]
    assert images[0].shape == (128, 128, 3)
    assert len(images) == 38
    top = np.s_[:30]
    assert np.array_equal(images[-1][top], images[-6][top])  # held, but still speaking
    assert not np.array_equal(images[3], images[30])
    with pytest.raises(InputError, match="loop 'round'"):
        visavis.animate(clip, sound, tmp_path / "other.mp4", loop="round")
    with pytest.raises(OutputError, match="being read"):
        visavis.animate(clip, sound, clip)
    opened = visavis.open_portrait(clip, loop="hold")
    kept, turned = (
        [f.image for f in visavis.frames(opened, sound, size=128, loop=loop)]
        for loop in (None, "pingpong")
    )
    assert all(np.array_equal(a, b) for a, b in zip(kept, images, strict=True))
    assert not np.array_equal(turned[-1][top], images[-1][top])


def test_a_clip_is_the_same_in_any_pieces_of_sound(
    portrait: Portrait, speech: np.ndarray, tmp_path: Path
) -> None:
    clip = visavis.open_portrait(write_clip(tmp_path / "clip.mp4", nodding(portrait)))
    animator = visavis.load()
    prepared = animator.prepare(clip)
    images = []
    for piece in (700, 9_000):
        state, frames = animator.start(prepared, 1), []
        for at in range(0, 18_000, piece):
            state, new = animator.step(state, Audio(speech[at : min(at + piece, 18_000)]))
            frames += new
        frames += animator.step(state, Audio(speech[:0]), final=True)[1]
        images.append([f.image for f in frames])
    assert len(images[0]) == len(images[1]) == 29
    assert all(np.array_equal(a, b) for a, b in zip(*images, strict=True))


@pytest.mark.parametrize("background", ["transparent", "green"])
def test_a_clip_before_another_background_is_refused_by_hand_too(
    portrait: Portrait, tmp_path: Path, background: str
) -> None:
    clip = visavis.open_portrait(write_clip(tmp_path / "clip.mp4", nodding(portrait)))
    with pytest.raises(InputError, match="keeps its own background"):
        visavis.load(background=background).prepare(clip, (SIDE, SIDE))


def test_the_command_takes_a_video(portrait: Portrait, speech: np.ndarray, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mov", nodding(portrait))
    words = ("animate", "clip.mov", str(visavis.opening.DEMO_SPEECH), "--trim", "1:1.6")
    run = run_visavis(*words, "--redrive", "face", "-o", "out.mp4", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert f"0.6 s of video, {SIDE}x{SIDE} at 25 fps" in run.stderr
    with pytest.raises(InputError, match="mouth, face"):
        visavis.open_portrait(tmp_path / "clip.mov", redrive="hands")


def test_videos_are_known_by_what_is_in_them(portrait: Portrait, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", nodding(portrait)[:2])
    assert is_video(clip.rename(tmp_path / "clip.jpg"))
    assert not is_video(visavis.opening.DEMO_PORTRAIT)
    assert not is_video(visavis.opening.DEMO_SPEECH)
    assert not is_video(tmp_path / "nothing.mp4")
