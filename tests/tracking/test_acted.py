"""A video of somebody -> motion: what was drawn is read again, and losses do not tear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import visavis
from visavis.errors import InputError, NoFaceFound
from visavis.media.read import has_sound
from visavis.media.write import open_writer
from visavis.motion.files import read_motion
from visavis.motion.layout import COEFFICIENTS, INDEX, SIZE, pack
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH
from visavis.tracking.acted import acted, joined
from visavis.types import Motion

HEAD = slice(COEFFICIENTS.stop, SIZE)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drive")
    visavis.animate(
        DEMO_PORTRAIT, DEMO_SPEECH, folder / "a.mp4", motion_out=folder / "a.npz", trim=(0, 3)
    )
    return folder


def test_what_was_drawn_is_read_again(spoken: Path) -> None:
    drawn, seen = pack(read_motion(spoken / "a.npz")), pack(acted(spoken / "a.mp4"))
    assert len(seen) == len(drawn)

    def alike(name: str) -> float:
        return float(np.corrcoef(drawn[:, INDEX[name]], seen[:, INDEX[name]])[0, 1])

    assert alike("jawOpen") > 0.8
    assert alike("headYaw") > 0.9
    assert alike("headPitch") > 0.8


def test_a_video_drives_a_portrait_with_its_own_sound(spoken: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.mp4"
    result = visavis.animate(
        DEMO_PORTRAIT, None, out, drive=spoken / "a.mp4", trim=(0, 1), size=128, quality="draft"
    )
    assert result.frames == 25
    assert has_sound(out)
    with pytest.raises(InputError, match="not both"):
        visavis.animate(DEMO_PORTRAIT, None, out, drive=spoken / "a.mp4", motion=spoken / "a.npz")


def test_a_video_without_a_face_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path / "wall.mp4", (128, 128), 25) as writer:
        for _ in range(12):
            writer.write(np.full((128, 128, 3), 90, np.uint8))
    assert not has_sound(tmp_path / "wall.mp4")
    with pytest.raises(NoFaceFound, match=r"wall\.mp4"):
        acted(tmp_path / "wall.mp4")


def turned(frames: int, yaw: float, jaw: float) -> np.ndarray:
    values = np.tile(pack(Motion.rest(1)), (frames, 1))
    values[:, INDEX["headYaw"]], values[:, INDEX["jawOpen"]] = yaw, jaw
    return values


def test_a_lost_face_goes_to_rest_and_comes_back() -> None:
    made = joined([(5, turned(20, 10.0, 0.5)), (75, turned(10, -8.0, 0.4))], 100)
    assert np.array_equal(made[5:25], turned(20, 10.0, 0.5))
    assert np.array_equal(made[50], pack(Motion.rest(1))[0])
    assert np.array_equal(made[99], pack(Motion.rest(1))[0])
    assert np.abs(np.diff(made[:, INDEX["headYaw"]])).max() < 2.0


def test_a_short_loss_is_bridged_and_a_cut_does_not_throw_the_head() -> None:
    made = joined([(0, turned(20, 10.0, 0.5)), (23, turned(20, 10.0, 0.1))], 43)
    assert made[:, INDEX["headYaw"]].min() > 9.0
    made = joined([(0, turned(20, 10.0, 0.5)), (20, turned(20, -5.0, 0.1))], 40)
    assert np.abs(np.diff(made[:, INDEX["headYaw"]])).max() < 2.5
    assert np.allclose(made[20:, INDEX["jawOpen"]], 0.1)  # lips are never smoothed over
