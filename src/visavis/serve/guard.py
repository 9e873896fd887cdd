"""The gate that every request passes: host, origin, key or token, size and pace of its body.

It stands before the framework reads anything, so that nobody without a key can make the server
take in a body. It also gives the request its number, writes the log's line, and sends the headers
that forbid a browser to do with our pages what they are not made for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visavis.serve.failures import answer
from visavis.serve.keys import Credentials, Keys, Tokens, new_id
from visavis.serve.settings import ServerSettings
from visavis.timing import Stopwatch

_LOG = logging.getLogger("visavis.access")
_SMALL_BODY = 2**20
_DIGITS = 12
_UPLOADS = ("/api/avatars", "/audio")
_OPEN = ("/api/openapi.json",)
_PRIVATE = ("/api/", "/whep/", "/metrics")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:; font-src 'self'; "
    "worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=()",
}


class Guard:
    """ASGI middleware round the whole application."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, keys: Keys, tokens: Tokens) -> None:
        """Let through to ``app`` what ``keys`` and ``tokens`` open."""
        self._app = app
        self._settings = settings
        self._keys = keys
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request or WebSocket and pass it on, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, send)
        scope.setdefault("state", {})
        scope["state"]["request_id"] = visit.request_id
        scope["state"]["credentials"] = self.credentials(scope)
        refusal = self._refusal(scope)
        try:
            if refusal is None:
                await self._app(scope, self._metered(scope, receive), visit.send)
            else:
                await visit.refuse(receive, *refusal)
        finally:
            visit.log()

    def credentials(self, scope: Scope) -> Credentials:
        """Return what the request's key or token opens; secrets of neither kind open nothing."""
        headers = Headers(scope=scope)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = [
            bearer.strip() if scheme.lower() == "bearer" else "",
            headers.get("x-api-key", ""),
            query.get("token", [""])[0],
        ]
        holders = [name for secret in given if secret and (name := self._keys.holder(secret))]
        opened = [one for secret in given if secret and (one := self._tokens.session_of(secret))]
        return Credentials(next(iter(holders), None), next(iter(opened), None))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and message if the request must not pass."""
        headers = Headers(scope=scope)
        known = self._settings.known_hosts
        host = headers.get("host", "")
        if "*" not in known and _host_of(f"//{host}")[0] not in known:
            return 421, "This server is not known by that host name; see its setting `hosts`."
        if not self._is_own_origin(scope, headers, host):
            return 403, "Pages of that origin may not do this; see the setting `cors_origins`."
        path, who = scope["path"], scope["state"]["credentials"]
        is_open = not path.startswith(_PRIVATE) or path in _OPEN or scope.get("method") == "OPTIONS"
        if self._keys.are_needed and not is_open and not _opens(who, path):
            return 401, "Give an API key: Authorization: Bearer KEY, or X-API-Key: KEY."
        length = headers.get("content-length", "0")
        is_number = length.isascii() and length.isdigit() and len(length) < _DIGITS
        if not is_number or int(length) > self._most(scope):
            return 413, f"The body is too large; at most {self._most(scope)} bytes are taken."
        return None

    def _is_own_origin(self, scope: Scope, headers: Headers, host: str) -> bool:
        """Tell whether what changes something comes from our page or an allowed one."""
        origin = headers.get("origin")
        if origin is None or scope.get("method") in ("GET", "HEAD", "OPTIONS"):
            return True
        allowed = self._settings.cors_origins
        return "*" in allowed or origin in allowed or _host_of(origin)[1] == host

    def _most(self, scope: Scope) -> int:
        """Return how many bytes the body of the request may have."""
        is_upload = scope["path"].endswith(_UPLOADS)
        return self._settings.max_upload_bytes if is_upload else _SMALL_BODY

    def _metered(self, scope: Scope, receive: Receive) -> Receive:
        """Return ``receive`` that counts the body and does not wait for ever."""
        if scope["type"] != "http":
            return receive
        watch, most, patience_s = Stopwatch(), self._most(scope), self._settings.body_s
        taken = 0
        is_complete = False

        async def metered() -> Message:
            nonlocal taken, is_complete
            if is_complete:
                return await receive()
            left_s = max(0.0, patience_s - watch.elapsed_s())
            try:
                message = await asyncio.wait_for(receive(), left_s)
            except asyncio.TimeoutError:
                raise HTTPException(408, f"The body took longer than {patience_s} s.") from None
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413, f"The body is too large; at most {most} bytes are taken.")
            is_complete = not message.get("more_body", False)
            return message

        return metered


def _opens(who: Credentials, path: str) -> bool:
    """Tell whether ``who`` may go to ``path``: a key goes everywhere, a token to its session."""
    if who.holder is not None:
        return True
    mine = (f"/api/sessions/{who.session_id}", f"/whep/{who.session_id}", "/api/offer")
    return who.session_id is not None and path.startswith(mine)


def _host_of(address: str) -> tuple[str, str]:
    """Return the host's name in ``address``, and with its port; "" where there is none."""
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.netloc
    except ValueError:
        return "", ""


class _Visit:
    """One request on its way: its number, its answer's status, and how long it took."""

    def __init__(self, scope: Scope, send: Send) -> None:
        """Begin the visit."""
        self.request_id = new_id()[:16]
        self._scope = scope
        self._send = send
        self._status = 0
        self._watch = Stopwatch()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass ``message`` on, with our headers in the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self.request_id
            if self._status in (408, 413):
                headers["Connection"] = "close"
        await self._send(message)

    async def refuse(self, receive: Receive, status: int, message: str) -> None:
        """Answer without asking the application."""
        if self._scope["type"] == "websocket":
            await receive()
            await self.send({"type": "websocket.close", "code": 1008, "reason": message[:100]})
            return
        response = answer(status, message, self.request_id)
        await response(self._scope, receive, self.send)

    def log(self) -> None:
        """Write the line of the visit: no query (it may hold a token), no body, no name."""
        route = self._scope.get("route")
        place = getattr(route, "path", None) or "(other)"
        _LOG.info(
            "%s %s %d",
            self._scope.get("method", "WEBSOCKET"),
            place,
            self._status,
            extra={
                "request_id": self.request_id,
                "milliseconds": round(self._watch.elapsed_s() * 1000, 1),
                "status": self._status,
            },
        )
