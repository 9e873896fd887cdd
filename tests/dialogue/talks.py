"""A conversation in a real session whose frames the test takes one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visavis.dialogue.base import Dialogue, Happened
from visavis.stream.moments import Moment
from visavis.stream.session import Session, Settings

RATE = 16_000
SILENCE = np.zeros(RATE, np.float32)


class ToneVoice:
    """A voice for tests: each letter is 40 ms of a tone, a word in Russian cannot be spoken."""

    rate = 24_000

    def speak(self, text: str) -> Iterator[np.ndarray]:
        if "Ж" in text:
            raise ValueError("no such letter")
        samples = int(0.04 * self.rate * len(text))
        if samples:
            yield (0.3 * np.sin(np.arange(samples) / 20)).astype(np.float32)


@dataclass
class Talk:
    """What the test holds: the session, the conversation and all that happened."""

    session: Session
    dialogue: Dialogue
    happened: list[Happened]
    moments: AsyncIterator[Moment]
    sound: list[np.ndarray] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.happened]

    def told(self, kind: str) -> list[Happened]:
        return [event for event in self.happened if event.kind == kind]

    async def frames(self, count: int) -> list[Moment]:
        """Take the next ``count`` frames."""
        taken = []
        for _ in range(count):
            taken.append(await anext(self.moments))
            self.sound.append(taken[-1].sound)
        return taken

    async def frames_until(self, is_so: Callable[[Moment], bool], most: int = 600) -> list[Moment]:
        """Take frames until one for which ``is_so``."""
        taken = []
        for _ in range(most):
            taken += await self.frames(1)
            if is_so(taken[-1]):
                return taken
        raise AssertionError(f"not within {most} frames")

    async def until(self, kind: str, times: int = 1, timeout_s: float = 8.0) -> Happened:
        """Wait until ``kind`` has happened ``times`` times."""

        async def waiting() -> None:
            while len(self.told(kind)) < times:
                await asyncio.sleep(0.005)

        await asyncio.wait_for(waiting(), timeout_s)
        return self.told(kind)[times - 1]

    async def hear(self, sound: np.ndarray, piece: int = 1600) -> None:
        """Play ``sound`` to the microphone."""
        for i in range(0, len(sound), piece):
            self.dialogue.hear(sound[i : i + piece], RATE)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def talking(
    parts: tuple[Any, Any, Any], make: Callable[[Session, Callable[[Happened], None]], Dialogue]
) -> AsyncIterator[Talk]:
    """Open a session of ``parts`` (animator, prepared, crew) that is as fast as its frames are
    taken, and the conversation that ``make`` returns.
    """
    happened: list[Happened] = []
    session = Session(*parts, Settings(sound_rate=RATE, is_paced=False))
    async with session:
        dialogue = make(session, happened.append)
        async with dialogue:
            yield Talk(session, dialogue, happened, aiter(session))
