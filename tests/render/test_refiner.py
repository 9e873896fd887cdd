"""The refiner on the embedded portrait: what it changes, what it leaves, and that it is steady."""

from dataclasses import replace

import numpy as np
import pytest

from posed import motion
from visavis.opening import open_portrait
from visavis.render.mesh_warp import MeshWarpRenderer, resized
from visavis.render.quality import touch_for
from visavis.render.refiner import make_memory, remembered

SIZE = (384, 384)
MOUTH, EYE, FOREHEAD = (13, 14), (468, 159), (10, 151)


@pytest.fixture(scope="module", params=["standard", "high"])
def touched(request, portrait):
    renderer = MeshWarpRenderer(touch=touch_for(request.param))
    return renderer, renderer.prepare(portrait, SIZE)


@pytest.fixture(scope="module")
def plain(portrait):
    renderer = MeshWarpRenderer()
    return renderer, renderer.prepare(portrait, SIZE)


@pytest.fixture(scope="module")
def landmarks(portrait):
    return resized(portrait, SIZE).landmarks[:, :2]


def change(touched, plain, landmarks, where, moved):
    a, b = (renderer.draw(face, moved).astype(int) for renderer, face in (touched, plain))
    x, y = np.round(landmarks[list(where)].mean(0)).astype(int)
    return np.abs(a - b)[y - 8 : y + 9, x - 8 : x + 9].mean()


def test_the_inside_of_an_open_mouth_is_painted(touched, plain, landmarks):
    assert change(touched, plain, landmarks, MOUTH, motion(jawOpen=0.5)) > 3


def test_nothing_far_from_mouth_and_eyes_changes(touched, plain, landmarks):
    moved = motion((5, 10, 3), jawOpen=0.5, eyeBlinkLeft=1, eyeBlinkRight=1)
    assert change(touched, plain, landmarks, FOREHEAD, moved) == 0


def test_a_face_at_rest_is_hardly_touched(touched, plain, landmarks):
    assert change(touched, plain, landmarks, EYE, motion()) < 6


def test_equal_moments_give_equal_pictures(touched):
    renderer, face = touched
    moved = motion((2, -8, 1), jawOpen=0.3)
    first = renderer.draw(face, moved)
    renderer.draw(face, motion(jawOpen=0.9))
    assert np.array_equal(first, renderer.draw(face, moved))


def test_small_steps_of_the_jaw_are_small_steps_of_the_picture(touched):
    renderer, face = touched
    steps = [renderer.draw(face, motion(jawOpen=0.3 + 0.01 * i)).astype(int) for i in range(5)]
    moves = [np.abs(b - a).mean() for a, b in zip(steps[:-1], steps[1:], strict=True)]
    assert max(moves) < 3 * min(moves) + 0.05


def test_the_memory_shows_an_open_mouth(touched):
    memory = touched[1].touched.memory
    inside = memory.skull[memory.skull[..., 3] > 200]
    assert len(inside) > 0.02 * memory.skull[..., 3].size
    brightness = inside[:, :3].max(1)
    assert brightness.max() - brightness.min() > 60  # teeth and darkness


def test_teeth_are_borrowed_in_the_light_of_the_face(portrait):
    dark = replace(portrait, image=portrait.image // 2)
    bright, dim = (
        make_memory(p, prepared(p).touched.sketch).skull.astype(int) for p in (portrait, dark)
    )
    assert dim[..., :3].max() < 0.8 * bright[..., :3].max()


def test_an_open_mouth_keeps_its_own_teeth(portrait):
    renderer = MeshWarpRenderer()
    wide = motion(jawOpen=0.8, mouthLowerDownLeft=0.4, mouthLowerDownRight=0.4)
    picture = renderer.draw(renderer.prepare(portrait, SIZE), wide)
    opened = open_portrait(picture)
    face = prepared(opened)
    memory = face.touched.memory
    assert np.array_equal(memory.skull[..., :3], face.touched.sketch.rest[0])


def prepared(portrait):
    return MeshWarpRenderer(touch=touch_for("standard")).prepare_face(portrait)


def test_upper_teeth_stay_and_lower_ones_follow_the_jaw():
    memory = np.zeros((20, 30, 4), np.uint8)
    memory[5:9, 10:20] = 255
    channels = remembered(memory, memory, (2.0, 3.0))
    assert channels.shape == (8, 20, 30)
    assert channels[3, 5:9, 10:20].all()
    assert channels[7, 8:12, 12:22].all()
    assert channels[7].sum() == channels[3].sum()
