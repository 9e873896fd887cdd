import numpy as np
import pytest
from made import curves, heard

from visavis.eval import motion
from visavis.eval.track import LIPS

SAID = heard((30, "SIL"), (100, "AA"), (100, "SIL"))


def moving(per_second: float, rows: int) -> np.ndarray:
    """Return lips (rows, 40, 3) whose points all move to the right at one speed."""
    out = np.zeros((rows, len(LIPS), 3))
    out[:, :, 0] = (np.arange(rows) * per_second / 100)[:, None]
    return out


def test_speed_is_counted_in_silence_only() -> None:
    lips = moving(0.5, 230)
    assert motion.mouth_speed_in_silence(curves(230, lips=lips), SAID) == pytest.approx(0.5, 0.05)
    lips[140:] = lips[140]
    assert motion.mouth_speed_in_silence(curves(230, lips=lips), SAID) == pytest.approx(0, abs=1e-6)


def test_without_silence_it_cannot_be_told() -> None:
    assert motion.mouth_speed_in_silence(curves(100), heard((100, "AA"))) is None


def test_rest_is_reached_when_the_lips_have_closed_and_stopped() -> None:
    gap = np.r_[np.full(142, 0.1), np.zeros(88)]
    assert motion.rest_after_silence_ms(curves(230, gap=gap), SAID) == [120.0]
    assert motion.rest_after_silence_ms(curves(230, gap=gap, lips=moving(1, 230)), SAID) == [1000.0]


@pytest.mark.parametrize("hertz", [0.5, 4.0])
def test_jitter_of_a_sine(hertz: float) -> None:
    turn = np.zeros((1000, 3))
    turn[:, 1] = 3.0 * np.sin(2 * np.pi * hertz * np.arange(1000) / 100)
    expected = 3.0 * 4 * np.sin(np.pi * hertz * 0.04) ** 2 / np.sqrt(2)
    assert motion.head_jitter(curves(1000, rotation=turn)) == pytest.approx(expected, rel=0.02)


def test_blinks_are_short_and_deep() -> None:
    eyes = np.full(1000, 0.3)
    eyes[100:120] = 0.05  # a blink
    eyes[300:315] = 0.2  # lids lowered, not shut
    eyes[500:503] = 0.05  # too short: noise
    eyes[700:800] = 0.05  # eyes closed for a second
    found = motion.blinks(curves(1000, eyes=eyes))
    assert [(b.start, b.end) for b in found] == [(100, 120)]
    assert found[0].depth == pytest.approx(1 - 0.05 / 0.3)


def test_range_of_the_head() -> None:
    turn = np.zeros((1001, 3))
    turn[:, 0] = np.linspace(-10, 10, 1001)
    found = motion.head_range_deg(curves(1001, rotation=turn))
    assert found == pytest.approx({"pitch": 18.0, "yaw": 0.0, "roll": 0.0}, abs=0.01)
