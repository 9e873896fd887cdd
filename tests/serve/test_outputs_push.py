"""RTMP to a receiver that really decodes; and servers that refuse, stall or are not there."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from moments import moments

from visavis.errors import InputError, OutputError
from visavis.serve.outputs import push
from visavis.serve.outputs.push import place_of, push_rtmp

RECEIVER = """
import av, json, sys
pictures, times, samples, names = 0, [], 0, []
try:
    with av.open(sys.argv[1], options={"listen": "1", "timeout": "10"}) as container:
        names = [stream.codec_context.name for stream in container.streams]
        for packet in container.demux():
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    times.append(float(frame.time))
                else:
                    samples += frame.samples
except OSError:
    pass
print(json.dumps({"names": names, "times": times, "samples": samples}))
"""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def receiver(url: str) -> Process:
    """Start FFmpeg as an RTMP server that takes one stream."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RECEIVER, url, stdout=PIPE, stderr=PIPE
    )
    port = int(url.split(":")[2].split("/")[0])
    inode = f":{port:04X} 00000000:0000 0A"  # listening, as /proc says; a connection would be one
    while inode not in Path("/proc/net/tcp").read_text("ascii"):
        await asyncio.sleep(0.05)
        assert started.returncode is None
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_is_pushed_arrives() -> None:
    async def both() -> tuple[int, dict[str, list[float]]]:
        url = f"rtmp://127.0.0.1:{free_port()}/live/secret"
        server = await receiver(url)
        sent = await push_rtmp(moments(75, pause_s=0.01), url)
        out, _ = await asyncio.wait_for(server.communicate(), 15)
        return sent, json.loads(out)

    sent, got = asyncio.run(both())
    assert sent == 75
    assert got["names"] == ["h264", "aac"]
    assert len(got["times"]) >= 74
    assert got["times"][-1] - got["times"][0] == pytest.approx(74 / 25, abs=0.05)
    assert got["samples"] >= 74 * 1920


def test_a_server_that_is_not_there() -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/secret"
    with pytest.raises(OutputError, match="does not take the stream") as failed:
        asyncio.run(push_rtmp(moments(2000, pause_s=0.005), url))
    assert "secret" not in str(failed.value)


def test_a_server_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PATIENCE_S", 1)

    async def pushed() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"rtmp://127.0.0.1:{deaf.getsockname()[1]}/live/secret"
            await push_rtmp(moments(100_000), url)

    with pytest.raises(OutputError, match="nothing is taken for 1 s"):
        asyncio.run(asyncio.wait_for(pushed(), 20))


def test_a_push_that_is_called_off_ends_at_once() -> None:
    async def called_off() -> float:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"rtmp://127.0.0.1:{deaf.getsockname()[1]}/live/secret"
            task = asyncio.create_task(push_rtmp(moments(100_000), url))
            await asyncio.sleep(1)
            begin = loop.time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return loop.time() - begin

    assert asyncio.run(called_off()) < 0.5


@pytest.mark.parametrize(
    "url",
    [
        "", "http://host/live", "rtmp://", "rtmp://host", "rtmp://host/", "rtmp://host:x/live",
        "rtmp://host:99999/live/key", "file:///etc/passwd", "rtmp://h/a\nrtmp://b/c",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InputError, match="rtmp"):
        asyncio.run(push_rtmp(moments(1), url))


def test_what_may_be_shown_of_an_address() -> None:
    assert place_of("rtmp://host/app/key?token=1") == "rtmp://host:1935"
    assert place_of("rtmps://user:word@host:8443/app/key") == "rtmps://host:8443"
