"""What the routes share: the server's parts, and who a request comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from visavis.serve.keys import Credentials, Keys
from visavis.serve.live import LiveSession
from visavis.serve.peers import Peers
from visavis.serve.schemas import ID_PATTERN
from visavis.serve.sending import Sending
from visavis.serve.sessions import Sessions
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage


@dataclass(frozen=True)
class Server:
    """The parts of one server."""

    settings: ServerSettings
    stage: Stage
    sessions: Sessions
    peers: Peers
    sending: Sending
    keys: Keys


def server_of(connection: HTTPConnection) -> Server:
    """Return the parts of the server that ``connection`` came to."""
    server: Server = connection.app.state.server
    return server


def credentials_of(connection: HTTPConnection) -> Credentials:
    """Return what the connection's key or token opens, as the guard found it."""
    found: Credentials = connection.scope["state"]["credentials"]
    return found


def caller_of(connection: HTTPConnection) -> str:
    """Return who asks, for counting: the API key's name, or the address where there is none."""
    holder = credentials_of(connection).holder
    if holder is not None:
        return f"key {holder}"
    return f"address {connection.client.host if connection.client else 'unknown'}"


def may_enter(connection: HTTPConnection, session_id: str) -> bool:
    """Tell whether the connection's token opens the session, or its key opened it."""
    found = credentials_of(connection)
    if found.session_id == session_id:
        return True
    sessions = server_of(connection).sessions
    return found.holder is not None and sessions.is_open_to(session_id, caller_of(connection))


def check_key(connection: HTTPConnection) -> None:
    """Refuse who has no API key where keys are needed.

    Raises:
        HTTPException: 401.
    """
    if server_of(connection).keys.are_needed and credentials_of(connection).holder is None:
        raise HTTPException(401, "A new session needs an API key: Authorization: Bearer KEY.")


def session_of(
    connection: HTTPConnection, session_id: Annotated[str, Path(pattern=ID_PATTERN)]
) -> LiveSession:
    """Return the session of the path, for those who may enter.

    Raises:
        HTTPException: 401, the token does not open that session (or did once).
    """
    if not may_enter(connection, session_id):
        raise HTTPException(401, "Give the session's token: Authorization: Bearer TOKEN.")
    return server_of(connection).sessions[session_id]


SECURED = [
    Depends(HTTPBearer(auto_error=False, description="An API key, or a session's token.")),
    Depends(APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key.")),
]
"""Says in the API's description what serve/guard.py has checked before."""
ServerNow = Annotated[Server, Depends(server_of)]
Caller = Annotated[str, Depends(caller_of)]
Entered = Annotated[LiveSession, Depends(session_of)]
