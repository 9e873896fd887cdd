"""Who may do what: API keys that the operator gave out, and one token for each session.

Neither is kept: only SHA-256 digests are, so that a dump of the memory's tables opens nothing.
Keys are compared in constant time; tokens are found by the digest, which nobody can aim.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Credentials:
    """What a request may do: ``holder`` names its API key, ``session_id`` what its token opens."""

    holder: str | None = None
    session_id: str | None = None


def _digest(secret: str) -> bytes:
    """Return the SHA-256 of ``secret``."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Keys:
    """The API keys of a server; none at all means that none is asked for."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Keep the digests of ``keys``."""
        self._digests = tuple(_digest(key) for key in keys)

    @property
    def are_needed(self) -> bool:
        """Tell whether a request must carry a key."""
        return bool(self._digests)

    def holder(self, given: str) -> str | None:
        """Return the name of the key ``given`` (8 hex digits of its digest), None if unknown.

        All keys are compared, in constant time each, wherever the match is.
        """
        digest = _digest(given)
        matches = [known for known in self._digests if hmac.compare_digest(known, digest)]
        return matches[0].hex()[:8] if matches else None


class Tokens:
    """The tokens of open sessions; one dies with its session."""

    def __init__(self) -> None:
        """Start without any."""
        self._sessions: dict[bytes, str] = {}

    def issue(self, session_id: str) -> str:
        """Return a new token for ``session_id``: 256 random bits as 43 characters."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._sessions[_digest(token)] = session_id
        return token

    def session_of(self, token: str) -> str | None:
        """Return the session that ``token`` opens; None if it never did or is closed."""
        return self._sessions.get(_digest(token))

    def revoke(self, session_id: str) -> None:
        """Forget every token of ``session_id``."""
        kept = {digest: owner for digest, owner in self._sessions.items() if owner != session_id}
        self._sessions = kept

    def __len__(self) -> int:
        """Return how many tokens open something."""
        return len(self._sessions)


def new_id() -> str:
    """Return an identifier that cannot be guessed: 32 hex digits."""
    return secrets.token_hex(16)
