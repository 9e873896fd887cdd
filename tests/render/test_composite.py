"""A picture taken apart: what moves, what stands still, and what lies beyond the picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from visavis.faces.topology import OVAL
from visavis.render.composite import Layers, make_layers
from visavis.render.mesh_warp import resized
from visavis.render.topology import face_height
from visavis.types import Portrait

SIDE = 256


@pytest.fixture(scope="module")
def small(portrait: Portrait) -> Portrait:
    return resized(portrait, (SIDE, SIDE))


def layers_of(portrait: Portrait, is_cutout: bool = False) -> Layers:
    return make_layers(portrait, face_height(portrait.landmarks), is_cutout)


def inner(layers: Layers, values: np.ndarray) -> np.ndarray:
    m = layers.margin
    return values[m : values.shape[0] - m, m : values.shape[1] - m]


def before(portrait: Portrait, background: np.ndarray) -> Portrait:
    """The person of ``portrait`` before another background, mixed as light is."""
    share = portrait.matte[..., None]
    mixed = portrait.image * share + background * (1 - share)
    return replace(portrait, image=np.round(mixed).astype(np.uint8))


def grass(seed: int = 3) -> np.ndarray:
    """A coarse coloured texture (SIDE, SIDE, 3)."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    levels = soft / soft.std() * 35
    return np.clip(np.stack([70 + levels, 130 + levels, 40 + levels], -1), 0, 255)


@pytest.mark.parametrize("background", [None, "grass"])
def test_layers_add_up_to_the_photograph(small: Portrait, background: str | None) -> None:
    given = small if background is None else before(small, grass())
    layers = layers_of(given)
    assert layers.plate is not None
    alpha = inner(layers, layers.alpha)[..., None]
    again = inner(layers, layers.front) * alpha + layers.plate * (1 - alpha)
    assert np.abs(again - given.image).max() <= 1


def test_the_background_continues_behind_the_person(small: Portrait) -> None:
    texture = grass()
    layers = layers_of(before(small, texture))
    assert layers.plate is not None
    outside = cv2.distanceTransform((small.matte < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform((small.matte >= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rim = (inside > 3) & (inside < 25)
    free = outside > 20
    for channel in range(3):
        made, seen = layers.plate[rim][:, channel], texture[free][:, channel]
        assert abs(made.mean() - seen.mean()) < 12
        assert made.std() > 0.5 * seen.std()  # smearing leaves a tenth


def test_smooth_backgrounds_stay_smooth(small: Portrait) -> None:
    slope = np.linspace(90, 180, SIDE)[None, :, None] * np.ones((SIDE, 1, 3))
    layers = layers_of(before(small, slope))
    assert layers.plate is not None
    assert np.abs(layers.plate - slope)[small.matte > 0.5].mean() < 8


def test_hair_does_not_carry_the_light_behind_it(small: Portrait) -> None:
    white = np.full((SIDE, SIDE, 3), 250.0)
    bright = before(small, white)
    layers = layers_of(bright, is_cutout=True)
    assert layers.plate is None
    alpha = inner(layers, layers.alpha)
    rim = (small.matte > 0.2) & (small.matte < 0.8) & (np.arange(SIDE)[:, None] < SIDE // 3)
    assert rim.sum() > 50
    dark = inner(layers, layers.front)[rim].mean() * alpha[rim].mean()
    naive = (bright.image * small.matte[..., None])[rim].mean()
    assert dark < 0.8 * naive


def test_a_cut_out_leaves_the_corners_free(small: Portrait) -> None:
    layers = layers_of(before(small, grass()), is_cutout=True)
    alpha = inner(layers, layers.alpha)
    assert alpha[:20, :20].max() == 0
    points = small.landmarks[list(OVAL), :2].astype(int)
    assert alpha[points[:, 1], points[:, 0]].min() > 0.9


def test_hair_that_is_cut_off_goes_on(small: Portrait) -> None:
    top = int(small.landmarks[10, 1]) - 12  # little above the forehead
    cut = replace(
        small,
        image=np.ascontiguousarray(small.image[top:]),
        landmarks=small.landmarks - np.array([0, top, 0], np.float32),
        matte=np.ascontiguousarray(small.matte[top:]),
        head_matte=np.ascontiguousarray(small.head_matte[top:]),
    )
    layers = layers_of(cut)
    assert layers.margin > 30
    middle = int(cut.landmarks[10, 0]) + layers.margin
    above = layers.alpha[: layers.margin, middle]
    assert above[-8:].min() > 0.9
    assert above[0] < 0.1  # heads end
    corner = layers.alpha[: layers.margin, : layers.margin]
    assert corner.max() < 0.1
    seam = layers.front[layers.margin - 1 : layers.margin + 1, middle - 10 : middle + 10]
    assert np.abs(np.diff(seam.astype(int), axis=0)).mean() < 20


@pytest.mark.parametrize("is_left", [False, True])
def test_hair_cut_off_at_a_side_goes_on(small: Portrait, is_left: bool) -> None:
    edge = int(small.landmarks[234 if is_left else 454, 0])
    kept = np.s_[:, edge:] if is_left else np.s_[:, :edge]
    cut = replace(
        small,
        image=np.ascontiguousarray(small.image[kept]),
        landmarks=small.landmarks - np.array([edge * is_left, 0, 0], np.float32),
        matte=np.ascontiguousarray(small.matte[kept]),
        head_matte=np.ascontiguousarray(small.head_matte[kept]),
    )
    layers = layers_of(cut)
    row = layers.alpha[int(cut.landmarks[168, 1]) + layers.margin]
    beyond = row[: layers.margin][::-1] if is_left else row[-layers.margin :]
    assert beyond[:8].min() > 0.9


def test_a_head_that_only_comes_near_the_edge_ends_there(small: Portrait) -> None:
    gap = 6  # the embedded portrait's hair begins at its edge
    lower = replace(
        small,
        image=np.pad(small.image[:-gap], ((gap, 0), (0, 0), (0, 0)), "edge"),
        landmarks=small.landmarks + np.array([0, gap, 0], np.float32),
        matte=np.pad(small.matte[:-gap] ** 2, ((gap, 0), (0, 0))),
        head_matte=np.pad(small.head_matte[:-gap], ((gap, 0), (0, 0))),
    )
    cut = before(lower, np.full((SIDE, SIDE, 3), 250.0))
    layers = layers_of(cut)
    middle = int(cut.landmarks[10, 0]) + layers.margin
    assert layers.alpha[: layers.margin, middle].max() < 0.3


def test_a_picture_of_nothing_but_the_person_stays_as_it_is(small: Portrait) -> None:
    everything = replace(
        small, matte=np.ones_like(small.matte), head_matte=np.ones_like(small.matte)
    )
    layers = layers_of(everything)
    assert np.array_equal(layers.plate, small.image)
    assert np.array_equal(inner(layers, layers.front), small.image)
