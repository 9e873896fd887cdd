"""Driving videos, from file to frames: by the packaged renderer, and by networks that follow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import visavis
from stub_engine import StubEngine
from visavis.animator import MotionAnimator
from visavis.api import parts
from visavis.errors import InputError
from visavis.media.read import VideoReader
from visavis.media.write import open_writer
from visavis.motion.layout import COEFFICIENTS, INDEX, pack
from visavis.opening import DEMO_PORTRAIT
from visavis.options import drive_of
from visavis.playing import Drive, Play, open_scene
from visavis.render.liveportrait.renderer import LivePortraitRenderer
from visavis.render.liveportrait.transfer import DrivingOptions
from visavis.tracking.acted import directed_by
from visavis.types import Motion, Portrait

SIDE = 192


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures at 25 fps of the embedded portrait turning its head, without sound."""
    folder = tmp_path_factory.mktemp("driving")
    motion = Motion.rest(12)
    motion.rotation[:, 1] = np.linspace(0, 8, 12)
    path = folder / "turn.mp4"
    animator = MotionAnimator(*parts(quality="draft"))
    prepared = animator.prepare(visavis.open_portrait(DEMO_PORTRAIT), (SIDE, SIDE))
    with open_writer(path, (SIDE, SIDE), 25) as writer:
        for frame in animator.draw(prepared, motion):
            writer.write(frame.image)
    return path


@pytest.fixture(scope="module")
def animator() -> MotionAnimator:
    features, motion, _ = parts()
    return MotionAnimator(features, motion, LivePortraitRenderer(StubEngine()))


@pytest.mark.parametrize(("fps", "trim", "count"), [
    (25, None, 12), (50, None, 24), (10, None, 5), (25, (0.2, 0.4), 5), (25, (0.2, None), 7),
])  # fmt: skip
def test_pictures_come_at_the_rate_and_in_the_time_asked_for(
    video: Path, fps: int, trim: tuple[float, float | None] | None, count: int
) -> None:
    with VideoReader(video) as reader:
        pictures = list(reader.pictures(fps, trim))
    assert len(pictures) == count
    with VideoReader(video) as reader:
        given = [image for image, _ in reader]
    first = 0 if trim is None else 5
    assert np.array_equal(pictures[0], given[first])
    assert np.array_equal(pictures[-1], given[min(11, first + (count - 1) * 25 // fps)])


def test_a_trim_after_the_end_is_refused(video: Path) -> None:
    with VideoReader(video) as reader, pytest.raises(InputError, match="last picture"):
        list(reader.pictures(25, (3.0, None)))


def test_networks_that_follow_read_the_video_themselves(
    animator: MotionAnimator, portrait: Portrait, video: Path
) -> None:
    prepared = animator.prepare(portrait, (128, 128))
    play = Play(animator, prepared, 0, visavis.Timeline())
    with open_scene(play, None, None, drive=Drive(video)) as scene:
        frames = list(scene.frames)
    assert [frame.index for frame in frames] == list(range(12))
    assert all(frame.motion.keypoints is not None for frame in frames)
    assert len({frame.image.tobytes() for frame in frames}) > 6
    still = Drive(video, DrivingOptions(multiplier=0.0))
    with open_scene(play, None, None, drive=still) as scene:
        images = {frame.image.tobytes() for frame in scene.frames}
    assert len(images) == 1, "nothing is taken over"
    asked = replace(play, timeline=visavis.Timeline.steady(visavis.Controls(head_range=0.5)))
    with (
        pytest.raises(InputError, match="Leave the controls"),
        open_scene(asked, None, None, drive=Drive(video)),
    ):
        pass


def test_the_packaged_renderer_takes_a_region_and_how_much_of_it() -> None:
    motion = Motion.rest(3)
    motion.rotation[:] = 5.0
    motion.coefficients[:, INDEX["jawOpen"]] = 0.4
    motion.coefficients[:, INDEX["eyeBlinkLeft"]] = 0.8
    lips = pack(directed_by(motion, DrivingOptions(region="lip", multiplier=1.5)))
    assert np.allclose(lips[:, INDEX["jawOpen"]], 0.6)
    assert np.count_nonzero(lips[:, COEFFICIENTS]) == 3
    assert not lips[:, INDEX["headYaw"]].any()
    pose = pack(directed_by(motion, DrivingOptions(region="pose")))
    assert np.allclose(pose[:, INDEX["headYaw"]], 5.0)
    assert not pose[:, COEFFICIENTS].any()
    with pytest.raises(InputError, match="visavis models"):
        directed_by(motion, DrivingOptions(relative=False))


def test_options_of_driving_are_read_from_words() -> None:
    drive = drive_of("a.mp4", "region=lip, multiplier=1.2,relative=no,eyes")
    assert drive == Drive(Path("a.mp4"), DrivingOptions(False, "lip", 1.2, eyes=True))
    assert drive_of(None, None) is None
    with pytest.raises(InputError, match="--drive VIDEO"):
        drive_of(None, "region=lip")
    with pytest.raises(InputError, match="knows no 'mouth'"):
        drive_of("a.mp4", "mouth=1")
    with pytest.raises(InputError, match="not a number"):
        drive_of("a.mp4", "multiplier=much")
    with pytest.raises(InputError, match="region"):
        drive_of("a.mp4", "region=ear")
