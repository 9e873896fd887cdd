"""A live session moved and drawn by Ditto's networks, tiny and random."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from visavis.api import load
from visavis.stream.moments import Moment
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.types import Phase, Portrait


def test_a_session_speaks_listens_and_is_interrupted(
    tiny: dict[str, Path], portrait: Portrait, speech: np.ndarray
) -> None:
    animator = load(live=True, model=tiny["ditto"], steps=2)
    prepared = animator.prepare(portrait, (128, 128))

    async def talk() -> tuple[list[Moment], list[Moment]]:
        crew = Crew(1)
        try:
            settings = Settings(is_paced=False, sound_rate=16_000)
            async with Session(animator, prepared, crew, settings) as session:
                session.push_audio(speech[:16_000], 16_000)
                session.end_audio()
                frames = aiter(session)
                spoken = [await anext(frames) for _ in range(6)]
                session.interrupt()
                session.push_user_audio(speech[:3_200], 16_000)
                return spoken, [await anext(frames) for _ in range(6)]
        finally:
            crew.close()

    spoken, after = asyncio.run(asyncio.wait_for(talk(), 120))
    assert [moment.index for moment in spoken + after] == list(range(12))
    assert {moment.phase for moment in spoken} == {Phase.SPEAKING}
    assert after[-1].phase is Phase.LISTENING
    assert not after[-1].sound.any()
    points = np.concatenate([m.motion.keypoints for m in spoken + after if m.motion is not None])
    assert points.shape == (12, 21, 3)
    assert np.abs(np.diff(points, axis=0)).max() > 0
