"""Every error as JSON: one code for programs, one line for people, never a traceback or a path."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from visavis.errors import (
    InputError,
    MissingExtra,
    QueueFull,
    SessionClosed,
    SessionError,
    VisavisError,
)
from visavis.serve.admission import Refused
from visavis.serve.avatars import NotYours, UnknownAvatar
from visavis.serve.partners import UnknownPartner
from visavis.serve.schemas import Failure
from visavis.serve.sending import NotAllowed

_LOG = logging.getLogger(__name__)


class UnknownSession(SessionError):  # noqa: N818 - reads as what happened
    """No session has that identifier (any more)."""


CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "refused",
    413: "too_large",
    415: "unsupported_media",
    421: "wrong_host",
    422: "invalid",
    429: "too_many",
    500: "failed",
    501: "not_available",
    503: "busy",
}
_KINDS: tuple[tuple[type[VisavisError], int], ...] = (
    (UnknownAvatar, 404),
    (UnknownPartner, 404),
    (UnknownSession, 404),
    (NotYours, 403),
    (NotAllowed, 403),
    (MissingExtra, 501),
    (QueueFull, 429),
    (SessionClosed, 409),
    (SessionError, 409),
    (InputError, 422),
)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors ``statuses``, and of those of every request."""
    always = (401, 408, 413, 422, 429)
    return {
        status: {"model": Failure, "description": CODES[status].replace("_", " ")}
        for status in sorted({*always, *statuses})
    }


def answer(
    status: int, message: str, request_id: str, code: str = "", retry_s: int | None = None
) -> JSONResponse:
    """Return the JSON of one error."""
    failure = Failure(
        error=code or CODES.get(status, "failed"),
        message=message,
        request_id=request_id,
        retry_after_s=retry_s,
    )
    headers = {} if retry_s is None else {"Retry-After": str(retry_s)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(failure.model_dump(exclude_none=True), status, headers)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error in this form."""
    app.add_exception_handler(VisavisError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


def request_id_of(request: Request) -> str:
    """Return the number under which the log knows ``request``."""
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _refused(request: Request, error: Exception) -> Response:
    """Answer an error that was raised on purpose."""
    request_id = request_id_of(request)
    if isinstance(error, Refused):
        status = 429 if error.code == "too_many" else 503
        return answer(status, str(error), request_id, error.code, error.retry_s)
    status = next((code for kind, code in _KINDS if isinstance(error, kind)), 500)
    return answer(status, str(error), request_id, retry_s=1 if status == 429 else None)


async def _http(request: Request, error: Exception) -> Response:
    """Answer what the framework refused."""
    assert isinstance(error, HTTPException)
    response = answer(error.status_code, str(error.detail), request_id_of(request))
    response.headers.update(error.headers or {})
    return response


async def _invalid(request: Request, error: Exception) -> Response:
    """Answer a request that is not as the API describes it; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return answer(422, f"{place}: {first['msg']}.", request_id_of(request))


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer what nobody expected: a number for the client, the traceback for the log."""
    request_id = request_id_of(request)
    _LOG.error("request failed", exc_info=error, extra={"request_id": request_id})
    message = f"Something went wrong; the operator finds it in the log as {request_id}."
    return answer(500, message, request_id)
