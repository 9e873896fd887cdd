"""The stopwatch adds up, and percentiles are percentiles."""

from __future__ import annotations

import time

import pytest

from visavis.timing import Stopwatch, paced, percentile


def test_stages_add_up_and_survive_exceptions() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.stage("nap"):
            time.sleep(0.01)
    with pytest.raises(KeyError), watch.stage("fall"):
        raise KeyError
    assert watch.stages_ms()["nap"] >= 20
    assert watch.stages_ms(per=2)["nap"] == pytest.approx(watch.stages_ms()["nap"] / 2)
    assert "fall" in watch.stages_ms()
    assert watch.elapsed_s() >= 0.02


def test_percentiles() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([5.0], 95) == 5.0


def test_paced_items_come_on_time_and_pauses_do_not_add_up() -> None:
    watch, at = Stopwatch(), []
    for item in paced(range(4), 5):
        at.append(watch.elapsed_s())
        if item == 0:
            time.sleep(0.6)
    assert all(moment >= n / 5 for n, moment in enumerate(at))
    assert at[3] < 1.1  # 1.2 if the pause were added
