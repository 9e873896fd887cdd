"""What stands behind the HTTP: faces, animators, the crew that draws, and the voice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from visavis.animator import MotionAnimator, Prepared
from visavis.api import load
from visavis.dialogue.join import listening
from visavis.provenance.badge import Badge, make_badge
from visavis.provenance.policy import Policy
from visavis.render.quality import DEFAULT_QUALITY
from visavis.serve.avatars import Avatar, Avatars
from visavis.serve.consents import Consents
from visavis.serve.settings import ServerSettings
from visavis.serve.voices import Voices
from visavis.stream.session import Session
from visavis.stream.settings import Settings
from visavis.stream.worker import Crew
from visavis.timing import Stopwatch
from visavis.types import MOTION_FPS

SOUND_RATE = 48_000
"""What is heard leaves a session at this rate: Opus's own."""
_ENCODE_MS = 6.0
"""What sending one frame costs beside drawing it: VP8 and Opus at 512 pixels."""
_MEASURED_S, _LONGEST_S = 2, 10.0
_SHARE = 0.8
"""How much of the processor sessions may be measured to take."""


class Stage:
    """Opens sessions on shared weights; a face is prepared once for each quality."""

    def __init__(
        self, settings: ServerSettings, policy: Policy, crew: Crew, voices: Voices
    ) -> None:
        """Draw with ``crew``, speak text with ``voices``, say of origin what ``policy`` says."""
        records = None if settings.consent is None else Path(settings.consent)
        consents = Consents(records, settings.require_consent)
        self.avatars = Avatars(settings.max_avatars, consents)
        self.voices = voices
        self.policy = policy
        self.crew = crew
        self._settings = settings
        self._animators: dict[str, MotionAnimator] = {}
        self._prepared: WeakKeyDictionary[Avatar, dict[str, Prepared]] = WeakKeyDictionary()
        self._turn = asyncio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """Open the faces and prepare the first of them, so that the first session starts at once.

        Nothing is left to do the second time.

        Raises:
            InputError: the folder of avatars, or what is said of consent, cannot be used.
            ModelError: there is no such model, or its files are not here or not right.
            MissingExtra: the model needs a package that is not installed.
        """
        if self._is_open:
            return
        folder = self._settings.avatars
        await self.avatars.open_all(None if folder is None else Path(folder))
        await self.prepare(self.avatars[None], self._settings.quality)
        await asyncio.to_thread(listening)
        self._is_open = True

    def badge(self) -> Badge | None:
        """Return what is drawn into the pictures of a session, if anything."""
        if self.policy.badge != "video":
            return None
        return make_badge((self._settings.size, self._settings.size), self.policy)

    async def prepare(self, avatar: Avatar, quality: str) -> tuple[MotionAnimator, Prepared]:
        """Return what draws ``avatar`` at ``quality``, made on first use, one at a time.

        Published networks (``model``) have one quality only.
        """
        model = self._settings.model
        quality = quality if model is None else DEFAULT_QUALITY
        async with self._turn:
            if quality not in self._animators:
                made = await asyncio.to_thread(load, live=True, quality=quality, model=model)
                self._animators[quality] = made
            animator = self._animators[quality]
            prepared = self._prepared.setdefault(avatar, {})
            if quality not in prepared:
                side = (self._settings.size, self._settings.size)
                ready = await asyncio.to_thread(animator.prepare, avatar.portrait, side)
                prepared[quality] = ready
            return animator, prepared[quality]

    async def session(self, avatar: Avatar, quality: str, seed: int) -> Session:
        """Return a session of ``avatar`` that is not started yet."""
        animator, prepared = await self.prepare(avatar, quality)
        settings = Settings(seed=seed, sound_rate=SOUND_RATE)
        return Session(animator, prepared, self.crew, settings)

    async def capacity(self, threads: int) -> int:
        """Return how many sessions ``threads`` processor threads carry, measured on two seconds.

        Every frame is counted as one of speech, and as sent to one viewer.
        """
        animator, prepared = await self.prepare(self.avatars[None], self._settings.quality)
        noise = np.random.default_rng(0).normal(0, 0.1, _MEASURED_S * SOUND_RATE)
        settings = Settings(sound_rate=SOUND_RATE, is_paced=False)
        async with Session(animator, prepared, self.crew, settings) as session:
            session.push_audio(noise.astype(np.float32), SOUND_RATE)
            session.end_audio()
            watch, frames = Stopwatch(), 0
            async for _ in session:
                frames += 1
                if frames == _MEASURED_S * MOTION_FPS or watch.elapsed_s() > _LONGEST_S:
                    break
            frame_ms = 1000 * watch.elapsed_s() / frames + _ENCODE_MS
        return max(1, int(_SHARE * threads * 1000 / MOTION_FPS / frame_ms))

    def close(self) -> None:
        """Let the crew go."""
        self.crew.close()
