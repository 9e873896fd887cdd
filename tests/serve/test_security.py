"""What must not work: foreign files, no key, foreign origins, too much, too slow, replayed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from loopback import Running, bearer, running  # noqa: E402

import visavis  # noqa: E402
from visavis.opening import DEMO_PORTRAIT  # noqa: E402
from visavis.serve import patience  # noqa: E402

KEY, OTHER = "a-key-of-sixteen+", "another-key-of-it"
PACKAGE = Path(visavis.__file__).parent
ESCAPES = [
    "/../settings.py", "/../../../../../../etc/passwd", "/%2e%2e/settings.py",
    "/..%2f..%2fapi.py", "/%2e%2e%2f%2e%2e%2fapi.py", "//etc/passwd", "/..\\settings.py",
    "/%5c..%5csettings.py", "/.%00./settings.py", "/api/avatars/..%2f..%2fapi.py/picture",
    "/api/avatars/%2e%2e/picture", "/whep/../../etc/passwd", "/static/../settings.py",
    "/index.html/../../settings.py", "/%252e%252e/settings.py", "/\u2025/settings.py",
]  # fmt: skip


async def raw(server: Running, data: bytes, wait_s: float = 5.0) -> bytes:
    """Send ``data`` over a plain connection and return all that comes back."""
    host, port = server.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), wait_s)
    finally:
        writer.close()


def request(method: str, path: str, *headers: str, body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Watch:
    """Sees every file that Python opens while it is on."""

    def __init__(self) -> None:
        self.is_on = False
        self.opened: set[str] = set()
        sys.addaudithook(self._note)

    def _note(self, event: str, given: tuple[Any, ...]) -> None:
        if self.is_on and event == "open" and isinstance(given[0], (str, bytes)):
            name = given[0]
            self.opened.add(name.decode("utf-8", "replace") if isinstance(name, bytes) else name)

    @contextmanager
    def __call__(self) -> Iterator[set[str]]:
        self.is_on = True
        try:
            yield self.opened
        finally:
            self.is_on = False


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def test_no_file_outside_its_folder_can_be_read_or_written(watch: Watch, tmp_path: Path) -> None:
    async def play() -> None:
        async with running(consent=str(tmp_path / "consent")) as server:
            opened = await server.open()
            with watch() as seen:
                for path in ESCAPES:
                    answer = await raw(server, request("GET", path))
                    assert b" 200 " not in answer.split(b"\r\n")[0] or b"<!doctype" in answer[:4000]
                    assert b"from __future__" not in answer
                    assert b"root:" not in answer
                for name in ("../../x", "/etc/x", "x" * 400):
                    form = {"consent_who": name, "consent_statement": name}
                    await server.client.post(
                        "/api/avatars",
                        files={"portrait": (name, DEMO_PORTRAIT.read_bytes())},
                        data=form,
                    )
                    sound = {"sound": (name, b"no sound")}
                    address = f"/api/sessions/{opened['session_id']}/audio"
                    await server.client.post(address, files=sound, headers=bearer(opened))
            allowed = (
                str(PACKAGE),
                str(tmp_path),
                "/tmp/",
                sys.prefix,
                sys.base_prefix,
                "/etc/mime.types",
            )
            written = {p for p in seen if not p.startswith(allowed) and p.startswith("/")}
            assert written == set()
            assert all("etc/passwd" not in path for path in seen)
            kept = {path.name for path in (tmp_path / "consent").iterdir()}
            assert all(
                name in ("consent.key", "audit.log", "audit.log.lock") or len(name) == 32
                for name in kept
            ), kept

    asyncio.run(play())


def test_nothing_but_the_page_and_the_health_is_open_without_a_key() -> None:
    async def play() -> None:
        async with running(api_keys=(KEY, OTHER)) as server:
            spec = (await server.client.get("/api/openapi.json")).json()
            tried = 0
            for path, methods in spec["paths"].items():
                if path in ("/healthz", "/readyz"):
                    continue
                address = path
                for name in ("session_id", "avatar_id", "viewer_id"):
                    address = address.replace("{" + name + "}", "0" * 32)
                for method in methods:
                    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}):
                        answer = await server.client.request(method, address, headers=headers)
                        assert answer.status_code == 401, (method, address, answer.text)
                        tried += 1
            assert tried > 40
            assert (await server.client.get("/")).status_code == 200
            assert (await server.client.get("/healthz")).status_code == 200
            for headers in ({"X-API-Key": KEY}, {"Authorization": f"bearer {OTHER}"}):
                assert (await server.client.get("/metrics", headers=headers)).status_code == 200

    asyncio.run(play())


def test_a_key_opens_only_what_it_opened() -> None:
    async def play() -> None:
        async with running(api_keys=(KEY, OTHER), sessions_per_caller=1) as server:
            ann, bob = {"X-API-Key": KEY}, {"X-API-Key": OTHER}
            opened = (await server.client.post("/api/sessions", headers=ann)).json()
            address = f"/api/sessions/{opened['session_id']}"
            assert (await server.client.get(address, headers=ann)).status_code == 200
            assert (await server.client.get(address, headers=bob)).status_code == 401
            assert (await server.client.get(address, headers=bearer(opened))).status_code == 200
            assert (await server.client.get(f"{address}?token={opened['token']}")).is_success
            more = await server.client.post("/api/sessions", headers=ann)
            assert (more.status_code, more.json()["error"]) == (429, "too_many")
            for method, path, body in [
                ("POST", "/api/sessions", None), ("GET", "/api/config", None),
                ("GET", "/metrics", None), ("GET", "/api/avatars", None),
                ("POST", "/api/offer", {"sdp": "x", "type": "offer"}),
            ]:  # fmt: skip
                answer = await server.client.request(
                    method, path, json=body, headers=bearer(opened)
                )
                assert answer.status_code == 401, f"a token is no key: {path}"
            files = {"portrait": ("x", DEMO_PORTRAIT.read_bytes())}
            face = (await server.client.post("/api/avatars", files=files, headers=ann)).json()
            listed = (await server.client.get("/api/avatars", headers=bob)).json()["avatars"]
            assert face["id"] not in [one["id"] for one in listed]
            gone = await server.client.delete(f"/api/avatars/{face['id']}", headers=bob)
            assert gone.status_code == 403

    asyncio.run(play())


def test_the_token_of_a_closed_session_opens_nothing() -> None:
    async def play() -> None:
        async with running() as server:
            first, second = await server.open(), await server.open()
            address = f"/api/sessions/{first['session_id']}"
            assert (await server.client.get(address, headers=bearer(second))).status_code == 401
            await server.client.delete(address, headers=bearer(first))
            for method in ("GET", "DELETE"):
                replayed = await server.client.request(method, address, headers=bearer(first))
                assert replayed.status_code == 401
            offer = {"sdp": "x", "type": "offer", "session_id": first["session_id"]}
            answer = await server.client.post("/api/offer", json=offer, headers=bearer(first))
            assert answer.status_code == 401

    asyncio.run(play())


def test_too_much_is_refused_before_it_is_taken() -> None:
    async def play() -> None:
        async with running(max_upload_bytes=50_000) as server:
            long = "Content-Length: 99999999999"
            for path in ("/api/avatars", "/api/sessions", "/api/offer"):
                answer = await raw(server, request("POST", path, long, "Content-Type: x/y"))
                assert b" 413 " in answer.split(b"\r\n")[0], answer
            for bad in ("-1", "x", "1e3", "१", "²", "9" * 5_000, "1, 2"):
                answer = await raw(
                    server, request("POST", "/api/sessions", f"Content-Length: {bad}")
                )
                assert answer.split(b" ")[1] in (b"400", b"413"), answer

            part = '--b\r\nContent-Disposition: form-data; name="portrait"; filename="x"\r\n\r\n'
            form = ("Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked")
            chunk = f"{len(part):x}\r\n{part}\r\n" + ("1000\r\n" + "x" * 4096 + "\r\n") * 13
            answer = await raw(server, request("POST", "/api/avatars", *form, body=chunk))
            assert b" 413 " in answer.split(b"\r\n")[0], answer
            assert b'"too_large"' in answer

    asyncio.run(play())


def test_slow_bodies_and_slow_headers_are_answered_and_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "HEADERS_S", 0.4)

    async def play() -> None:
        async with running(body_s=1) as server:
            began = b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            answer = await raw(server, began)
            assert answer.startswith(b"HTTP/1.1 408")
            assert (await raw(server, b"")).startswith(b"HTTP/1.1 408")
            whole = began + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
            answer = await raw(server, whole)
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b'"timeout"' in answer
            assert (await server.client.get("/healthz")).status_code == 200

    asyncio.run(play())


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\x00" * 100,
    b"GET / HTTP/x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    request("POST", "/api/sessions", "Transfer-Encoding: chunked", body="zz\r\n"),
]  # fmt: skip


def test_malformed_requests_are_answered_and_dropped() -> None:
    async def play() -> None:
        async with running() as server:
            for data in MALFORMED:
                answer = await raw(server, data)
                assert answer.split(b" ")[1][:1] == b"4", (data[:60], answer)
                assert b"Traceback" not in answer
            assert (await server.client.get("/healthz")).status_code == 200

    asyncio.run(play())


def test_other_hosts_and_origins_are_refused() -> None:
    async def play() -> None:
        async with running(cors_origins=("https://good.example",)) as server:
            for host in ("evil.example", "[::1", "127.0.0.1.evil.example", "", "a b"):
                answer = await server.client.get("/api/config", headers={"Host": host})
                assert answer.status_code in (400, 421), host
            for origin, status in [
                ("https://evil.example", 403), ("null", 403), ("http://[", 403), ("//", 403),
                ("https://good.example", 201), (server.address, 201),
            ]:  # fmt: skip
                answer = await server.client.post("/api/sessions", headers={"Origin": origin})
                assert answer.status_code == status, origin
                allowed = answer.headers.get("access-control-allow-origin")
                assert (allowed == origin) == (origin == "https://good.example")
            asked = {
                "Origin": "https://evil.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "Authorization",
            }
            preflight = await server.client.options("/api/sessions", headers=asked)
            assert "access-control-allow-origin" not in preflight.headers

    asyncio.run(play())


def test_the_page_may_run_nothing_but_its_own_files() -> None:
    async def play() -> None:
        async with running() as server:
            page = await server.client.get("/")
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["x-content-type-options"] == "nosniff"
            assert "<script>" not in page.text
            assert "style=" not in page.text

    asyncio.run(play())


def test_logs_hold_no_secret_no_name_and_nothing_that_was_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            token, base = opened["token"], f"/api/sessions/{opened['session_id']}"
            await server.client.get(f"{base}?token={token}")
            await server.client.post(f"{base}/say?token={token}", json={"text": "my secret"})
            await server.client.get("/my/secret/path?token=abc")
            files = {"portrait": ("secret.png", b"secret")}
            await server.client.post("/api/avatars", files=files)
            await server.client.delete(base, headers=bearer(opened))
            ours = [r.getMessage() for r in caplog.records if r.name != "httpx"]
            assert token not in repr(ours)
            assert "secret" not in repr(ours)
            assert "session opened" in ours

    asyncio.run(play())


def test_a_bug_is_answered_with_a_number_and_the_log_has_the_rest(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        async with running() as server:
            monkeypatch.setattr(server.parts.stage.avatars, "of", None)
            answer = await server.client.get("/api/avatars")
            assert (answer.status_code, answer.json()["error"]) == (500, "failed")
            assert "NoneType" not in answer.text
            number = answer.json()["request_id"]
            assert number in answer.json()["message"]
            logged = [r for r in caplog.records if getattr(r, "request_id", "") == number]
            assert any(r.exc_info for r in logged)

    asyncio.run(play())
