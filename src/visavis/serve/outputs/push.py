"""A session to a media server or a streaming service by RTMP; FFmpeg's client in its own process.

Works with what takes FLV over RTMP: MediaMTX, SRS, nginx-rtmp, OBS, YouTube, Twitch.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

from visavis.errors import InputError, OutputError
from visavis.serve.outputs.away import Away
from visavis.serve.outputs.mux import Encoding, LiveMuxer, Pieces
from visavis.stream.moments import Moment
from visavis.types import MOTION_FPS

PATIENCE_S = 8
"""How long a server may take none of what it is sent before it is given up."""
_PORTS = {"rtmp": 1935, "rtmps": 443}


def place_of(url: str) -> str:
    """Return what of ``url`` may be shown: the rest holds the stream's key.

    Raises:
        InputError: it is no rtmp:// or rtmps:// address with a path.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in _PORTS or not host or len(parts.path) < 2 or not url.isprintable():
        raise InputError("The address to push to must be rtmp://host/app/key or rtmps://host/….")
    return f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"


def encoding(bit_rate: int) -> Encoding:
    """Return how a stream of ``bit_rate`` bits per second is encoded; key frames every 2 s."""
    kilobits = bit_rate // 1000
    limit = f"vbv-maxrate={kilobits}:vbv-bufsize={kilobits}"
    video = {"preset": "superfast", "profile": "main", "x264-params": limit}
    options = {"flvflags": "no_duration_filesize", "flush_packets": "1"}
    return Encoding("flv", options, video, bit_rate, keyframe_every=2 * MOTION_FPS)


async def push_rtmp(moments: AsyncIterator[Moment], url: str, bit_rate: int = 2_500_000) -> int:
    """Send ``moments`` to ``url`` until they end; return how many.

    Raises:
        InputError: ``url`` is no RTMP address.
        OutputError: the server cannot be reached, refuses, or stopped taking what it is sent.
    """
    place = place_of(url)
    command = [sys.executable, "-m", "visavis.serve.outputs.carry"]
    carrier = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        assert carrier.stdin is not None, "asked for a pipe"
        carrier.stdin.write(url.encode() + b"\n")
        count = await _sent(moments, carrier.stdin, encoding(bit_rate))
        carrier.stdin.close()
        code = await asyncio.wait_for(carrier.wait(), PATIENCE_S)
        if code:
            raise OutputError(f"{place} does not take the stream ({await _why(carrier)}).")
        return count
    except (OSError, asyncio.TimeoutError) as error:
        raise OutputError(f"{place} does not take the stream ({await _why(carrier)}).") from error
    finally:
        with suppress(ProcessLookupError):
            carrier.kill()
        await asyncio.shield(carrier.wait())


async def _sent(
    moments: AsyncIterator[Moment], pipe: asyncio.StreamWriter, encoding: Encoding
) -> int:
    """Write ``moments`` into ``pipe``; return how many.

    Raises:
        OSError, asyncio.TimeoutError: the other end is gone, or takes nothing.
    """
    away, pieces = Away(), Pieces()
    muxer: LiveMuxer | None = None
    try:
        async for moment in moments:
            if muxer is None:
                muxer = await away.run(LiveMuxer, pieces, encoding, moment)
            await away.run(muxer.write, moment)
            pipe.write(pieces.take())
            await asyncio.wait_for(pipe.drain(), PATIENCE_S)
        if muxer is None:
            return 0
        await away.run(muxer.finish)
        pipe.write(pieces.take())
        await asyncio.wait_for(pipe.drain(), PATIENCE_S)
        return muxer.frames
    finally:
        if muxer is not None:
            await away.last(muxer.abandon)


async def _why(carrier: Process) -> str:
    """Return what the ended ``carrier`` said last, or that it did not end."""
    if carrier.returncode is None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(carrier.wait(), 1)
    if carrier.returncode is None or carrier.stderr is None:
        return f"nothing is taken for {PATIENCE_S} s"
    said = (await carrier.stderr.read(4096)).decode("utf-8", "replace").split("\n")
    return next((line.lower() for line in said if line.strip()), "ended")[:80]
