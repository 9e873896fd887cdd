"""A clip becomes a portrait that moves: tracked, smoothed, cut where it must be, held small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from filmed import LENGTH, SIDE, nodding, write_clip
from visavis.errors import InputError, NoFaceFound, UnreadableMedia
from visavis.faces import watch
from visavis.faces.film import Film, FilmPortrait, asked, framed
from visavis.faces.framing import Region
from visavis.faces.measure import mouth_opening
from visavis.faces.watch import read_film, smoothed
from visavis.types import ImageArray, Portrait

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def pictures(portrait: Portrait) -> list[ImageArray]:
    """The pictures of a clip of the demo portrait."""
    return nodding(portrait)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write pictures as a video of a true codec."""
    return partial(write_clip, tmp_path / "clip.mp4")


@pytest.fixture(scope="session")
def clip(pictures: list[ImageArray], tmp_path_factory: pytest.TempPathFactory) -> FilmPortrait:
    """The clip, read."""
    return read_film(write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures))


def test_every_picture_is_there_and_shows_its_face(
    clip: FilmPortrait, pictures: list[ImageArray]
) -> None:
    assert len(clip.film) == LENGTH
    assert (clip.film.strength == 1).all()
    assert not clip.warnings
    for n in (0, 9, 23):
        assert np.abs(clip.film.picture(n).astype(int) - pictures[n]).mean() < 4


def test_the_portrait_is_a_picture_with_closed_lips(clip: FilmPortrait) -> None:
    opening = [mouth_opening(p) for p in clip.film.points]
    assert opening[clip.film.keys[0]] < 0.5 * max(opening)
    assert np.array_equal(clip.image, clip.film.picture(clip.film.keys[0]))
    assert np.abs(clip.landmarks - clip.film.points[clip.film.keys[0]])[:, :2].max() < 4


@pytest.mark.parametrize(
    ("loop", "shown"),
    [
        ("pingpong", [0, 1, 22, 23, 22, 1, 0, 1]),
        ("repeat", [0, 1, 22, 23, 0, 21, 22, 23]),
        ("hold", [0, 1, 22, 23, 23, 23, 23, 23]),
    ],
)
def test_a_clip_that_is_over(clip: FilmPortrait, loop: str, shown: list[int]) -> None:
    moving = replace(clip.film, loop=loop)
    assert [moving.at(n, 25) for n in (0, 1, 22, 23, 24, 45, 46, 47)] == shown


def test_a_clip_can_be_asked_for_something_else(clip: FilmPortrait) -> None:
    assert (clip.film.loop, clip.film.redrive) == ("pingpong", "mouth")
    held = asked(clip, "hold", None)
    assert (held.film.loop, held.film.redrive) == ("hold", "mouth")
    again = asked(held, None, "face")
    assert (again.film.loop, again.film.redrive) == ("hold", "face")
    with pytest.raises(InputError, match="loop 'bounce'.*pingpong, repeat, hold"):
        asked(clip, "bounce", None)
    with pytest.raises(InputError, match="redrive ''.*mouth, face"):
        asked(clip, None, "")


def test_other_frame_rates_are_shown_in_their_own_time(clip: FilmPortrait) -> None:
    assert [clip.film.at(n, 50) for n in (0, 2, 4, 20)] == [0, 1, 2, 10]
    slow = replace(clip.film, rate=Fraction(30_000, 1001))
    assert slow.at(10, 25) == 12


def test_smoothing_takes_jitter_and_leaves_motion() -> None:
    t = np.arange(900.0)
    slow = np.sin(t / 20)[:, None]
    jitter = 0.1 * (-1.0) ** t[:, None]
    assert np.abs(smoothed(slow + jitter, 1.0) - slow)[2:-2].max() < 0.02
    whole = smoothed(slow[:430] + jitter[:430], 1.0)
    assert np.allclose(whole, _at_once(slow[:430] + jitter[:430], 1.0), atol=1e-5)


def _at_once(values: np.ndarray, stiffness: float) -> np.ndarray:
    bends = np.diff(np.eye(len(values)), 2, axis=0)
    return np.linalg.solve(np.eye(len(values)) + stiffness * bends.T @ bends, values)


def test_a_face_out_of_sight_is_left_alone_and_told(
    pictures: list[ImageArray], write: Write
) -> None:
    grey = np.full_like(pictures[0], 128)
    images = [*pictures[:10], *[grey] * 8, *pictures[18:], *pictures]
    found = read_film(write(images))
    strength = found.film.strength
    assert (strength[10:18] == 0).all()
    assert strength[:6].min() == 1
    assert strength[22:].min() == 1
    assert any("out of sight at 0.4-0.7 s" in w for w in found.warnings)


