"""How many sessions, for whom: pure decisions on counts and a time that the caller gives.

A full server answers at once and says when to come back; it never lets a session in that would
slow the others down.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from visavis.errors import ServerFull

_MINUTE_NS = 60 * 10**9
_CALLERS = 4_096
SOONEST_S, LATEST_S = 2, 60
"""Bounds of what is said of when to come back."""


class Refused(ServerFull):
    """Not admitted. ``code`` is "busy", "draining" or "too_many"; come back in ``retry_s``."""

    def __init__(self, code: str, message: str, retry_s: int) -> None:
        """Say why, and when to ask again."""
        super().__init__(message)
        self.code = code
        self.retry_s = retry_s


@dataclass(frozen=True)
class Limits:
    """``sessions`` at a time in all and ``each`` caller, ``starts`` a minute for each caller."""

    sessions: int
    each: int
    starts: int
    longest_s: int


@dataclass
class Admission:
    """Who is in. Times ``now_ns`` are of any clock that does not run backwards."""

    limits: Limits
    _open: dict[str, tuple[str, int]] = field(default_factory=dict)
    _starts: OrderedDict[str, deque[int]] = field(default_factory=OrderedDict)
    _is_draining: bool = False

    def __len__(self) -> int:
        """Return how many sessions are in."""
        return len(self._open)

    @property
    def is_draining(self) -> bool:
        """Tell whether nobody is let in any more."""
        return self._is_draining

    def drain(self) -> None:
        """Let nobody in from now on."""
        self._is_draining = True

    def admit(self, session_id: str, caller: str, now_ns: int) -> None:
        """Let ``session_id`` of ``caller`` in.

        Raises:
            Refused: the server is full or closing, or the caller has or asks too much.
        """
        if self._is_draining:
            raise Refused("draining", "The server is closing; use another one.", LATEST_S)
        self.count(caller, now_ns)
        mine = [since for owner, since in self._open.values() if owner == caller]
        if len(mine) >= self.limits.each:
            raise Refused(
                "too_many",
                f"You have {len(mine)} sessions open, as many as one caller may; close one.",
                self._wait_s(min(mine), now_ns),
            )
        if len(self._open) >= self.limits.sessions:
            first = min((since for _, since in self._open.values()), default=now_ns)
            raise Refused(
                "busy",
                f"All {self.limits.sessions} places are taken; come back later.",
                self._wait_s(first, now_ns),
            )
        self._open[session_id] = (caller, now_ns)

    def count(self, caller: str, now_ns: int) -> None:
        """Count one costly request of ``caller``.

        Raises:
            Refused: it asked ``limits.starts`` times within a minute already.
        """
        asked = self._starts.setdefault(caller, deque())
        self._starts.move_to_end(caller)
        while len(self._starts) > _CALLERS:
            self._starts.popitem(last=False)
        while asked and asked[0] <= now_ns - _MINUTE_NS:
            asked.popleft()
        if len(asked) >= self.limits.starts:
            wait_s = -(-(asked[0] + _MINUTE_NS - now_ns) // 10**9)
            raise Refused("too_many", "That was asked too often; slow down.", int(max(1, wait_s)))
        asked.append(now_ns)

    def release(self, session_id: str) -> None:
        """Take ``session_id`` off the list; one that is not on it is no error."""
        self._open.pop(session_id, None)

    def _wait_s(self, since_ns: int, now_ns: int) -> int:
        """Return when the session that began at ``since_ns`` must be over, within the bounds."""
        left_s = self.limits.longest_s - (now_ns - since_ns) // 10**9
        return int(min(max(left_s, SOONEST_S), LATEST_S))
