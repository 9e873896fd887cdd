"""``visavis serve``: the application on uvicorn, with limits of patience and a graceful end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import uvicorn

from visavis.errors import InputError, OutputError
from visavis.provenance.policy import read_policy
from visavis.serve.app import make_app
from visavis.serve.logs import configure
from visavis.serve.patience import PatientProtocol
from visavis.serve.sessions import Sessions
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage
from visavis.serve.voices import Voices
from visavis.stream.worker import Crew

_LOG = logging.getLogger(__name__)
_CLOSE_S = 5
_LOOK_S = 0.05
_PING_S = 10.0
_MOST_CONNECTIONS = 1_000


class DrainingServer(uvicorn.Server):
    """A server that ends in two steps: at the first signal it drains, at the second it closes."""

    def __init__(self, config: uvicorn.Config, sessions: Sessions, drain_s: float) -> None:
        """Serve what ``config`` says; ``sessions`` get ``drain_s`` to end."""
        super().__init__(config)
        self._sessions = sessions
        self._drain_s = drain_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self.should_exit = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal; whoever sends another one wants it over."""
        if self._loop is None or self._draining is not None or not self.started:
            super().handle_exit(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._begin_to_drain)

    def _begin_to_drain(self) -> None:
        """Start to wait for the sessions, once."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        """Let nobody in, wait for those inside, close."""
        _LOG.info("draining %d sessions", len(self._sessions))
        await self._sessions.drain(self._drain_s)
        self.should_exit = True


def make_server(settings: ServerSettings, stage: Stage) -> DrainingServer:
    """Return the server of ``stage``, not started.

    Raises:
        InputError: the certificate or its key cannot be read.
    """
    app = make_app(settings, stage)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=PatientProtocol,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_CLOSE_S,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise InputError(f"The TLS certificate or its key cannot be used: {error}.") from error
    return DrainingServer(config, app.state.server.sessions, settings.drain_s)


def serve(settings: ServerSettings, ready: Callable[[str], None] | None = None) -> None:
    """Serve until told to end; ``ready`` hears the address once connections are taken.

    Raises:
        InputError: a setting cannot be used. OutputError: the port cannot be had.
        ModelError: there is no such model, or its files are not here or not right.
        MissingExtra: the model needs a package that is not installed.
    """
    with _listening(settings) as listener:
        configure(settings.log_format)
        asyncio.run(_serve(settings, listener, ready))


async def _serve(
    settings: ServerSettings, listener: socket.socket, ready: Callable[[str], None] | None
) -> None:
    """Serve what comes to ``listener``."""
    stage = Stage(
        settings,
        settings.policy(read_policy()),
        Crew(),
        Voices.named(settings.voice, settings.voice_key),
    )
    with ExitStack() as stopped:
        stopped.callback(stage.close)
        server = make_server(settings, stage)
        await stage.open()  # uvicorn would log what is wrong with a traceback, and exit with 3
        stopped.pop_all()
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{scheme}://{host}:{listener.getsockname()[1]}/"
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(_LOOK_S)
    if server.started and ready is not None:
        ready(address)
    await serving


def _listening(settings: ServerSettings) -> socket.socket:
    """Return a socket that takes connections for the server.

    Raises:
        OutputError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        raise OutputError(
            f"Port {settings.port} of {settings.host} cannot be had ({error.strerror}). "
            "Stop what uses it, or choose another one."
        ) from error
