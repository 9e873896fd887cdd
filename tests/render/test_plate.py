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
    return make_plate(image, ~hidden, hidden, texture or texture_of(image, ~hidden))


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
