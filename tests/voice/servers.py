"""A real HTTP server on 127.0.0.1 that answers as it is told and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request: where, with which headers, what."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """``pieces`` are sent one by one; ``breaks_off``: the connection is cut after the last."""

    status: int = 200
    kind: str = "application/octet-stream"
    pieces: list[bytes] = field(default_factory=list)
    breaks_off: bool = False
    between: Callable[[], object] = lambda: None


@dataclass
class Server:
    url: str
    asked: list[Asked]


@contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[Server]:
    """Answer requests with ``answer(request)`` as long as the block lasts."""
    server = Server("", [])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            asked = Asked(self.path, dict(self.headers.items()), self.rfile.read(length))
            server.asked.append(asked)
            told = answer(asked)
            self.send_response(told.status)
            self.send_header("Content-Type", told.kind)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for piece in filter(None, told.pieces):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                    told.between()
                if not told.breaks_off:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:  # the client has hung up
                told.breaks_off = True
            self.close_connection = told.breaks_off

        def log_message(self, *words: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
