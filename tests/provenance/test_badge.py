"""The badge: legible on anything, where it was asked for, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.provenance.badge import SHOWN_S, make_badge
from visavis.provenance.policy import Policy


def luminance(levels: np.ndarray) -> np.ndarray:
    """Return the relative luminance of grey ``levels`` (WCAG 2.2)."""
    value = levels / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("behind", [0, 90, 160, 255])
@pytest.mark.parametrize("side", [256, 512, 1080])
def test_it_can_be_read_on_any_background(behind: int, side: int) -> None:
    image = np.full((side, side, 3), behind, np.uint8)
    badge = make_badge((side, side), Policy())
    rows, columns = badge.keep.shape[:2]
    drawn = badge.draw(image)[badge.top : badge.top + rows, badge.left : badge.left + columns, 0]
    letters, plate = drawn.max(), np.median(drawn)
    contrast = (luminance(np.float64(letters)) + 0.05) / (luminance(plate) + 0.05)
    assert contrast > 7
    assert (drawn > 200).mean() > 0.05  # there is text
    assert (drawn < 100).mean() > 0.3  # and a plate


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
@pytest.mark.parametrize("size", [(512, 512), (1920, 1080), (270, 480), (64, 64)])
def test_it_lies_in_its_corner_and_touches_nothing_else(corner: str, size: tuple[int, int]) -> None:
    width, height = size
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    before = image.copy()
    drawn = make_badge(size, Policy(badge_corner=corner)).draw(image)
    assert np.array_equal(image, before)
    rows, columns = np.nonzero((drawn != image).any(axis=2))
    assert rows.size
    assert (columns.mean() < width / 2) == corner.endswith("left")
    assert (rows.mean() < height / 2) == corner.startswith("top")
    assert np.ptp(columns) < 0.85 * width
    assert np.ptp(rows) < 0.2 * height


def test_at_the_start_and_at_intervals() -> None:
    badge = make_badge((128, 128), Policy(badge_every_s=20))
    shown = [badge.is_shown(n) for n in range(0, 60 * 25)]
    assert all(shown[: SHOWN_S * 25])
    assert not any(shown[SHOWN_S * 25 : 20 * 25])
    assert shown[20 * 25]
    assert sum(shown) == 3 * SHOWN_S * 25
    image = np.zeros((128, 128, 3), np.uint8)
    assert badge.draw(image, SHOWN_S * 25) is image


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Policy(badge_text=" "), "1 to 60"),
        (Policy(badge_text="x" * 61), "1 to 60"),
        (Policy(badge_text="a\nb"), "printable"),
        (Policy(badge_text="由人工智能生成"), "badge_font"),
        (Policy(badge_font="missing.ttf"), "font"),
        (Policy(badge_every_s=3), "badge_every_s"),
    ],
)
def test_what_cannot_be_drawn(policy: Policy, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_badge((512, 512), policy)


def test_a_file_that_is_no_font() -> None:
    with pytest.raises(InputError, match="TrueType"):
        make_badge((512, 512), Policy(badge_font=__file__))


def test_long_texts_become_smaller_not_cut() -> None:
    short, long = (make_badge((256, 256), Policy(badge_text=t)) for t in ("AI", "AI " * 16))
    assert long.keep.shape[1] <= 256
    assert long.keep.shape[0] < short.keep.shape[0]
