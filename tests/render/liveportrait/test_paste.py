"""Crops put back into their pictures."""

import cv2
import numpy as np
import pytest

import golden_crop
from golden import load, relative_error, thinned
from visavis.render.liveportrait.crop import FaceSquare, cut_out
from visavis.render.liveportrait.paste import feather, paste_at

SIZE = (320, 240)


def smooth_picture(width, height):
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / width * 7 + i) * np.cos(y / height * 5) for i in range(3)]
    return np.dstack(waves).astype(np.uint8)


def test_golden_feather():
    data, mask = load("crop_paste"), feather()
    assert relative_error(mask[256], data["mask512_row256"]) < 1e-6
    assert relative_error(mask[:, 256], data["mask512_col256"]) < 1e-6
    assert relative_error(mask[:64, :64], data["mask512_corner"]) < 1e-6
    assert abs(mask.mean() - data["mask512_mean"]) < 1e-6


def test_golden_paste():
    data = load("crop_paste")
    y, x = np.mgrid[:512, :512][..., None]
    drawn = np.clip(y * np.array([0.4, 0.3, 0.2]) + x * np.array([0.05, 0.1, 0.25]), 0, 255)
    paste = paste_at(golden_crop.square(), SIZE, SIZE, edge=0)
    out = paste.apply(golden_crop.picture(), drawn.astype(np.float32))
    off = thinned(out, data["paste_numpy"]).astype(int) - data["paste_numpy"]
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("size", [(1000, 800), (500, 400), (160, 128), (1500, 1200)])
def test_what_was_cut_out_goes_back(size):
    picture = smooth_picture(1000, 800)
    square = FaceSquare((480.0, 420.0), 640.0, 0.2)
    crop = cut_out(picture, square).astype(np.float32)
    expected = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    out = paste_at(square, (1000, 800), size).apply(expected, crop)
    assert out.dtype == np.uint8
    assert np.abs(out.astype(int) - expected).mean() < 0.6
    assert np.abs(out.astype(int) - expected).max() <= 6


def test_only_the_square_is_touched():
    picture = smooth_picture(600, 600)
    square = FaceSquare((300.0, 300.0), 200.0, 0.0)
    out = paste_at(square, (600, 600), (600, 600)).apply(
        picture, np.full((512, 512, 3), 255.0, np.float32)
    )
    changed = np.abs(out.astype(int) - picture).max(-1) > 0
    assert not changed[:199].any()
    assert not changed[:, 402:].any()
    assert (out[250:350, 250:350] == 255).all()


def test_the_border_of_the_picture_is_its_own():
    picture = smooth_picture(300, 300)
    square = FaceSquare((150.0, 150.0), 600.0, 0.0)
    out = paste_at(square, (300, 300), (300, 300)).apply(
        picture, np.zeros((512, 512, 3), np.float32)
    )
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.array_equal(out[edge], picture[edge])
    assert not out[10:-10, 10:-10].any()


def test_a_square_outside_the_picture_leaves_it_as_it_is():
    picture = smooth_picture(200, 200)
    square = FaceSquare((900.0, 900.0), 200.0, 0.0)
    out = paste_at(square, (200, 200), (200, 200)).apply(
        picture, np.zeros((512, 512, 3), np.float32)
    )
    assert np.array_equal(out, picture)


def test_values_beyond_the_range_are_cut():
    picture = smooth_picture(600, 600)
    square = FaceSquare((300.0, 300.0), 512.0, 0.0)
    drawn = np.full((512, 512, 3), 300.0, np.float32)
    drawn[:, :256] = -40
    out = paste_at(square, (600, 600), (600, 600)).apply(picture, drawn)
    assert (out[300, 400:500] == 255).all()
    assert (out[300, 100:250] == 0).all()
