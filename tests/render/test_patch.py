"""Patches lie where mouth and eyes are, at one scale for every portrait, and show the warp."""

from dataclasses import replace

import numpy as np
import pytest

from visavis.render.mesh_warp import MeshWarpRenderer, Moment, expression_points, resized
from visavis.render.patch import EYE, MOUTH, make_sketch
from visavis.render.topology import density_of
from visavis.types import ARKIT_NAMES

JAW_OPEN = ARKIT_NAMES.index("jawOpen")
BLINK = ARKIT_NAMES.index("eyeBlinkRight")
NOWHERE = np.zeros((1, 1, 2), np.float32)


def face_of(portrait, side):
    sized = resized(portrait, (side, side))
    return sized, MeshWarpRenderer().prepare_face(sized)


def sketch_of(portrait, face, density=2.0):
    closed = expression_points(face.rig, face.mood)
    return make_sketch(portrait.image, portrait.landmarks, closed, density)


def moment(face, tongue=0.0, **values):
    coefficients = face.mood.copy()
    for name, value in values.items():
        coefficients[ARKIT_NAMES.index(name)] = value
    points = expression_points(face.rig, coefficients)
    return Moment(points, tongue, face.skin.field(points), NOWHERE)


@pytest.fixture(scope="module")
def drawing(portrait):
    sized, face = face_of(portrait, 512)
    return sized, face, sketch_of(sized, face)


@pytest.mark.parametrize("side", [256, 512, 900])
def test_patches_have_one_scale_whatever_the_picture(portrait, side):
    sized, face = face_of(portrait, side)
    sketch = sketch_of(sized, face)
    assert density_of(sized.landmarks * sketch.scale) == pytest.approx(2.0, rel=0.02)
    sizes = [MOUTH.size(2.0), EYE.size(2.0), EYE.size(2.0)]
    assert [view.size for view in sketch.views] == sizes
    for view, drawn in zip(sketch.views, sketch.draw(face.skin, moment(face)), strict=True):
        assert drawn.picture.shape == (*view.size[::-1], 3)


def test_lips_and_irises_lie_in_their_patches(drawing):
    portrait, _, sketch = drawing
    points = portrait.landmarks[:, :2] * sketch.scale
    for view, inside in zip(sketch.views, ((61, 291, 0, 17), (468,), (473,)), strict=True):
        at = view.into(points[list(inside)])
        assert (at > 4).all()
        assert (at < np.array(view.size) - 5).all()


def test_the_left_eye_is_mirrored(drawing):
    portrait, _, sketch = drawing
    points = portrait.landmarks[:, :2] * sketch.scale
    right, left = (v.into(points[[a, b]])[:, 0] for v, (a, b) in
                   zip(sketch.views[1:], ((33, 133), (263, 362)), strict=True))  # fmt: skip
    assert right[0] < right[1]  # the outer corner first
    assert left[0] < left[1]


def test_pixels_and_places_belong_together(drawing):
    _, _, sketch = drawing
    for view, nodes in zip(sketch.views, sketch.nodes, strict=True):
        back = view.into(nodes.reshape(-1, 2)).reshape(nodes.shape)
        assert np.abs(back[3, 5] - (5, 3)).max() < 1e-3


def test_an_open_jaw_opens_and_shifts_the_mouth_alone(drawing):
    _, face, sketch = drawing
    shut, opened = (list(sketch.draw(face.skin, moment(face, jawOpen=v))) for v in (0.0, 0.7))
    assert opened[0].cover.sum() > shut[0].cover.sum() + 500
    assert np.abs(opened[0].shift).max() > 5  # mm
    assert np.abs(opened[1].cover - shut[1].cover).mean() < 0.01


def test_a_blink_covers_the_eye(drawing):
    _, face, sketch = drawing
    wide, shut = (list(sketch.draw(face.skin, moment(face, eyeBlinkRight=v)))[1] for v in (0, 1))
    assert shut.cover.sum() < 0.35 * wide.cover.sum()


def test_a_raised_tongue_is_told(drawing):
    _, face, sketch = drawing
    opened = {"jawOpen": 0.3, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3}
    mouths = [next(iter(sketch.draw(face.skin, moment(face, t, **opened)))) for t in (0.0, 0.8)]
    assert mouths[0].tongue is None
    assert mouths[1].tongue.sum() > 50
    assert mouths[1].tongue.max() <= 1


def test_eyes_nobody_asks_for_are_not_drawn(drawing):
    _, face, sketch = drawing
    mouth = next(replace(sketch, eyes=()).draw(face.skin, moment(face, jawOpen=0.4)))
    assert np.array_equal(
        mouth.picture, next(sketch.draw(face.skin, moment(face, jawOpen=0.4))).picture
    )
