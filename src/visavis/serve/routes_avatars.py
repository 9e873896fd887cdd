"""Faces over HTTP: list, send in, show, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Path, Response, UploadFile

from visavis.serve.avatars import Avatar
from visavis.serve.consents import Agreed
from visavis.serve.context import SECURED, Caller, ServerNow
from visavis.serve.failures import declared
from visavis.serve.schemas import ID_PATTERN, AvatarModel, AvatarsModel

router = APIRouter(prefix="/api/avatars", tags=["avatars"], dependencies=SECURED)
AvatarId = Annotated[str, Path(pattern=ID_PATTERN)]
Line = Annotated[str | None, Form(max_length=2_000)]


def as_model(avatar: Avatar) -> AvatarModel:
    """Return what is told of ``avatar``."""
    width, height = avatar.size
    return AvatarModel(
        id=avatar.id,
        name=avatar.name,
        width=width,
        height=height,
        warnings=list(avatar.portrait.warnings),
        is_uploaded=avatar.is_uploaded,
        picture=f"/api/avatars/{avatar.id}/picture",
    )


@router.get("", responses=declared())
async def list_avatars(server: ServerNow, caller: Caller) -> AvatarsModel:
    """List the faces to choose from: the server's, and those that you sent in."""
    return AvatarsModel(avatars=[as_model(face) for face in server.stage.avatars.of(caller)])


@router.post("", status_code=201, responses=declared(400))
async def send_avatar(
    server: ServerNow,
    caller: Caller,
    portrait: Annotated[UploadFile, File(description="JPEG, PNG, WebP, HEIC, AVIF …")],
    consent_statement: Line = None,
    consent_who: Line = None,
) -> AvatarModel:
    """Send a portrait in. It is checked, framed, kept in memory, and shown to you alone."""
    server.sessions.count(caller)
    agreed = None
    if consent_who and consent_statement:
        agreed = Agreed(consent_who, consent_statement)
    return as_model(await server.stage.avatars.add(await portrait.read(), caller, agreed))


@router.get(
    "/{avatar_id}/picture",
    response_class=Response,
    responses={
        **declared(404),
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def show_avatar(server: ServerNow, avatar_id: AvatarId) -> Response:
    """Return the framed portrait as JPEG."""
    picture = server.stage.avatars[avatar_id].picture
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private"})


@router.delete("/{avatar_id}", status_code=204, responses=declared(403, 404))
async def delete_avatar(server: ServerNow, caller: Caller, avatar_id: AvatarId) -> None:
    """Delete a portrait that you sent in."""
    server.stage.avatars.forget(avatar_id, caller)
