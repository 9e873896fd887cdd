"""The map of a face: skin, lips, mouth, eyes where the landmarks are."""

import numpy as np
import pytest

from visavis.faces import topology
from visavis.video.face_map import AREAS, CHANNELS, SCALE, face_map

SKIN, X, Y, LIPS, MOUTH, EYES, IRISES = range(CHANNELS)


@pytest.fixture(scope="module")
def points(portrait) -> np.ndarray:
    height, width = portrait.image.shape[:2]
    return portrait.landmarks[:, :2] / np.float32([width, height])


def test_areas_are_where_their_landmarks_are(points):
    drawn = face_map(points, 128)
    assert drawn.shape == (CHANNELS, 128, 128)
    for channel, rings in enumerate(AREAS, LIPS):
        spots = np.concatenate([points[list(ring)] for ring in rings]) * 128
        y, x = np.nonzero(drawn[channel] > 0.5)
        if channel == MOUTH and not len(x):
            continue  # shut
        assert x.min() >= spots[:, 0].min() - 1.5
        assert x.max() <= spots[:, 0].max() + 1.5
        assert y.min() >= spots[:, 1].min() - 1.5
        assert y.max() <= spots[:, 1].max() + 1.5
    assert (drawn[SKIN] >= (drawn[LIPS] > 0.5)).all()


def test_places_on_the_face_are_those_of_its_landmarks(points):
    drawn, face = face_map(points, 256), topology.canonical() / SCALE
    for i in (topology.NOSE_TIP, 50, 280, 151):
        x, y = (points[i] * 256).astype(int)
        np.testing.assert_allclose(drawn[[X, Y], y, x], face[i, :2], atol=0.04)


def test_an_open_mouth_and_shut_eyes_show(points):
    opened = points.copy()
    lower = sorted({*topology.LIPS_INNER} - {78, 308})
    middle = points[lower, 1].mean()
    opened[lower, 1] += np.where(points[lower, 1] > middle, 0.06, 0)
    shut = points.copy()
    for ring in (topology.RIGHT_EYE, topology.LEFT_EYE):
        shut[list(ring), 1] = points[list(ring), 1].mean()
    drawn = face_map(points, 128)
    assert face_map(opened, 128)[MOUTH].sum() > drawn[MOUTH].sum() + 10
    assert face_map(shut, 128)[EYES].sum() < 0.5 * drawn[EYES].sum()


def test_no_face_is_an_empty_map():
    assert not face_map(np.full((478, 2), np.nan, np.float32), 32).any()
