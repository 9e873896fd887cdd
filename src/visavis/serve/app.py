"""The HTTP application: routes, the guard round them, and what lives as long as the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from visavis.machine import cpu_threads
from visavis.serve import (
    routes_avatars,
    routes_health,
    routes_outputs,
    routes_sessions,
    routes_socket,
    routes_webrtc,
)
from visavis.serve.context import Server
from visavis.serve.failures import install
from visavis.serve.guard import Guard
from visavis.serve.keys import Keys
from visavis.serve.peers import Peers, tune
from visavis.serve.sending import Sending
from visavis.serve.sessions import Sessions
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import Stage
from visavis.version import __version__

PAGE = Path(__file__).parent / "page"
_ROUTERS = (routes_health, routes_avatars, routes_sessions, routes_outputs, routes_webrtc)


def make_app(settings: ServerSettings, stage: Stage) -> FastAPI:
    """Return the application that serves ``stage``; it opens the stage when it starts.

    ``app.state.server`` holds its parts.
    """
    app = FastAPI(
        title="Visavis",
        summary="One portrait and a voice become a person who speaks to you.",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_life,
    )
    sessions = Sessions(settings, stage)
    peers = Peers(stage.voices, settings.ice_servers)
    keys = Keys(settings.api_keys)
    sending = Sending(settings, stage.policy)
    sessions.when_opened.append(sending.start_usual)
    app.state.server = Server(settings, stage, sessions, peers, sending, keys)
    install(app)
    for routes in _ROUTERS:
        app.include_router(routes.router)
    app.include_router(routes_socket.router)
    app.mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False), name="page")
    app.add_middleware(Guard, settings=settings, keys=keys, tokens=sessions.tokens)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "X-API-Key", "Content-Type"],
        expose_headers=["Location", "Link", "Retry-After", "X-Request-ID"],
    )
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    """Open the stage, measure what it carries, serve, and close everything."""
    server: Server = app.state.server
    tune(server.settings.bitrate)
    await server.stage.open()
    if not server.settings.max_sessions:
        server.sessions.make_room(await server.stage.capacity(cpu_threads()))
    try:
        yield
    finally:
        await server.sessions.drain(0)
        await server.peers.close()
        await server.sending.close()
        server.stage.close()
