"""WebRTC signalling: the offer endpoint of SmallWebRTC clients (interfaces.md 3.2), and WHEP.

WHEP is draft-ietf-wish-whep-03 with the client's offer: POST, then PATCH for candidates, DELETE.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException

from visavis.errors import InputError
from visavis.serve.context import SECURED, Caller, Entered, ServerNow, check_key, may_enter
from visavis.serve.failures import declared
from visavis.serve.peers import Peer
from visavis.serve.schemas import (
    ID_PATTERN,
    MOST_SDP,
    AnswerModel,
    CandidateModel,
    CandidatesRequest,
    DoneModel,
    OfferRequest,
)
from visavis.serve.sessions import Wish
from visavis.serve.settings import IceServer

router = APIRouter(tags=["webrtc"], dependencies=SECURED)
_SDP, _FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
_MOST_CANDIDATES = 64
_LINE = re.compile(r"^a=(candidate|mid|end-of-candidates):?(.*)$")
ViewerId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.post("/api/offer", responses=declared(404, 409, 503))
async def offer(
    request: Request, server: ServerNow, caller: Caller, given: OfferRequest
) -> AnswerModel:
    """Answer a WebRTC offer: to an open session, or to a new one of an avatar."""
    known = None if given.pc_id is None else server.peers.of(given.pc_id)
    if known is not None and not given.restart_pc:
        _check_entry(request, server, known.live.session_id, given.pc_id)
        return AnswerModel(
            sdp=await known.answer(given.sdp), pc_id=known.pc_id, session_id=known.live.session_id
        )
    if known is not None:
        _check_entry(request, server, known.live.session_id, given.pc_id)
        await known.close()
        live, token = known.live, None
    elif given.session_id is not None:
        _check_entry(request, server, given.session_id, None)
        live, token = server.sessions[given.session_id], None
    else:
        check_key(request)
        opened = await server.sessions.open(Wish(avatar_id=given.avatar_id), caller)
        live, token = opened.live, opened.token
    try:
        pc_id, sdp = await server.peers.offer(live, given.sdp)
    except InputError:
        if token is not None:
            await live.close("refused")
        raise
    return AnswerModel(sdp=sdp, pc_id=pc_id, session_id=live.session_id, token=token)


def _check_entry(request: Request, server: ServerNow, session_id: str, pc_id: str | None) -> None:
    """Refuse who holds neither the session's token, nor its key, nor (without keys) a ``pc_id``."""
    is_known_by_id = pc_id is not None and not server.keys.are_needed
    if not is_known_by_id and not may_enter(request, session_id):
        raise HTTPException(401, "Give the session's token: Authorization: Bearer TOKEN.")


@router.patch("/api/offer", responses=declared(404))
async def add_candidates(
    request: Request, server: ServerNow, given: CandidatesRequest
) -> DoneModel:
    """Add ICE candidates that were found after the offer."""
    peer = server.peers.of(given.pc_id)
    if peer is None:
        raise HTTPException(404, "There is no connection with that pc_id (any more).")
    _check_entry(request, server, peer.live.session_id, given.pc_id)
    await peer.add(given.candidates)
    return DoneModel()


_SDP_BODY = {
    "requestBody": {
        "required": True,
        "content": {_SDP: {"schema": {"type": "string", "minLength": 1}}},
    }
}
_SDP_ANSWER: dict[int | str, dict[str, Any]] = {
    201: {
        "description": "the answer",
        "content": {_SDP: {"schema": {"type": "string"}}},
        "headers": {
            "Location": {"schema": {"type": "string"}},
            "Link": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/whep/{session_id}",
    status_code=201,
    response_class=Response,
    openapi_extra=_SDP_BODY,
    responses={**declared(404, 409, 415), **_SDP_ANSWER},
)
async def watch(request: Request, server: ServerNow, live: Entered) -> Response:
    """Watch a session with any WHEP player."""
    sdp = await _text(request, _SDP)
    pc_id, answer = await server.peers.offer(live, sdp)
    links = [link for one in server.settings.ice_servers for link in ice_links(one)]
    headers = {"Location": f"/whep/{live.session_id}/{pc_id}", "Accept-Patch": _FRAGMENT}
    if links:
        headers["Link"] = ", ".join(links)
    return Response(answer, 201, headers, media_type=_SDP)


_FRAGMENT_BODY = {
    "requestBody": {
        "required": True,
        "content": {_FRAGMENT: {"schema": {"type": "string", "minLength": 1}}},
    }
}


@router.patch(
    "/whep/{session_id}/{viewer_id}",
    status_code=204,
    openapi_extra=_FRAGMENT_BODY,
    responses=declared(404, 415),
)
async def add_fragment(
    request: Request, server: ServerNow, live: Entered, viewer_id: ViewerId
) -> None:
    """Add ICE candidates of a WHEP player (RFC 8840)."""
    peer = _viewer(server, live.session_id, viewer_id)
    await peer.add(fragment_candidates(await _text(request, _FRAGMENT)))


@router.delete("/whep/{session_id}/{viewer_id}", responses=declared(404))
async def stop_watching(server: ServerNow, live: Entered, viewer_id: ViewerId) -> DoneModel:
    """End the connection of a WHEP player; the session goes on."""
    await _viewer(server, live.session_id, viewer_id).close()
    return DoneModel()


def _viewer(server: ServerNow, session_id: str, viewer_id: str) -> Peer:
    """Return the connection ``viewer_id`` of that session."""
    peer = server.peers.of(viewer_id, session_id)
    if peer is None:
        raise HTTPException(404, "There is no viewer with that id (any more).")
    return peer


async def _text(request: Request, kind: str) -> str:
    """Return the body as text, if it is of ``kind``."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != kind:
        raise HTTPException(415, f"Send {kind}.")
    text = (await request.body()).decode("utf-8", "replace")
    if not text or len(text) > MOST_SDP:
        raise InputError(f"The body is empty or longer than {MOST_SDP} characters.")
    return text


def fragment_candidates(text: str) -> list[CandidateModel]:
    """Return the candidates in an SDP fragment (RFC 8840 section 9), the mid of each with it."""
    found, mid = [], None
    for line in text.splitlines():
        match = _LINE.match(line.strip())
        if match is None:
            continue
        if match[1] == "mid":
            mid = match[2].strip()[:64]
            continue
        content = f"candidate:{match[2]}" if match[1] == "candidate" else ""
        found.append(CandidateModel(candidate=content[:2_000], sdp_mid=mid))
    return found[:_MOST_CANDIDATES]


def ice_links(server: IceServer) -> list[str]:
    """Return the Link headers of one ICE server (RFC 9725 section 4.6)."""
    secret = ""
    if server.username is not None:
        secret = (
            f'; username="{server.username}"; credential="{server.credential}"; '
            'credential-type="password"'
        )
    return [f'<{url}>; rel="ice-server"{secret}' for url in server.urls]
