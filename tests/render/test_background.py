"""What stands behind the person: every kind, in frames and in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from visavis.errors import InputError, OutputError, UnreadableMedia
from visavis.media.image import write_image
from visavis.media.write import open_writer
from visavis.render.background import GREEN, backdrop_by, blurred, is_photo, is_transparent
from visavis.render.mesh_warp import resized
from visavis.render.renderers import renderer_by
from visavis.types import Motion, Portrait

SIDE = 192


def drawn(portrait: Portrait, background: object, turn: float = 0.0) -> np.ndarray:
    renderer = renderer_by(background)  # type: ignore[arg-type]
    motion = Motion.rest(1)
    motion.rotation[0] = (0, turn, 0)
    return renderer.draw(renderer.prepare(portrait, (SIDE, SIDE)), motion)


def test_a_plain_colour_is_exact_in_the_corner_and_the_face_stays(portrait: Portrait) -> None:
    photo = drawn(portrait, "photo")
    for words, colour in (("green", GREEN), ("#102030", (16, 32, 48))):
        frame = drawn(portrait, words)
        assert (frame[:8, :8] == colour).all()
        x, y = (resized(portrait, (SIDE, SIDE)).landmarks[4, :2]).astype(int)
        face = np.s_[y - 15 : y + 15, x - 15 : x + 15]
        assert np.abs(frame[face].astype(int) - photo[face]).max() <= 1


def test_transparent_frames_have_four_channels(portrait: Portrait) -> None:
    frame = drawn(portrait, "transparent", 12)
    assert frame.shape == (SIDE, SIDE, 4)
    assert frame[:8, :8, 3].max() == 0
    assert frame[SIDE // 2 - 10 : SIDE // 2 + 10, SIDE // 2 - 10 : SIDE // 2 + 10, 3].min() == 255


def test_the_colour_behind_does_not_reach_into_the_face(portrait: Portrait) -> None:
    black, white = (drawn(portrait, words, -10) for words in ("#000000", "#ffffff"))
    share = 1 - (white.astype(float) - black).mean(-1) / 255
    alpha = drawn(portrait, "transparent", -10)[..., 3] / 255
    assert np.abs(share - alpha).max() < 0.02


def test_blur_takes_the_detail_and_keeps_the_colours(portrait: Portrait) -> None:
    striped = resized(portrait, (SIDE, SIDE))
    stripes = np.where(np.arange(SIDE) // 4 % 2, 60, 200)[None, :, None] * np.ones((SIDE, 1, 3))
    free = striped.matte < 0.02
    striped.image[free] = stripes[free].astype(np.uint8)
    soft = blurred(striped)
    far = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 5) > 20
    assert soft[far].std() < 15
    assert abs(soft[far].mean() - 130) < 10


@pytest.mark.parametrize("shape", [(60, 300, 3), (700, 90, 3), (SIDE, SIDE, 3)])
def test_a_picture_covers_everything(portrait: Portrait, shape: tuple[int, int, int]) -> None:
    picture = np.full(shape, (9, 99, 199), np.uint8)
    frame = drawn(portrait, picture)
    assert frame.shape == (SIDE, SIDE, 3)
    assert np.abs(frame[:8, :8].astype(int) - (9, 99, 199)).max() <= 1


def test_a_picture_file_is_cut_in_its_middle(portrait: Portrait, tmp_path: Path) -> None:
    picture = np.zeros((200, 600, 3), np.uint8)
    picture[:, 200:400] = 255
    write_image(tmp_path / "wall.png", picture)
    backdrop = backdrop_by(tmp_path / "wall.png")
    assert backdrop is not None
    assert backdrop(resized(portrait, (SIDE, SIDE))).min() > 250


def test_a_large_photograph_keeps_the_backdrop_beyond_the_moving_part(portrait: Portrait) -> None:
    from dataclasses import replace

    small, at = resized(portrait, (160, 160)), np.s_[100:260, 300:460]
    image = np.full((500, 760, 3), 120, np.uint8)
    matte = np.zeros((500, 760), np.float32)
    head = matte.copy()
    image[at], matte[at], head[at] = small.image, small.matte, small.head_matte
    shift = np.array([300, 100, 0], np.float32)
    wide = replace(
        small, image=image, landmarks=small.landmarks + shift, matte=matte, head_matte=head
    )
    renderer = renderer_by("green")
    frame = renderer.draw(renderer.prepare(wide, (760, 500)), Motion.rest(1))
    assert (frame[:90] == GREEN).all()
    assert (frame[:, :250] == GREEN).all()
    assert (frame[:, 520:] == GREEN).all()


@pytest.mark.parametrize("words", ["gren", "#12345", "none"])
def test_unknown_words_name_the_known(words: str) -> None:
    with pytest.raises(InputError, match="photo, blur, green, transparent, #RRGGBB or a picture"):
        renderer_by(words)


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wall.jpg").write_text("no picture")
    with pytest.raises(UnreadableMedia):
        renderer_by(str(tmp_path / "wall.jpg"))
    with pytest.raises(InputError, match="The background is an array"):
        renderer_by(np.zeros((4, 4), np.uint8))


def test_words_and_arrays_are_told_apart() -> None:
    wall = np.zeros((20, 20, 3), np.uint8)
    assert is_photo("photo")
    assert is_transparent("transparent")
    assert not is_photo(wall)
    assert not is_transparent(wall)
    assert backdrop_by("photo") is None


def test_a_transparent_mp4_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    from visavis.api import animate
    from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH

    with pytest.raises(OutputError, match=r"cannot be transparent\. Use \.webm"):
        animate(DEMO_PORTRAIT, DEMO_SPEECH, tmp_path / "v.mp4", background="transparent")
    result = animate(
        DEMO_PORTRAIT, DEMO_SPEECH, tmp_path / "v.webm", size=128, trim=(0, 0.4),
        background="transparent",
    )  # fmt: skip
    assert result.frames == 10


def test_clips_keep_their_own_background(tmp_path: Path) -> None:
    from visavis.api import animate
    from visavis.opening import DEMO_SPEECH

    with open_writer(tmp_path / "clip.mp4", (64, 64), 25) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="A clip keeps its own background"):
        animate(tmp_path / "clip.mp4", DEMO_SPEECH, tmp_path / "v.mp4", background="blur")
