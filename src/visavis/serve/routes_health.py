"""What pages and machines ask of the server itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from visavis.motion.controls import EMOTIONS, RANGES
from visavis.render.quality import QUALITIES
from visavis.serve.context import SECURED, Caller, ServerNow
from visavis.serve.failures import declared
from visavis.serve.routes_avatars import as_model
from visavis.serve.schemas import ConfigModel, HealthModel, IceServerModel, LimitsModel
from visavis.serve.settings import ServerSettings
from visavis.serve.stage import SOUND_RATE
from visavis.types import MOTION_FPS
from visavis.version import __version__

router = APIRouter(tags=["server"])
_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/healthz")
async def health(server: ServerNow) -> HealthModel:
    """Tell that the server lives."""
    return HealthModel(status="ok", sessions=len(server.sessions))


@router.get("/readyz", responses={503: {"model": HealthModel}})
async def ready(server: ServerNow, response: Response) -> HealthModel:
    """Tell whether the server takes a session now."""
    admission = server.sessions.admission
    is_full = len(admission) >= admission.limits.sessions
    status = "draining" if admission.is_draining else "full" if is_full else "ready"
    response.status_code = 200 if status == "ready" else 503
    return HealthModel(status=status, sessions=len(server.sessions))


@router.get(
    "/metrics", dependencies=SECURED, response_class=Response, responses={**declared(), **_TEXT}
)
async def metrics(server: ServerNow) -> Response:
    """Return the numbers that Prometheus reads."""
    return Response(server.sessions.gauges.text(), media_type="text/plain; version=0.0.4")


@router.get("/api/config", dependencies=SECURED, responses=declared())
async def config(server: ServerNow, caller: Caller) -> ConfigModel:
    """Return what a page needs to know before it connects."""
    settings, stage = server.settings, server.stage
    low, high = RANGES["energy"]
    return ConfigModel(
        version=__version__,
        avatars=[as_model(face) for face in stage.avatars.of(caller)],
        default_avatar=stage.avatars[None].id,
        ice_servers=ice_servers(settings),
        disclosure=settings.disclosure,
        badge="" if stage.policy.badge == "off" else stage.policy.badge_text,
        is_badge_drawn=stage.policy.badge == "video",
        emotions=list(EMOTIONS),
        gazes=["viewer", "away", "free"],
        energy=[low, high],
        qualities=list(QUALITIES),
        quality=settings.quality,
        size=[settings.size, settings.size],
        fps=MOTION_FPS,
        sound_rate=SOUND_RATE,
        agents=list(server.sessions.partners.names),
        agent=server.sessions.partners.default,
        has_voice=stage.voices.voice is not None,
        is_consent_required=settings.require_consent,
        limits=_limits(server),
    )


def ice_servers(settings: ServerSettings) -> list[IceServerModel]:
    """Return the ICE servers as browsers take them."""
    return [
        IceServerModel(urls=list(one.urls), username=one.username, credential=one.credential)
        for one in settings.ice_servers
    ]


def _limits(server: ServerNow) -> LimitsModel:
    """Return how much is taken."""
    settings = server.settings
    return LimitsModel(
        max_upload_bytes=settings.max_upload_bytes,
        max_message_bytes=settings.max_message_bytes,
        max_sessions=server.sessions.admission.limits.sessions,
        max_session_s=settings.max_session_s,
        idle_s=settings.idle_s,
    )
