"""MJPEG and fMP4 in a browser that really plays them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from moments import SIDE, moments

from browsing import FLAGS, chromium
from visavis.serve.outputs import fmp4, mjpeg

async_api = pytest.importorskip("playwright.async_api")
uvicorn = pytest.importorskip("uvicorn")
applications = pytest.importorskip("starlette.applications")
responses = pytest.importorskip("starlette.responses")
routing = pytest.importorskip("starlette.routing")

PAGE = '<video src="/talk.mp4" autoplay muted></video><img src="/talk.mjpeg">'
SEEN = """() => {
  const video = document.querySelector("video"), image = document.querySelector("img");
  const canvas = new OffscreenCanvas(8, 8).getContext("2d");
  canvas.drawImage(video, 0, 0, 8, 8);
  return {
    at: video.currentTime, width: video.videoWidth, sound: video.webkitAudioDecodedByteCount,
    ahead: video.buffered.length ? video.buffered.end(0) - video.currentTime : 0,
    error: video.error && video.error.message, image: image.naturalWidth,
    grey: canvas.getImageData(7, 4, 1, 1).data[0],
  };
}"""


async def paced(count: int) -> AsyncIterator[Any]:
    """Yield moments at their time."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    n = 0
    async for moment in moments(count, first=0):
        await asyncio.sleep(max(0.0, begin + n / 25 - loop.time()))
        n += 1
        yield moment


async def page(_: Any) -> Any:
    """Answer with both players."""
    return responses.HTMLResponse(PAGE)


async def video(_: Any) -> Any:
    """Answer with fMP4."""
    return responses.StreamingResponse(fmp4.fmp4(paced(500)), media_type=fmp4.CONTENT_TYPE)


async def image(_: Any) -> Any:
    """Answer with MJPEG."""
    return responses.StreamingResponse(mjpeg.mjpeg(paced(500)), media_type=mjpeg.CONTENT_TYPE)


async def watched(address: str) -> dict[str, Any]:
    """Return what the browser shows once it has played for a second, or after ten."""
    async with async_api.async_playwright() as driver:
        flags = [*FLAGS, "--autoplay-policy=no-user-gesture-required"]
        browser = await driver.chromium.launch(executable_path=chromium(), args=flags)
        opened = await browser.new_page()
        await opened.goto(address, wait_until="commit")
        seen: dict[str, Any] = {"at": 0}
        for _ in range(100):
            await asyncio.sleep(0.1)
            seen = await opened.evaluate(SEEN)
            if seen["at"] > 1:
                break
        await browser.close()
    return seen


def test_both_play_in_chromium() -> None:
    routes = [
        routing.Route("/", page),
        routing.Route("/talk.mp4", video),
        routing.Route("/talk.mjpeg", image),
    ]

    async def served() -> dict[str, Any]:
        settings = uvicorn.Config(
            applications.Starlette(routes=routes), log_level="error", lifespan="off"
        )
        server = uvicorn.Server(settings)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            try:
                return await watched(f"http://127.0.0.1:{listener.getsockname()[1]}/")
            finally:
                server.should_exit = True
                await serving

    seen = asyncio.run(served())
    assert seen["error"] is None
    assert seen["at"] > 1, seen
    assert seen["width"] == seen["image"] == SIDE
    assert seen["sound"] > 0
    assert seen["grey"] > 20  # a picture, and not black
    assert seen["ahead"] < 4
