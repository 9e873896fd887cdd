"""The renderer on the embedded portrait: what must move, what must not, and that it repeats."""

import cv2
import numpy as np
import pytest

from posed import motion
from visavis.render.head import Head, make_head
from visavis.render.mesh_warp import MeshWarpRenderer, near_nodes, resized
from visavis.render.solve import turn

SIZE = (256, 256)


@pytest.fixture(scope="module")
def renderer():
    return MeshWarpRenderer()


@pytest.fixture(scope="module")
def appearance(renderer, portrait):
    return renderer.prepare(portrait, SIZE)


@pytest.fixture(scope="module")
def landmarks(portrait):
    return resized(portrait, SIZE).landmarks[:, :2]


def around(image, centre, radius):
    x, y = np.round(centre).astype(int)
    return image[y - radius : y + radius + 1, x - radius : x + radius + 1].astype(float)


def test_at_rest_skin_and_background_are_the_photograph(renderer, appearance, landmarks):
    drawn = renderer.draw(appearance, motion())
    for point in (10, 151):  # forehead
        original = around(appearance.image, landmarks[point], 6)
        assert np.abs(around(drawn, landmarks[point], 6) - original).mean() < 3
    assert np.abs(drawn[:20, :20].astype(int) - appearance.image[:20, :20]).max() <= 1


def test_equal_input_gives_equal_frames(renderer, appearance):
    moved = motion((3, 8, -4), jawOpen=0.4)
    first = renderer.draw(appearance, moved)
    renderer.draw(appearance, motion((0, -15, 0)))
    assert np.array_equal(renderer.draw(appearance, moved), first)


def test_preparing_twice_gives_equal_frames(renderer, appearance, portrait):
    moved = motion((3, 8, -4), jawOpen=0.4)
    again = renderer.prepare(portrait, SIZE)
    assert np.array_equal(renderer.draw(again, moved), renderer.draw(appearance, moved))


@pytest.mark.parametrize(
    "rotation", [(0, 20, 0), (0, -20, 0), (15, 0, 0), (-15, 0, 0), (0, 0, 15), (0, 0, -15)]
)
def test_the_background_stands_still_while_the_head_turns(renderer, appearance, rotation):
    drawn = renderer.draw(appearance, motion(rotation)).astype(int)
    margin = appearance.layers.margin
    still = appearance.layers.alpha[margin:-margin, margin:-margin] < 0.01
    corner = np.zeros_like(still)
    corner[:16, :16] = corner[:16, -16:] = True
    assert np.abs(drawn - appearance.image)[still & corner].max() <= 1


def test_an_open_jaw_shows_the_inside_of_the_mouth(renderer, appearance, landmarks):
    closed = renderer.draw(appearance, motion())
    opened = renderer.draw(appearance, motion(jawOpen=0.7))
    middle = landmarks[[13, 14]].mean(0) + (0, 6)
    assert around(opened, middle, 2).mean() < around(closed, middle, 2).mean() - 20


def test_a_blink_covers_the_iris(renderer, appearance, landmarks):
    opened = renderer.draw(appearance, motion())
    shut = renderer.draw(appearance, motion(eyeBlinkLeft=1, eyeBlinkRight=1))
    for iris in (468, 473):
        before, after = (around(x, landmarks[iris], 2).mean() for x in (opened, shut))
        assert after > before + 15


def test_eyes_turn_inside_their_lids(renderer, appearance, landmarks):
    ahead = renderer.draw(appearance, motion())
    aside = renderer.draw(appearance, motion(eyeLookOutLeft=0.6, eyeLookInRight=0.6))
    for iris in (468, 473):
        assert (
            np.abs(around(aside, landmarks[iris], 4) - around(ahead, landmarks[iris], 4)).max() > 30
        )
    cheek = landmarks[205]
    assert np.abs(around(aside, cheek, 5) - around(ahead, cheek, 5)).mean() < 2


