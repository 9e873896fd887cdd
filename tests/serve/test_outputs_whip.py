"""WHIP (RFC 9725) to an endpoint over real HTTP and real WebRTC that decodes what comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from moments import RATE, SIDE, moments

pytest.importorskip("aiortc")
pytest.importorskip("httpx")

import uvicorn
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from visavis.errors import InputError, OutputError
from visavis.serve.outputs.whip import Endpoint, push_whip

TOKEN = "a-bearer-token"
Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Ingest:
    """A WHIP endpoint: what it was asked, and the pictures and samples that came."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    samples: int = 0
    codec: str = ""
    peers: list[RTCPeerConnection] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def offer(self, request: Request) -> Response:
        """POST: take an offer, give the answer."""
        self.requests.append(("POST", request.headers.get("content-type", "")))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        peer = RTCPeerConnection()
        self.peers.append(peer)
        peer.on("track", lambda track: self._spawn(self._watch(track)))
        offer = RTCSessionDescription((await request.body()).decode(), "offer")
        await peer.setRemoteDescription(offer)
        await peer.setLocalDescription(await peer.createAnswer())
        for line in peer.localDescription.sdp.splitlines():
            if line.startswith("a=rtpmap") and "/90000" in line and not self.codec:
                self.codec = line.split()[1]
        headers = {"Location": "/whip/resource/1", "Content-Type": "application/sdp"}
        return Response(peer.localDescription.sdp, 201, headers)

    async def end(self, request: Request) -> Response:
        """DELETE: the session is over."""
        self.requests.append(("DELETE", request.headers.get("authorization", "")))
        for peer in self.peers:
            await peer.close()
        return Response()

    def _spawn(self, work: Any) -> None:
        """Run ``work`` beside."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _watch(self, track: Any) -> None:
        """Decode what a track brings."""
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.pictures.append(frame.to_ndarray(format="rgb24"))
                else:
                    self.samples += frame.samples
        except MediaStreamError:
            pass


@asynccontextmanager
async def served(routes: list[Route]) -> AsyncIterator[str]:
    """Serve ``routes`` on a free port of 127.0.0.1."""
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def routes_of(ingest: Ingest) -> list[Route]:
    """Return the routes of a WHIP endpoint that redirects once, as load balancers do."""

    async def elsewhere(request: Request) -> Response:
        return RedirectResponse("/whip/here", 307)

    return [
        Route("/whip", elsewhere, methods=["POST"]),
        Route("/whip/here", ingest.offer, methods=["POST"]),
        Route("/whip/resource/1", ingest.end, methods=["DELETE"]),
    ]


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_what_is_pushed_is_seen_and_heard(codec: str) -> None:
    ingest = Ingest()

    async def pushed() -> int:
        async with served(routes_of(ingest)) as address:
            url = address.replace("http", "whip") + "/whip"
            sent = await push_whip(moments(75, pause_s=0.04), Endpoint(url, TOKEN, codec=codec))
            await asyncio.sleep(0.1)
            return sent

    assert asyncio.run(pushed()) == 75
    assert ingest.codec.lower() == f"{codec}/90000"
    assert len(ingest.pictures) > 50
    assert ingest.pictures[-1].shape == (SIDE, SIDE, 3)
    assert ingest.samples > 2 * RATE
    assert ingest.requests == [
        ("POST", "application/sdp"),
        ("DELETE", f"Bearer {TOKEN}"),
    ]


def test_a_wrong_token() -> None:
    async def pushed() -> None:
        async with served(routes_of(Ingest())) as address:
            await push_whip(moments(10), Endpoint(address + "/whip", "wrong"))

    with pytest.raises(OutputError, match=r"\(401\)\. Check the token"):
        asyncio.run(pushed())


async def no_sdp(request: Request) -> Response:
    """Answer with something else."""
    return Response("hello", 201, {"Content-Type": "application/sdp"})


async def fails(request: Request) -> Response:
    """Answer with an error."""
    return Response("x" * 100_000, 500)


async def too_much(request: Request) -> Response:
    """Answer with more than an SDP is."""
    return Response("v=0\r\n" * 100_000, 201)


@pytest.mark.parametrize(
    ("handler", "said"), [(no_sdp, "no SDP"), (fails, "500"), (too_much, "refused")]
)
def test_servers_that_answer_nonsense(handler: Handler, said: str) -> None:
    async def pushed() -> None:
        async with served([Route("/whip", handler, methods=["POST"])]) as address:
            await push_whip(moments(10), Endpoint(address + "/whip"))

    with pytest.raises(OutputError, match=said):
        asyncio.run(pushed())


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutputError, match="cannot be reached") as failed:
        asyncio.run(push_whip(moments(10), Endpoint(f"http://127.0.0.1:{port}/secret")))
    assert "secret" not in str(failed.value)


def test_a_server_that_goes_away() -> None:
    ingest = Ingest()

    async def gone() -> None:
        async with served(routes_of(ingest)) as address:
            task = asyncio.create_task(
                push_whip(moments(10_000, pause_s=0.02), Endpoint(address + "/whip", TOKEN))
            )
            while not ingest.pictures:
                await asyncio.sleep(0.05)
                assert not task.done()
            for peer in ingest.peers:
                await peer.close()
            await asyncio.wait_for(task, 10)

    with pytest.raises(OutputError, match="was lost"):
        asyncio.run(gone())


@pytest.mark.parametrize("url", ["", "rtmp://host/x", "https://", "host/whip"])
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(InputError, match="WHIP"):
        Endpoint(url)
    with pytest.raises(InputError, match="vp8"):
        Endpoint("https://host/whip", codec="av9")
