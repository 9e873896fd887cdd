"""Things made ahead of their use by a thread of their own: a clip is drawn while the next is made.

U-Net and decoder run on two cores like that (LLIA's pipeline), beside whoever writes the frames.
What is made, and its order, stay what they are: each thread works alone, a few items ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from visavis.types import Frame, Motion

Item = TypeVar("Item")

_FRAMES = 2
"""Pictures that wait to be written."""


def ahead(items: Iterable[Item], count: int = 1) -> Iterator[Item]:
    """Yield ``items``, up to ``count`` of them made ahead by a thread.

    What making them raises is raised here, after those made before. Closing this ends the thread.
    """
    source, end = iter(items), object()
    worker = ThreadPoolExecutor(1, "visavis-ahead")
    made: deque[Future[Item | object]] = deque()
    try:
        while True:
            while len(made) <= count:
                made.append(worker.submit(next, source, end))
            item = made.popleft().result()
            if item is end:
                return
            made.append(worker.submit(next, source, end))
            yield item  # type: ignore[misc]
    finally:
        worker.shutdown(cancel_futures=True)
        if isinstance(source, Generator):
            source.close()  # it may have a thread of its own


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