@pytest.mark.parametrize("size", [(128, 200), (320, 180)])
def test_frames_have_the_size_asked_for(renderer, portrait, size):
    frame = renderer.draw(renderer.prepare(portrait, size), motion((5, 5, 5), jawOpen=0.3))
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8


@pytest.fixture(scope="module")
def head(portrait) -> Head:
    return make_head(portrait)


def moved(head, point, rotation=(0, 0, 0), shift=(0, 0), scale=1.0):
    """How far a point of the photograph goes (right, down) in inter-ocular distances."""
    back = head.backward(np.float32(rotation), np.float32(shift), scale)
    fine = (head.nodes.shape[1] * 8, head.nodes.shape[0] * 8)
    nodes, sources = (cv2.resize(x, fine) for x in (head.nodes, head.nodes + back))
    at = np.linalg.norm(sources - point, axis=-1).argmin()
    return (nodes.reshape(-1, 2)[at] - point) / head.unit


@pytest.mark.parametrize(
    ("rotation", "axis", "sign"),
    [((0, 20, 0), 0, 1), ((15, 0, 0), 1, -1), ((0, -20, 0), 0, -1), ((-15, 0, 0), 1, 1)],
)
def test_the_nose_goes_where_the_head_turns(head, portrait, rotation, axis, sign):
    assert sign * moved(head, portrait.landmarks[4, :2], rotation)[axis] > 0.2


def test_roll_tilts_clockwise_for_the_viewer(head, portrait):
    assert moved(head, portrait.landmarks[10, :2], (0, 0, 15))[0] > 0.2


def test_shift_is_in_interocular_distances_and_scale_is_a_factor(head, portrait):
    nose, brow = portrait.landmarks[[4, 10], :2]
    assert np.allclose(moved(head, nose, shift=(0.3, -0.2)), (0.3, -0.2), atol=0.03)
    apart = (moved(head, nose, scale=1.1) - moved(head, brow, scale=1.1)) * head.unit
    assert np.allclose(apart, 0.1 * (nose - brow), atol=0.03 * head.unit)


def test_the_head_turns_as_one_about_its_pivot(head, portrait):
    turned = (10, 15, -8)
    for point in portrait.landmarks[[4, 33, 263, 1, 168]]:
        there = (point - head.pivot) @ turn(*turned)[:2].T + head.pivot[:2]
        went = moved(head, point[:2], turned) * head.unit
        assert np.abs(went - (there - point[:2])).max() < 0.06 * head.unit


def test_the_shoulders_do_not_turn(head, portrait):
    chin = portrait.landmarks[152, :2]
    forehead = portrait.landmarks[10, :2]
    assert head.weight[int(forehead[1] / head.step), int(forehead[0] / head.step)] > 0.8
    rows = head.nodes[..., 1] > chin[1] + 0.8 * (chin[1] - forehead[1])
    assert not rows.any() or head.weight[rows].max() < 0.2


@pytest.mark.parametrize("side", [64, 128, 258])
def test_a_mouth_that_leaves_the_picture_is_drawn_to_its_edge(renderer, portrait, side):
    face = renderer.prepare(portrait, (side, side))
    for down in np.linspace(0.5, 3, 11):
        moved = motion(jawOpen=0.7)
        moved.translation[0] = (0.2, down)
        assert renderer.draw(face, moved).shape == (side, side, 3)


def test_nodes_near_a_place_reach_to_the_last_pixel():
    step, size = 3, 64
    nodes = np.arange(0, size + step, step, dtype=np.float32)
    turned = np.stack(np.meshgrid(nodes, nodes), -1)
    rows, columns = near_nodes(turned, np.float32([[40, 50], [70, 80]]), step)
    assert (rows.stop - 1) * step >= size - 1
    assert (columns.stop - 1) * step >= size - 1
    assert near_nodes(turned, np.float32([[200, 200], [230, 230]]), step) is None
