"""What the server says of itself (OpenAPI) against what it does: Schemathesis on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from loopback import SMALL, Buzz  # noqa: E402
from schemathesis import Case  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from visavis.provenance.policy import Policy  # noqa: E402
from visavis.serve.run import make_server  # noqa: E402
from visavis.serve.settings import ServerSettings  # noqa: E402
from visavis.serve.stage import Stage  # noqa: E402
from visavis.serve.voices import Voices  # noqa: E402
from visavis.stream.worker import Crew  # noqa: E402

KEY = "the-key-of-this-test"
AUTH = {"Authorization": f"Bearer {KEY}"}
EXAMPLES = int(os.environ.get("VISAVIS_EXAMPLES", "8"))
ENDLESS = (".mjpeg", ".mp4")
BY_CONTENT = (
    "/api/avatars",
    "/audio",
    "/api/offer",
    "/whep/{session_id}",
    "/{viewer_id}",
    "/outputs",
)
"""Operations that judge a file or an SDP, which no schema can describe."""


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def as_text(context: Any, value: Any) -> bytes:
    """Send what is generated for an SDP as text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with a key on a thread of its own."""
    changes = {"api_keys": (KEY,), "starts_per_minute": 100_000, "max_sessions": 40}
    told = ServerSettings(**{**SMALL, **changes, "unwatched_s": 2, "sessions_per_caller": 40})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = threading.Event()
        servers: list[Any] = []

        async def serve() -> None:
            server = make_server(told, Stage(told, Policy(), Crew(1), Voices(Buzz())))
            servers.append(server)
            serving = asyncio.create_task(server.serve([listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            ready.set()
            await serving

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        assert ready.wait(30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        servers[0].should_exit = True
        thread.join(20)


def opened(address: str) -> dict[str, Any]:
    answer = httpx.post(f"{address}/api/sessions", headers=AUTH)
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


def examine(operation: Any, session: dict[str, Any]) -> int:
    """Send what the description allows, and what it forbids; return how often."""
    tried = 0

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    def check(case: Case) -> None:
        nonlocal tried
        tried += 1
        headers = dict(AUTH)
        if operation.path.endswith(ENDLESS):
            pass  # with a session that is there they never end
        elif "{session_id}" in operation.path and tried % 2 and case.path_parameters:
            case.path_parameters["session_id"] = session["session_id"]
            headers = {"Authorization": f"Bearer {session['token']}"}
        left_out = [positive_data_acceptance] * operation.path.endswith(BY_CONTENT)
        case.call_and_validate(headers=headers, timeout=20, excluded_checks=left_out)

    check()
    return tried


def test_every_operation_does_what_the_description_says(address: str) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/api/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    tried = [examine(operation, opened(address)) for operation in operations]
    assert len(tried) >= 24
    assert sum(tried) > len(tried) * EXAMPLES // 3


def test_the_description_is_complete(address: str) -> None:
    spec = httpx.get(f"{address}/api/openapi.json").json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["description"], place
            answers = operation["responses"]
            if path not in ("/healthz", "/readyz"):
                assert {"401", "422", "429"} <= set(answers), place
                assert operation["security"], place
            for status, answer in answers.items():
                if status != "204":
                    assert answer.get("content"), (place, status)
