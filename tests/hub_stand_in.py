"""A stand-in for the hub: an HTTP server that answers what ``huggingface_hub`` asks of it.

It serves the files of a folder as large files are served there: HEAD and GET of ``resolve`` tell
commit, size and SHA-256 and forward to another host, which gives ranges. Faults can be ordered.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class StandIn:
    """What the server does: serves ``folder`` as ``repository``, with the faults set here."""

    folder: Path
    repository: str = "somebody/something"
    revisions: tuple[str, ...] = (COMMIT, "main")
    url: str = ""
    cut_after: int | None = None
    """Bytes after which every answer with a body breaks off."""
    dies: bool = False
    """After the first cut, no request is answered."""
    holds: threading.Event | None = None
    """Where an answer is cut, its connection stays open in silence until this is set."""
    refuses: tuple[int, str] | None = None
    """A status, and what the hub's X-Error-Code would be."""
    lies: str = ""
    """"size" or "digest": the HEAD tells another one; "body": other bytes are sent."""
    token: str = ""
    """What must be in the Authorization header, if anything."""
    asked: list[str] = field(default_factory=list)
    """Every request: method, path, and the range asked for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandIn

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def _answer(self, has_body: bool) -> None:
        hub = self.hub
        hub.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if hub.dies and hub.cut_after == 0:
            self.close_connection = True
            return
        if self.path.startswith("/cdn/") and "Authorization" in self.headers:
            self._refuse(400, "TokenShownToStrangers")
        elif self.path.startswith("/cdn/"):
            self._send_file(hub.folder / self.path.removeprefix("/cdn/"), has_body)
        elif hub.refuses:
            self._refuse(*hub.refuses)
        elif hub.token and hub.token not in self.headers.get("Authorization", ""):
            self._refuse(401, "RepoNotFound")
        elif self.path == f"/api/models/{hub.repository}":
            self._send(200, {"Content-Type": "application/json"}, json.dumps({"sha": COMMIT}))
        elif self.path.startswith(f"/{hub.repository}/resolve/"):
            self._forward(self.path.split("/resolve/")[1])
        else:
            self._refuse(404, "RepoNotFound")

    def _forward(self, place: str) -> None:
        revision, path = place.split("/", 1)
        file = self.hub.folder / path
        if revision not in self.hub.revisions:
            self._refuse(404, "RevisionNotFound")
        elif not file.is_file():
            self._refuse(404, "EntryNotFound")
        else:
            told = hashlib.sha256(file.read_bytes()).hexdigest()
            size = file.stat().st_size + (self.hub.lies == "size")
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Etag": f'"{"f" * 64 if self.hub.lies == "digest" else told}"',
                "X-Linked-Size": str(size),
                "Location": f"{self.hub.url}/cdn/{path}".replace("127.0.0.1", "localhost"),
            }
            self._send(302, headers, "")

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": code}, "")

    def _send(self, status: int, headers: dict[str, str], text: str) -> None:
        body = b"" if self.command == "HEAD" else text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, file: Path, has_body: bool) -> None:
        content = file.read_bytes()
        if self.hub.lies == "body":
            content = bytes(255 - byte for byte in content)
        asked = self.headers.get("Range", "")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - first))
        if asked:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if has_body:
            rest = content[first:]
            self.wfile.write(rest[: self.hub.cut_after])
            self.wfile.flush()
            if self.hub.cut_after is not None:
                self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        if self.hub.holds:
            self.hub.holds.wait(30)
        if self.hub.dies:
            self.hub.cut_after = 0


@contextmanager
def serving(hub: StandIn) -> Iterator[StandIn]:
    """Serve ``hub`` at ``hub.url`` on this machine until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
