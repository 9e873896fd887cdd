"""The stopwatch adds up, and percentiles are percentiles."""

from __future__ import annotations

import asyncio
import time

import pytest

from visavis.timing import SYSTEM, ManualClock, Stopwatch, paced, percentile


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


def test_a_clock_moved_by_hand_wakes_sleepers_in_order() -> None:
    async def whole() -> list[tuple[str, int]]:
        clock, woken = ManualClock(), []

        async def sleeper(name: str, *instants: int) -> None:
            for instant in instants:
                await clock.sleep_until(instant)
                woken.append((name, clock.now_ns()))

        tasks = [asyncio.create_task(sleeper("a", 30, 50)), asyncio.create_task(sleeper("b", 10))]
        await asyncio.sleep(0)
        await clock.advance(40)
        assert clock.now_ns() == 40
        await clock.advance(60)
        await asyncio.gather(*tasks)
        await clock.sleep_until(5)  # long over
        return woken

    assert asyncio.run(whole()) == [("b", 10), ("a", 30), ("a", 50)]


def test_the_clock_of_the_machine_wakes_in_time() -> None:
    async def whole() -> int:
        due = SYSTEM.now_ns() + 20_000_000
        await SYSTEM.sleep_until(due)
        return SYSTEM.now_ns() - due

    assert 0 <= asyncio.run(whole()) < 200_000_000
