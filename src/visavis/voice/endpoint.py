"""The address of a server that speaks OpenAI's HTTP dialect, and what its refusals mean.

Keys go into the header of a request and nowhere else: not into messages, logs or ``repr``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from visavis.errors import InputError, MissingExtra, ModelError

if TYPE_CHECKING:
    import httpx

_MEANINGS = {
    400: "it does not accept the request",
    401: "the key is missing or wrong",
    403: "the key may not do this",
    404: "there is no such model or address",
    413: "the request is too large",
    429: "too many requests, or no credit left",
}
CONNECT_S, READ_S = 5.0, 20.0
_LONGEST_REASON = 160


@dataclass(frozen=True)
class Endpoint:
    """``url`` up to and with its version (``https://host/v1``), and a key if it wants one."""

    url: str
    key: str | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Return host and port, for messages."""
        return urlsplit(self.url).netloc

    def headers(self) -> dict[str, str]:
        """Return what proves who asks."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def refused(self, status: int, body: bytes) -> ModelError:
        """Return the error for an answer of ``status`` with ``body``."""
        kind = "its own fault" if status >= 500 else "it does not accept the request"
        reason = self.hidden(_reason(body)) if status not in (401, 403) else ""
        meaning = _MEANINGS.get(status, kind) + (f": {reason}" if reason else "")
        return ModelError(f"The server {self.place} answered {status} ({meaning}).")

    def unreachable(self, error: Exception) -> ModelError:
        """Return the error for a connection that failed with ``error``."""
        return ModelError(
            f"The server {self.place} does not answer ({type(error).__name__}). "
            "Check its address and that it runs."
        )

    def hidden(self, text: str) -> str:
        """Return ``text`` in one short line without the key."""
        line = " ".join(text.split())
        return (line.replace(self.key, "…") if self.key else line)[:_LONGEST_REASON]


def endpoint(address: str, key: str | None = None, schemes: tuple[str, ...] = ()) -> Endpoint:
    """Return the endpoint at ``address``; ``/v1`` is added to an address without a path.

    Raises:
        InputError: that is no address of one of ``schemes`` (http and https by default).
    """
    allowed = schemes or ("http", "https")
    parts = urlsplit(address)
    if parts.scheme not in allowed or not parts.hostname or parts.username or parts.query:
        raise InputError(
            f"{parts.scheme}://{parts.hostname or ''} is no address of a server. Give "
            f"{allowed[-1]}://HOST[:PORT][/PATH], without a name, a password or a query in it."
        )
    path = parts.path.rstrip("/") or "/v1"
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}", key)


def split_name(name: str, kind: str) -> tuple[str, str]:
    """Return what is left and right of the first @ in ``name``.

    Raises:
        InputError: one of them is missing; ``kind`` is how the name is written.
    """
    what, _, address = name.partition("@")
    if not what or not address:
        raise InputError(f"{name!r} does not say both what and where. Write {kind}.")
    return what, address


def http() -> Any:
    """Return the module httpx.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra('Asking a server needs httpx: pip install "visavis[agents]"') from error
    return httpx


def patience() -> httpx.Timeout:
    """Return how long to wait for a server."""
    timeout: httpx.Timeout = http().Timeout(READ_S, connect=CONNECT_S)
    return timeout


def _reason(body: bytes) -> str:
    """Return what OpenAI's error object says, "" if the body is none."""
    try:
        told = json.loads(body)
        reason = told["error"]["message"] if isinstance(told["error"], dict) else told["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return reason if isinstance(reason, str) else ""
