"""The server as a process: TLS, logs in JSON, and a graceful end at SIGTERM."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")

from loopback import bearer, running  # noqa: E402

from visavis.errors import InputError, OutputError, VisavisError  # noqa: E402
from visavis.provenance.policy import Policy  # noqa: E402
from visavis.serve.logs import JsonFormatter  # noqa: E402
from visavis.serve.run import make_server, serve  # noqa: E402
from visavis.serve.settings import ServerSettings  # noqa: E402
from visavis.serve.stage import Stage  # noqa: E402
from visavis.serve.voices import Voices  # noqa: E402
from visavis.stream.worker import Crew  # noqa: E402

PROGRAM = """
import sys
import time
from visavis.serve.run import serve
from visavis.serve.settings import ServerSettings
settings = ServerSettings(port=int(sys.argv[1]), size=64, quality="draft", max_sessions=2,
                          voice="none", drain_s=int(sys.argv[2]))
serve(settings, lambda address: print(address, flush=True))
print("ended", flush=True)
"""


@contextmanager
def process(drain_s: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, str(port), str(drain_s)]
    environment = {**os.environ, "VISAVIS_PROVENANCE": "off"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


def test_sigterm_lets_sessions_end_and_nobody_in_and_then_closes() -> None:
    with process(drain_s=2) as (server, address):
        opened = httpx.post(f"{address}api/sessions").json()
        server.send_signal(signal.SIGTERM)
        for _ in range(100):
            ready = httpx.get(f"{address}readyz")
            if ready.json()["status"] == "draining":
                break
        assert ready.status_code == 503
        refused = httpx.post(f"{address}api/sessions")
        assert (refused.status_code, refused.json()["error"]) == (503, "draining")
        path = f"{address}api/sessions/{opened['session_id']}"
        assert httpx.get(path, headers=bearer(opened)).json()["state"] == "connected"
        out, log = server.communicate(timeout=20)
        assert server.returncode == 0
        assert out.strip() == "ended"
        lines = [json.loads(line) for line in log.splitlines()]
        assert {"time", "level", "logger", "message"} <= set(lines[0])
        closed = [line for line in lines if line["message"] == "session closed"]
        assert [line["reason"] for line in closed] == ["draining"]
        assert opened["token"] not in log


def test_a_drained_server_does_not_wait_for_nobody() -> None:
    with process(drain_s=600) as (server, _):
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
        assert server.returncode == 0


def certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for 127.0.0.1 and its key; return their paths."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_a_signal_while_it_starts_ends_it_without_a_word(after_s: float) -> None:
    command = [sys.executable, "-c", PROGRAM, "0", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        time.sleep(1.0 + after_s)
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=20)
        assert server.returncode in (0, -signal.SIGTERM)
        assert b"Traceback" not in log


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServerSettings(port=taken.getsockname()[1], log_format="text", voice="none")
        with pytest.raises(OutputError, match="another one"):
            serve(settings)


@pytest.mark.parametrize("wrong", [{"model": "horse"}, {"avatars": "/no/where"}])
def test_what_cannot_be_opened_is_told_as_what_it_is(wrong: dict[str, str]) -> None:
    settings = replace(ServerSettings(port=0, log_format="text", voice="none"), **wrong)
    before = threading.active_count()
    with pytest.raises(VisavisError, match=r"horse|/no/where"):
        serve(settings)
    assert threading.active_count() == before


def test_tls(tmp_path: Path) -> None:
    async def play() -> None:
        cert, key = certificate(tmp_path)
        async with running(tls_cert=cert, tls_key=key) as server:
            assert server.address.startswith("https")
            assert (await server.client.get("/healthz")).json()["status"] == "ok"

    asyncio.run(play())


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.pem"
    path.write_text("no certificate")
    settings = ServerSettings(tls_cert=str(path), tls_key=str(path))
    crew = Crew(1)
    with pytest.raises(InputError, match="TLS"):
        make_server(settings, Stage(settings, Policy(), crew, Voices(None)))
    crew.close()


def test_a_record_is_one_line_of_json_with_its_traceback() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "%d things", (3,), sys.exc_info())
    record.request_id = "abc"
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["message"], line["level"], line["request_id"]) == ("3 things", "error", "abc")
    assert "ValueError" in line["traceback"]
