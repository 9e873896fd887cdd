import cv2
import numpy as np
import pytest

from visavis.errors import InputError
from visavis.eval import track
from visavis.faces.topology import canonical

BLANK = np.full((512, 512, 3), 128, np.uint8)


def face(open_cm: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    """Return the canonical face turned by ``yaw`` degrees with the inner lips apart, in pixels."""
    points = canonical().astype(np.float64)
    for upper, lower in track.PAIRS:
        middle = points[[upper, lower]].mean(0)
        points[upper], points[lower] = middle, middle
        points[upper, 1] += open_cm / 2
        points[lower, 1] -= open_cm / 2
    turn = np.deg2rad(yaw)
    about_y = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    seen = points @ about_y.T * 18.0 * [1, -1, -1] + [256, 256, 0]
    return seen.astype(np.float32)


def tracked(gaps_cm: list[float | None], fps: float = 25.0, yaw: float = 0.0) -> track.Track:
    sights = [None if g is None else track.see(BLANK, face(g, yaw)) for g in gaps_cm]
    return track.Track(np.arange(len(sights)) / fps, tuple(sights), (512, 512))


@pytest.mark.parametrize("yaw", [0.0, 25.0])
def test_gap_is_in_interocular_distances_whatever_the_pose(yaw: float) -> None:
    wide = float(np.linalg.norm(canonical()[33] - canonical()[263]))
    found = track.on_grid(tracked([0.9] * 25, yaw=yaw))
    assert found.gap == pytest.approx(0.9 / wide, rel=0.02)
    assert found.rotation[:, 1] == pytest.approx(yaw, abs=0.5)


def test_rows_do_not_depend_on_the_frame_rate() -> None:
    ramps = {
        fps: track.on_grid(tracked(np.linspace(0, 1, 2 * fps).tolist(), fps)) for fps in (25, 50)
    }
    assert len(ramps[25]) == len(ramps[50]) == 200
    assert ramps[25].gap[:190] == pytest.approx(ramps[50].gap[:190], abs=0.003)


def test_a_short_loss_is_bridged_and_a_long_one_not_judged() -> None:
    gaps: list[float | None] = [0.5] * 60
    gaps[10:12] = [None] * 2
    gaps[30:45] = [None] * 15
    found = track.on_grid(tracked(gaps))
    assert found.seen[:115].all()
    assert not found.seen[135:170].any()


@pytest.mark.parametrize("gaps", [[0.5] * 5, [0.5] * 10 + [None] * 30])
def test_too_short_or_too_rarely_seen(gaps: list[float | None]) -> None:
    with pytest.raises(InputError, match=r"(at least|must show)"):
        track.on_grid(tracked(gaps))


def lips_drawn(colour: tuple[int, int, int]) -> float:
    """Return the teeth shown by red lips on skin with a seam or gap of ``colour``."""
    points = face(0.5)
    image = np.full((512, 512, 3), (200, 150, 125), np.uint8)
    outer = np.array([points[i, :2] for i in track.LIPS[:20]])
    inner = np.array([points[i, :2] for i in track.LIPS[20:]])
    cv2.fillPoly(image, [np.round(outer).astype(np.int32)], (170, 80, 85))
    cv2.fillPoly(image, [np.round(inner).astype(np.int32)], colour)
    return track.teeth_shown(image, points)


def test_teeth_are_told_from_a_dark_seam() -> None:
    assert lips_drawn((190, 188, 180)) > 0.8
    assert lips_drawn((90, 92, 88)) > 0.8  # in shadow
    assert lips_drawn((60, 26, 28)) < 0.1


def test_speed_and_runs() -> None:
    points = np.zeros((50, 4, 3), np.float32)
    points[:, :, 1] = np.arange(50)[:, None] * 0.02
    assert track.speed(points)[10:40] == pytest.approx(2.0, rel=1e-4)
    assert track.runs([True, True, False, True]) == [(0, 2), (3, 4)]
    assert track.runs([]) == []
