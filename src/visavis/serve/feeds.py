"""One source, many readers, none of whom can hold up the source: bounded queues, oldest dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Feed(Generic[Item]):
    """What one reader has yet to take: at most ``capacity`` items, the newest ones.

    Iterate it (one task); it ends when the source closes. ``dropped`` counts what was missed.
    """

    def __init__(self, capacity: int, on_close: Callable[[Feed[Item]], None]) -> None:
        """Start empty; ``on_close`` is called once, when reader or source closes it."""
        self._items: deque[Item] = deque(maxlen=capacity)
        self._ready = asyncio.Event()
        self._on_close = on_close
        self._is_closed = False
        self.dropped = 0

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    def offer(self, item: Item) -> None:
        """Put ``item`` at the end; never blocks."""
        if self._is_closed:
            return
        self.dropped += len(self._items) == self._items.maxlen
        self._items.append(item)
        self._ready.set()

    def __aiter__(self) -> Feed[Item]:
        """Return the feed itself."""
        return self

    async def __anext__(self) -> Item:
        """Return the next item, waiting for it; what waited when it closed is still given."""
        while not self._items:
            if self._is_closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._items.popleft()

    def close(self) -> None:
        """Take nothing more; twice is as good as once."""
        if self._is_closed:
            return
        self._is_closed = True
        self._ready.set()
        self._on_close(self)


class Fan(Generic[Item]):
    """Hands each item to every reader's feed."""

    def __init__(self) -> None:
        """Start without readers."""
        self._feeds: set[Feed[Item]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many readers there are."""
        return len(self._feeds)

    def subscribe(self, capacity: int) -> Feed[Item]:
        """Return a new feed; one that is closed already if the source is."""
        feed: Feed[Item] = Feed(capacity, self._feeds.discard)
        self._feeds.add(feed)
        if self._is_closed:
            feed.close()
        return feed

    def offer(self, item: Item) -> None:
        """Hand ``item`` to every reader."""
        for feed in tuple(self._feeds):
            feed.offer(item)

    def close(self) -> None:
        """End every feed, now and later."""
        self._is_closed = True
        for feed in tuple(self._feeds):
            feed.close()
