"""A session as plain HTTP video, and what else it is sent to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from visavis.serve.admission import Refused
from visavis.serve.context import SECURED, Entered, ServerNow
from visavis.serve.failures import declared
from visavis.serve.feeds import Feed
from visavis.serve.live import LiveSession
from visavis.serve.outputs import fmp4, mjpeg
from visavis.serve.schemas import ID_PATTERN, OutputModel, OutputRequest, OutputsModel
from visavis.serve.sending import Output
from visavis.stream.moments import Moment

router = APIRouter(prefix="/api/sessions/{session_id}", tags=["outputs"], dependencies=SECURED)
OutputId = Annotated[str, Path(pattern=ID_PATTERN)]
MOST_FEEDS = 24
_WAITING = 12


def _binary(kind: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of an endless answer of type ``kind``."""
    content = {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}}
    return {**declared(404), 200: {"description": "until the session ends", "content": content}}


@router.get(
    "/picture.mjpeg", response_class=StreamingResponse, responses=_binary(mjpeg.CONTENT_TYPE)
)
async def as_mjpeg(live: Entered) -> StreamingResponse:
    """Watch without sound in an `<img>`, with `?token=`."""
    return _stream(live, 2, mjpeg.mjpeg, mjpeg.CONTENT_TYPE)


@router.get("/video.mp4", response_class=StreamingResponse, responses=_binary(fmp4.CONTENT_TYPE))
async def as_mp4(live: Entered) -> StreamingResponse:
    """Watch and hear in a `<video>`, with `?token=`: fragmented MP4, as long as it lasts."""
    return _stream(live, _WAITING, fmp4.fmp4, fmp4.CONTENT_TYPE)


def _stream(
    live: LiveSession,
    capacity: int,
    encode: Callable[[AsyncIterator[Moment]], AsyncIterator[bytes]],
    kind: str,
) -> StreamingResponse:
    """Return an answer that goes on until the session or the client ends."""
    if live.viewers >= MOST_FEEDS:
        raise Refused("too_many", "Enough viewers are connected already.", 5)
    body = _body(live.subscribe(capacity), encode)
    return StreamingResponse(body, media_type=kind, headers={"Cache-Control": "no-store"})


async def _body(
    feed: Feed[Moment], encode: Callable[[AsyncIterator[Moment]], AsyncIterator[bytes]]
) -> AsyncIterator[bytes]:
    """Yield what ``encode`` makes of ``feed``, and close it whatever ends it."""
    try:
        async for data in encode(feed):
            yield data
    finally:
        feed.close()


def _as_model(output: Output) -> OutputModel:
    """Return what is told of ``output``."""
    return OutputModel(output_id=output.output_id, kind=output.kind)


@router.get("/outputs", responses=declared(404))
async def list_outputs(server: ServerNow, live: Entered) -> OutputsModel:
    """List where the session is recorded or pushed to."""
    return OutputsModel(outputs=[_as_model(one) for one in server.sending.of(live)])


@router.post("/outputs", status_code=201, responses=declared(403, 404, 409))
async def start_output(server: ServerNow, live: Entered, given: OutputRequest) -> OutputModel:
    """Record the session, or push it to a media server that the operator allows."""
    return _as_model(server.sending.start(live, given.to, given.token))


@router.delete("/outputs/{output_id}", status_code=204, responses=declared(404))
async def stop_output(server: ServerNow, live: Entered, output_id: OutputId) -> None:
    """Stop a recording or a push; what was recorded is completed."""
    if not server.sending.stop(live, output_id):
        raise HTTPException(404, "There is no output with that id (any more).")
