"""Made-up backgrounds: what is known stays, the rest continues it, and is made only once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from visavis.media.cache import VARIABLE
from visavis.render.plate import Texture, make_plate, texture_of

SIDE = 200


def grass(side: int = SIDE) -> np.ndarray:
    """A coarse texture (side, side, 3) uint8."""
    noise = np.random.default_rng(3).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    soft = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 2), (side, side))
    levels = soft / soft.std() * 35
    picture = np.stack([70 + levels, 130 + levels, 40 + levels], -1)
    return np.clip(picture, 0, 255).astype(np.uint8)


def disc(side: int = SIDE) -> np.ndarray:
    """Where (side, side) somebody stands before it."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    return np.asarray(np.hypot(x, y) < 0.22)


def plate_of(image: np.ndarray, hidden: np.ndarray, texture: Texture | None = None) -> np.ndarray:
    return make_plate(image, ~hidden, hidden, (texture or texture_of(image, ~hidden)).fine)


def test_what_is_known_stays_and_the_rest_is_as_rough() -> None:
    image, hidden = grass(), disc()
    covered = image.copy()
    covered[hidden] = 255
    plate = plate_of(covered, hidden)
    assert np.array_equal(plate[~hidden], image[~hidden])
    assert abs(plate[hidden].mean() - image[~hidden].mean()) < 12
    assert plate[hidden][:, 1].std() > 0.5 * image[~hidden][:, 1].std()


def test_a_plate_is_made_once_for_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    image, hidden = grass(), disc()
    texture = texture_of(image, ~hidden)
    first = plate_of(image, hidden, texture)
    again = plate_of(image, hidden, replace(texture, wide=texture.wide + 1))
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert np.array_equal(first, again)
    plate_of(image, hidden, replace(texture, fine=texture.fine / 2))
    assert len(list(tmp_path.glob("*.npz"))) == 2


@pytest.mark.parametrize("longest", [64, 150, 400])
def test_what_is_made_up_smaller_leaves_the_known_and_takes_nothing_of_the_hidden(
    longest: int,
) -> None:
    image, hidden = grass(300), disc(300)
    image[..., 2] = 90
    covered = image.copy()
    covered[hidden] = 255
    rough = texture_of(image, ~hidden).fine
    plate = make_plate(covered, ~hidden, hidden, rough, longest)
    assert np.array_equal(plate[~hidden], image[~hidden])
    assert np.abs(plate[hidden][:, 2].astype(int) - 90).max() <= 2
    assert abs(plate[hidden][:, 1].mean() - image[~hidden][:, 1].mean()) < 12
    assert plate[hidden][:, 1].std() > 0.4 * image[~hidden][:, 1].std()


def test_a_single_known_pixel_is_enough_at_any_size() -> None:
    image = np.full((300, 300, 3), 200, np.uint8)
    known = np.zeros((300, 300), bool)
    image[7, 5], known[7, 5] = 50, True
    rough = np.zeros((300, 300), np.float32)
    assert np.abs(make_plate(image, known, ~known, rough, 50).astype(int) - 50).max() <= 1
