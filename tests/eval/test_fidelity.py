import cv2
import numpy as np
import pytest

from visavis.eval import fidelity
from visavis.eval.track import Sight, see
from visavis.types import Portrait


def sight(portrait: Portrait) -> Sight:
    return see(portrait.image, portrait.landmarks)


def detail(portrait: Portrait, image: np.ndarray) -> float:
    crop = sight(portrait).crop
    return fidelity.detail(image, crop, 300)


def test_sharpness_falls_with_blur_and_not_with_light(portrait: Portrait) -> None:
    own = detail(portrait, portrait.image)
    size = portrait.image.shape[0]
    soft = [cv2.GaussianBlur(portrait.image, (0, 0), s * size / 512) for s in (0.5, 1.0, 2.0)]
    ratios = [detail(portrait, image) / own for image in soft]
    assert 1 > ratios[0] > ratios[1] > ratios[2]
    assert ratios[1] < 0.75


def test_a_smaller_copy_is_as_sharp_at_its_own_size(portrait: Portrait) -> None:
    small = cv2.resize(portrait.image, (512, 512), interpolation=cv2.INTER_AREA)
    crop = see(small, portrait.landmarks * (512 / portrait.image.shape[0])).crop
    own = fidelity.detail(portrait.image, sight(portrait).crop, crop.size)
    assert fidelity.detail(small, crop, crop.size) / own == pytest.approx(1.0, abs=0.12)


def test_flicker_and_background(portrait: Portrait) -> None:
    here = sight(portrait)
    first, last = fidelity.look(portrait.image, here, None)
    assert np.isnan(first.flicker)
    same, _ = fidelity.look(portrait.image, here, last)
    assert (same.flicker, same.background) == (0.0, 0.0)
    brighter = np.clip(portrait.image.astype(int) + 4, 0, 255).astype(np.uint8)
    changed, _ = fidelity.look(brighter, here, last)
    assert changed.flicker == pytest.approx(4, abs=0.5)
    assert changed.background == pytest.approx(4, abs=0.6)


def test_mean_without_unknowns() -> None:
    assert fidelity.steady([float("nan"), 1.0, 3.0]) == 2.0
    assert fidelity.steady([float("nan")]) is None