def test_a_moment_out_of_sight_is_bridged(pictures: list[ImageArray], write: Write) -> None:
    images = list(pictures)
    images[12] = cv2.blur(images[12], (99, 99))  # as a flash does
    found = read_film(write(images))
    assert (found.film.strength == 1).all()
    steps = np.linalg.norm(np.diff(found.film.points[:, 1, :2], axis=0), axis=1)
    assert steps.max() < 6


def test_another_shot_begins_with_a_cut(pictures: list[ImageArray], write: Write) -> None:
    night = [np.roll(p // 4, 80, axis=1) for p in pictures[::-1]]
    found = read_film(write([*pictures[:16], *night[:16]]))
    assert found.film.shots[15] == 0
    assert found.film.shots[16] == 1
    assert (found.film.strength == 1).all()


def test_of_two_persons_one_is_followed(pictures: list[ImageArray], write: Write) -> None:
    both = [np.hstack([a, b]) for a, b in zip(pictures, pictures[::-1], strict=True)]
    path = write(both)
    left, right = (read_film(path, face=n) for n in (1, 2))
    assert (left.film.points[:, 1, 0] < SIDE).all()
    assert (right.film.points[:, 1, 0] > SIDE).all()
    assert any("--face" in w for w in read_film(path).warnings)
    with pytest.raises(InputError, match="no face 3"):
        read_film(path, face=3)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_jump_of_the_time_stamps_holds_one_picture(
    pictures: list[ImageArray], tmp_path: Path, suffix: str
) -> None:
    half, later = LENGTH // 2, 30 * 25
    stamps = [n + (later if n >= half else 0) for n in range(LENGTH)]
    path = write_clip(tmp_path / f"gap.{suffix}", pictures, stamps=stamps)
    found = read_film(path).film
    held = watch._LONGEST_HOLD_S * 25
    assert found.rate == 25
    assert abs(len(found) - (LENGTH + held)) <= 1
    changes = [i for i in range(1, len(found)) if not _is_alike(found, i)]
    assert changes[: half - 1] == list(range(1, half))
    assert len(changes) == LENGTH - 1


def _is_alike(film: Film, index: int) -> bool:
    return np.array_equal(film.pictures[index], film.pictures[index - 1])


@pytest.mark.parametrize(("fps", "rate"), [(30, 30), (31, 31), (32, 16), (44, 22), (60, 30)])
def test_no_more_pictures_a_second_are_kept_than_are_needed(
    pictures: list[ImageArray], write: Write, fps: int, rate: int
) -> None:
    found = read_film(write(pictures, fps))
    assert found.film.rate == rate
    assert len(found.film) == pytest.approx(LENGTH * rate / fps, abs=1)


def test_what_cannot_be_used_is_refused(
    pictures: list[ImageArray], write: Write, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"5 pictures in 0\.2 s"):
        read_film(write(pictures[:5]))
    with pytest.raises(NoFaceFound, match="24 pictures"):
        read_film(write([np.full_like(p, 90) for p in pictures]))
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 400)
    with pytest.raises(UnreadableMedia):
        read_film(tmp_path / "broken.mp4")


def test_long_clips_are_cut(
    pictures: list[ImageArray], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(pictures)
    monkeypatch.setattr(watch, "LONGEST_S", 0.6)
    found = read_film(path)
    assert len(found.film) == 15
    assert any("cut after 0.6 s" in w for w in found.warnings)
    monkeypatch.setattr(watch, "LONGEST_S", 60.0)
    monkeypatch.setattr(watch, "MOST_BYTES", 20 * clip_bytes(found) // 15)
    assert 17 <= len(read_film(path).film) <= 22


def clip_bytes(found: FilmPortrait) -> int:
    """Return what the pictures take."""
    return sum(p.nbytes for p in found.film.pictures)


def test_a_part_at_another_size(clip: FilmPortrait) -> None:
    part = framed(clip, Region(20, 30, 160, 160), (320, 320))
    assert part.image.shape == (320, 320, 3)
    assert part.film.picture(3).shape == (320, 320, 3)
    assert part.matte.shape == (320, 320)
    wanted = (clip.film.points - np.array([20, 30, 0], np.float32)) * 2
    assert np.allclose(part.film.points, wanted, atol=1e-3)
    assert framed(clip, Region(0, 0, SIDE, SIDE), (SIDE, SIDE)) is clip


def test_no_more_is_read_than_is_needed(
    pictures: list[ImageArray], write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(pictures)
    monkeypatch.setattr(watch, "LEAST_S", 0.4)
    short = read_film(path, needed_s=0.5)
    assert len(short.film) == 13
    assert not short.warnings
    assert len(read_film(path, needed_s=9.0).film) == LENGTH
