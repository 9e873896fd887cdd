"""The sessions of one server: who is let in, which token opens what, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass

from visavis.serve.admission import Admission, Limits, Refused
from visavis.serve.avatars import Avatar
from visavis.serve.failures import UnknownSession
from visavis.serve.gauges import Gauges
from visavis.serve.keys import Tokens, new_id
from visavis.serve.live import LiveSession, Terms
from visavis.serve.partners import Partners
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage
from visavis.timing import SYSTEM, Clock

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What a caller wants: which face, how drawn, with whom to talk; None: the server's default."""

    avatar_id: str | None = None
    quality: str | None = None
    seed: int | None = None
    agent: str | None = None


@dataclass(frozen=True)
class Opened:
    """A session that was let in, and the key to it."""

    live: LiveSession
    token: str
    avatar: Avatar
    agent: str


class Sessions:
    """Opens sessions and keeps them until they end."""

    def __init__(self, settings: ServerSettings, stage: Stage, clock: Clock = SYSTEM) -> None:
        """Open sessions on ``stage``; ``clock`` tells how often somebody asks."""
        self.tokens = Tokens()
        self.gauges = Gauges(lambda: len(self._live), self._waiting_s)
        self.partners = Partners(settings, stage.voices)
        self.when_opened: list[Callable[[LiveSession], None]] = []
        self._settings = settings
        self._stage = stage
        self._clock = clock
        self._live: dict[str, LiveSession] = {}
        self._owners: dict[str, str] = {}
        self.admission = Admission(self._limits(settings.max_sessions or 1))

    def _limits(self, sessions: int) -> Limits:
        """Return the limits with room for ``sessions``."""
        told = self._settings
        return Limits(
            sessions, told.sessions_per_caller, told.starts_per_minute, told.max_session_s
        )

    def make_room(self, measured: int) -> None:
        """Take as many sessions as the settings say, or else ``measured``."""
        self.admission.limits = self._limits(self._settings.max_sessions or measured)

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self._live)

    def __getitem__(self, session_id: str) -> LiveSession:
        """Return the open session ``session_id``.

        Raises:
            UnknownSession: there is none.
        """
        if session_id not in self._live:
            raise UnknownSession("There is no session with that id (any more).")
        return self._live[session_id]

    def is_open_to(self, session_id: str, caller: str) -> bool:
        """Tell whether ``caller`` is who opened ``session_id``."""
        return self._owners.get(session_id) == caller

    def count(self, caller: str) -> None:
        """Count a costly request of ``caller``.

        Raises:
            Refused: it asks too often.
        """
        self.admission.count(caller, self._clock.now_ns())

    async def open(self, wish: Wish, caller: str) -> Opened:
        """Start a session for ``caller``.

        Raises:
            Refused: no place, or asked too often.
            InputError: there is no such face or partner.
        """
        avatar = self._stage.avatars[wish.avatar_id]
        agent = self.partners.check(wish.agent)
        session_id = new_id()
        self._admit(session_id, caller)
        with ExitStack() as undo:
            undo.callback(self.admission.release, session_id)
            live = await self._started(session_id, avatar, wish, agent)
            undo.pop_all()
        self._owners[session_id] = caller
        live.when_over(lambda why: self._closed(session_id, why))
        for call in self.when_opened:
            call(live)
        _LOG.info("session opened", extra={"session": session_id})
        return Opened(live, self.tokens.issue(session_id), avatar, agent)

    def _admit(self, session_id: str, caller: str) -> None:
        """Let the session in, or count that it was not."""
        try:
            self.admission.admit(session_id, caller, self._clock.now_ns())
        except Refused as refused:
            self.gauges.refused.labels(refused.code).inc()
            raise

    async def _started(
        self, session_id: str, avatar: Avatar, wish: Wish, agent: str
    ) -> LiveSession:
        """Return the session, started."""
        told = self._settings
        quality = wish.quality or told.quality
        seed = told.seed if wish.seed is None else wish.seed
        session = await self._stage.session(avatar, quality, seed)
        policy = self._stage.policy
        badge_text = "" if policy.badge == "off" else policy.badge_text
        terms = Terms(
            told.max_session_s,
            told.idle_s,
            told.unwatched_s,
            told.disclosure,
            badge_text,
            self._stage.badge(),
            avatar.facts,
        )
        live = LiveSession(session_id, session, terms, self.gauges)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(live.close, "failed")
            await live.start()
            await self.partners.join(agent, live, session)
            undo.pop_all()
        self._live[session_id] = live
        return live

    def _closed(self, session_id: str, why: str) -> None:
        """Forget a session that is over."""
        self._live.pop(session_id, None)
        self._owners.pop(session_id, None)
        self.tokens.revoke(session_id)
        self.admission.release(session_id)
        self.gauges.ended.labels(why).inc()
        _LOG.info("session closed", extra={"session": session_id, "reason": why})

    async def drain(self, most_s: float) -> None:
        """Let nobody in, wait ``most_s`` for those inside to end, then end them."""
        self.admission.drain()
        until = self._clock.now_ns() + round(most_s * 1e9)
        for live in self._live.values():
            live.tell({"type": "session.state_updated", "state": "closing", "reason": "draining"})
        while self._live and self._clock.now_ns() < until:
            await self._clock.sleep_until(min(until, self._clock.now_ns() + 200_000_000))
        await asyncio.gather(*(live.close("draining") for live in tuple(self._live.values())))

    def _waiting_s(self) -> float:
        """Return the seconds of sound that wait in all sessions together."""
        return sum(live.numbers().get("queue_s", 0.0) for live in self._live.values())
