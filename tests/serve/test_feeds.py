"""Bounded queues between a session and its readers."""

from __future__ import annotations

import asyncio

from visavis.serve.feeds import Fan, Feed


async def taken(feed: Feed[int]) -> list[int]:
    return [item async for item in feed]


def test_a_slow_reader_loses_the_oldest_and_a_fast_one_nothing() -> None:
    async def play() -> None:
        fan: Fan[int] = Fan()
        slow, fast = fan.subscribe(2), fan.subscribe(100)
        for n in range(5):
            fan.offer(n)
        fan.close()
        assert await taken(slow) == [3, 4]
        assert await taken(fast) == [0, 1, 2, 3, 4]
        assert (slow.dropped, fast.dropped) == (3, 0)

    asyncio.run(play())


def test_a_reader_waits_for_what_comes_and_ends_with_the_source() -> None:
    async def play() -> None:
        fan: Fan[int] = Fan()
        reading = asyncio.create_task(taken(fan.subscribe(4)))
        for n in range(3):
            await asyncio.sleep(0)
            fan.offer(n)
        await asyncio.sleep(0)
        fan.close()
        assert await asyncio.wait_for(reading, 1) == [0, 1, 2]

    asyncio.run(play())


def test_a_reader_that_leaves_is_forgotten_and_gets_nothing_more() -> None:
    async def play() -> None:
        fan: Fan[int] = Fan()
        feed = fan.subscribe(4)
        feed.offer(1)
        feed.close()
        feed.close()
        fan.offer(2)
        assert len(fan) == 0
        assert await taken(feed) == [1]

    asyncio.run(play())


def test_who_comes_after_the_end_gets_an_end() -> None:
    async def play() -> None:
        fan: Fan[int] = Fan()
        fan.close()
        assert await taken(fan.subscribe(1)) == []
        assert len(fan) == 0

    asyncio.run(play())
