import numpy as np
import pytest
from made import curves, heard

from visavis.audio.phones import PHONES
from visavis.eval import lips
from visavis.eval.alignment import Heard

SAID = heard((50, "SIL"), (10, "M"), (20, "AA"), (8, "P"), (20, "AE"), (50, "SIL"))


def mouth(*closed: int) -> np.ndarray:
    """Return a gap that is wide but for one 40 ms dip round each row of ``closed``."""
    gap = np.full(158, 0.12)
    for row in closed:
        gap[row - 2 : row + 2] = 0.005
    return gap


def test_closures_are_met_or_missed() -> None:
    visits = lips.closures(curves(158, gap=mouth(55)), SAID.spans())
    assert [(v.span.name, v.is_met) for v in visits] == [("M", True), ("P", False)]
    assert lips.recall(visits) == 0.5
    assert 53 <= visits[0].row < 57


def test_a_frame_beside_the_phone_counts_and_two_do_not() -> None:
    spans = SAID.spans()
    assert lips.closures(curves(158, gap=mouth(55, 90)), spans)[1].is_met
    assert not lips.closures(curves(158, gap=mouth(55, 95)), spans)[1].is_met


def test_lips_that_show_teeth_are_not_closed() -> None:
    seen = curves(158, gap=mouth(55, 84), teeth=np.where(np.arange(158) < 70, 0.8, 0.1))
    assert [v.is_met for v in lips.closures(seen, SAID.spans())] == [False, True]


def test_closures_where_none_belongs() -> None:
    said = heard((20, "SIL"), (10, "M"), (10, "AA"), (20, "T"), (20, "IY"), (20, "SIL")).spans()
    assert lips.false_closures(curves(100, gap=np.full(100, 0.1)), said) == 0.0
    shut = np.where((np.arange(100) >= 45) & (np.arange(100) < 50), 0.0, 0.1)
    assert lips.false_closures(curves(100, gap=shut), said) == 1.0  # only T stands far enough
    assert lips.false_closures(curves(100), heard((100, "SIL")).spans()) is None


def test_openings() -> None:
    gap = np.where(SAID.phones == PHONES.index("AA"), 0.1, 0.02)
    assert [v.is_met for v in lips.openings(curves(158, gap=gap), SAID.spans())] == [True, False]


def test_nothing_to_judge_is_none_not_perfect() -> None:
    silent = heard((100, "SIL"))
    assert lips.recall(lips.closures(curves(100), silent.spans())) is None


def test_phones_of_impossible_length_or_beyond_the_video_are_not_judged() -> None:
    spans = heard((60, "M"), (1, "P"), (30, "AA"), (10, "B")).spans()
    assert lips.closures(curves(95), spans) == []


@pytest.mark.parametrize("late_ms", [-130, -40, 0, 15, 80])
def test_offset_finds_the_shift(late_ms: int) -> None:
    rng = np.random.default_rng(3)
    phones = np.repeat(rng.integers(0, len(PHONES), 80), rng.integers(5, 15, 80))
    table = np.array([lips.OPENNESS[p] for p in PHONES])
    fine = np.interp(np.arange(len(phones)) - late_ms / 10, np.arange(len(phones)), table[phones])
    found = lips.offset(
        curves(len(phones), gap=0.2 * fine), Heard(phones, np.zeros(len(phones), np.float32))
    )
    assert found.ms == pytest.approx(late_ms, abs=4)
    assert found.correlation > 0.9


def test_a_mouth_that_has_nothing_to_do_with_the_sound_is_not_sure() -> None:
    rng = np.random.default_rng(4)
    phones = np.repeat(rng.integers(0, len(PHONES), 200), 9)
    gap = np.repeat(rng.uniform(0, 0.2, 200), 9)
    found = lips.offset(
        curves(len(phones), gap=gap), Heard(phones, np.zeros(len(phones), np.float32))
    )
    assert found.correlation < lips.SURE


def test_a_still_mouth_has_no_correlation() -> None:
    assert lips.offset(curves(158), SAID).correlation == 0.0
