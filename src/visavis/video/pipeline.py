"""Things made ahead of their use by a thread of their own: a clip is drawn while the next is made.

U-Net and decoder run on two cores like that (LLIA's pipeline), beside whoever writes the frames.
What is made, and its order, stay what they are: each thread works alone, a few items ahead.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from visavis.types import Frame, Motion

Item = TypeVar("Item")

_FRAMES = 2
"""Pictures that wait to be written."""
_POLL_S = 0.1
"""How soon a thread that waits sees that nobody wants more."""


@dataclass(frozen=True)
class _End:
    """There is no more, because of ``error`` if that is not None."""

    error: BaseException | None = None


class _Maker(Generic[Item]):
    """A thread that makes items, and a queue from which they are taken."""

    def __init__(self, items: Iterable[Item], count: int) -> None:
        """Begin to make ``items``, ``count`` of them waiting at most."""
        self._items = items
        self._made: queue.Queue[Item | _End] = queue.Queue(count)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="visavis-ahead", daemon=True)
        self._thread.start()

    def take(self) -> Item | _End:
        """Return the next item, or the end."""
        return self._made.get()

    def close(self) -> None:
        """End the thread when the item it works at is made."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        """Make items until there are no more, or nobody wants them."""
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._put(_End(error))
        else:
            self._put(_End())
        finally:
            if isinstance(self._items, Generator):
                self._items.close()  # here, where it worked: it may have a thread of its own

    def _put(self, item: Item | _End) -> bool:
        """Hand ``item`` over; return whether it was wanted."""
        while not self._is_over.is_set():
            try:
                self._made.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


def ahead(items: Iterable[Item], count: int = 1) -> Iterator[Item]:
    """Yield ``items``, up to ``count`` (and one more) made ahead by a thread.

    What making them raises is raised here, after those made before.
    """
    maker = _Maker(items, count)
    try:
        while True:
            item = maker.take()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        maker.close()


def overlapped(
    moves: Iterable[tuple[int, Motion]], draw: Callable[[Motion, int], list[Frame]]
) -> Iterator[Frame]:
    """Yield the frames of ``moves`` (number of the first, motion), drawn by ``draw`` one by one.

    Motion is made by one thread and drawn by another.
    """

    def pictures() -> Iterator[Frame]:
        for first, motion in ahead(moves):
            for i in range(len(motion)):
                yield from draw(motion[i : i + 1], first + i)

    return ahead(pictures(), _FRAMES)
