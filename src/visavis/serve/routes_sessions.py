"""Sessions over HTTP: open, look at, speak, interrupt, close."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, UploadFile

from visavis.serve.context import SECURED, Caller, Entered, ServerNow
from visavis.serve.control import say as say_text
from visavis.serve.failures import declared
from visavis.serve.keys import new_id
from visavis.serve.schemas import (
    AcceptedModel,
    InterruptedModel,
    SayRequest,
    SessionModel,
    SessionRequest,
    StatsModel,
)
from visavis.serve.sessions import Opened, Wish
from visavis.serve.settings import ServerSettings
from visavis.serve.sounds import sound_pieces
from visavis.serve.stage import SOUND_RATE
from visavis.types import MOTION_FPS

router = APIRouter(prefix="/api/sessions", tags=["sessions"], dependencies=SECURED)


def wish_of(request: SessionRequest) -> Wish:
    """Return what ``request`` wants of a session."""
    return Wish(request.avatar_id, request.quality, request.seed, request.agent)


def as_model(opened: Opened, settings: ServerSettings) -> SessionModel:
    """Return what is told of a session that was just opened."""
    session_id = opened.live.session_id
    return SessionModel(
        session_id=session_id,
        token=opened.token,
        avatar_id=opened.avatar.id,
        disclosure=opened.live.terms.disclosure,
        badge=opened.live.terms.badge_text,
        size=[settings.size, settings.size],
        fps=MOTION_FPS,
        sound_rate=SOUND_RATE,
        agent=opened.agent,
        max_session_s=settings.max_session_s,
        idle_s=settings.idle_s,
        ws=f"/api/sessions/{session_id}/ws",
        whep=f"/whep/{session_id}",
    )


@router.post("", status_code=201, responses=declared(404, 409, 503))
async def open_session(
    server: ServerNow, caller: Caller, request: SessionRequest | None = None
) -> SessionModel:
    """Open a session. Connect within `unwatched_s` seconds, or it is closed again."""
    opened = await server.sessions.open(wish_of(request or SessionRequest()), caller)
    return as_model(opened, server.settings)


@router.get("/{session_id}", responses=declared(404))
async def look_at_session(live: Entered) -> StatsModel:
    """Return how the session is doing."""
    numbers = live.numbers()
    return StatsModel(
        session_id=live.session_id,
        state=live.state,
        phase=live.phase,
        age_s=live.age_s,
        viewers=live.viewers,
        frames=int(numbers.get("frames", 0)),
        late_frames=int(numbers.get("late_frames", 0)),
        detail=numbers,
    )


@router.delete("/{session_id}", status_code=204, responses=declared(404))
async def close_session(live: Entered) -> None:
    """Close the session; its token opens nothing any more."""
    await live.close("deleted")


@router.post("/{session_id}/say", status_code=202, responses=declared(404, 409, 501))
async def say(server: ServerNow, live: Entered, request: SayRequest) -> AcceptedModel:
    """Speak a text with the server's voice."""
    event_id = say_text(live.person, server.stage.voices, request.text, request.event_id)
    return AcceptedModel(event_id=event_id)


@router.post("/{session_id}/audio", status_code=202, responses=declared(400, 404, 409))
async def speak_file(
    live: Entered,
    sound: Annotated[UploadFile, File(description="WAV, MP3, M4A, Ogg, Opus, FLAC …")],
) -> AcceptedModel:
    """Speak an uploaded recording."""
    event_id = new_id()
    live.person.say(event_id, await sound_pieces(await sound.read()))
    return AcceptedModel(event_id=event_id)


@router.post("/{session_id}/interrupt", responses=declared(404, 409))
async def interrupt(live: Entered) -> InterruptedModel:
    """Stop speaking at once; the answer says how far it came."""
    stopped = live.person.interrupt()
    return InterruptedModel(
        event_id=stopped.speech_id, position_s=stopped.position_s, dropped_s=stopped.dropped_s
    )
