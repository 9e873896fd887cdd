"""MJPEG, fMP4, the badge on the way, the camera: real codecs, read back as a viewer would."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest
from moments import SIDE, beeps, moment, moments
from PIL import Image

from visavis.errors import InputError, OutputError
from visavis.provenance.policy import Policy
from visavis.serve.outputs.away import Away
from visavis.serve.outputs.badged import badged
from visavis.serve.outputs.camera import show
from visavis.serve.outputs.fmp4 import BLOCK, filled, fmp4
from visavis.serve.outputs.mjpeg import BOUNDARY, CONTENT_TYPE, mjpeg
from visavis.stream.moments import Moment


async def everything(pieces: AsyncIterator[bytes]) -> list[bytes]:
    """Return all pieces."""
    return [piece async for piece in pieces]


def test_mjpeg_is_one_jpeg_a_part() -> None:
    parts = asyncio.run(everything(mjpeg(moments(4))))
    assert CONTENT_TYPE.endswith(BOUNDARY)
    assert parts[-1] == f"--{BOUNDARY}--\r\n".encode()
    for n, part in enumerate(parts[:-1]):
        head, _, body = part.partition(b"\r\n\r\n")
        (length,) = re.findall(rb"Content-Length: (\d+)", head)
        assert head.startswith(f"--{BOUNDARY}\r\nContent-Type: image/jpeg".encode())
        picture = np.asarray(Image.open(BytesIO(body[: int(length)])))
        assert body[int(length) :] == b"\r\n"
        assert np.abs(picture - moment(1000 + n).image.astype(int)).mean() < 8


def test_mjpeg_sends_no_picture_twice() -> None:
    async def late() -> AsyncIterator[Moment]:
        for n in range(6):
            yield moment(n, is_fresh=n in (3, 5))

    parts = asyncio.run(everything(mjpeg(late())))
    assert len(parts) == 4  # the first, 3, 5, and the end


def test_mjpeg_knows_its_qualities() -> None:
    with pytest.raises(InputError, match="1 to 100"):
        asyncio.run(everything(mjpeg(moments(1), quality=101)))


def test_fmp4_comes_in_pieces_that_can_be_played() -> None:
    pieces = asyncio.run(everything(fmp4(moments(60))))
    assert b"moov" in pieces[0]
    assert sum(b"moof" in piece for piece in pieces) >= 12
    assert {len(piece) % BLOCK for piece in pieces[:-1]} == {0}
    data = b"".join(pieces)
    with av.open(BytesIO(data)) as container:
        names = [stream.codec_context.name for stream in container.streams]
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert names == ["h264", "aac"]
    assert len(times) == 60
    assert np.diff(times[1:]) == pytest.approx(0.04, abs=1e-3)


@pytest.mark.parametrize("length", [0, 1, BLOCK - 9, BLOCK - 8, BLOCK - 7, BLOCK, BLOCK + 1])
def test_pieces_are_filled_up_with_a_whole_box(length: int) -> None:
    data = filled(b"x" * length)
    box = data[length:]
    assert len(data) % BLOCK == 0
    if box:
        assert box[4:8] == b"free"
        assert int.from_bytes(box[:4], "big") == len(box) >= 8


@pytest.mark.parametrize("missing", [(), range(30, 44), (1, 26, 27, 49)])
def test_picture_and_sound_stay_together_whatever_is_lost(missing: Any) -> None:
    data = b"".join(asyncio.run(everything(fmp4(moments(101, missing)))))
    seen, heard = beeps(data)
    assert len(seen) == len(heard) == 5
    assert np.diff(seen[1:]) == pytest.approx(1.0, abs=0.002)
    assert np.diff(heard) == pytest.approx(1.0, abs=0.002)
    assert np.subtract(heard, seen)[1:] == pytest.approx(0.0, abs=0.03)


def test_odd_sizes_are_made_even() -> None:
    async def odd() -> AsyncIterator[Moment]:
        for n in range(3):
            yield moment(n, side=65)

    data = b"".join(asyncio.run(everything(fmp4(odd()))))
    with av.open(BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.width == 66


def test_nothing_to_show_is_no_error() -> None:
    assert asyncio.run(everything(fmp4(moments(0)))) == []


def test_a_viewer_who_leaves_takes_his_encoder_along() -> None:
    async def leave() -> None:
        viewer = fmp4(moments(1000))
        await anext(viewer)
        await viewer.aclose()
        watching = asyncio.create_task(everything(fmp4(moments(10_000))))
        await asyncio.sleep(0.2)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(leave())


def test_calls_are_never_made_two_at_once() -> None:
    running, most, order = 0, 0, []
    lock = threading.Lock()

    def work(name: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.05)
        order.append(name)
        with lock:
            running -= 1
        return name

    async def owner() -> None:
        away = Away()
        try:
            assert await away.run(work, "first") == "first"
            await away.run(work, "second")
        finally:
            await away.last(lambda: order.append("end"))

    async def cancelled() -> None:
        task = asyncio.create_task(owner())
        await asyncio.sleep(0.07)  # within the second call
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert order == ["first", "second", "end"]
    assert most == 1


@pytest.mark.parametrize(("where", "is_drawn"), [("video", True), ("page", False), ("off", False)])
def test_the_badge_is_drawn_where_the_policy_says(where: str, is_drawn: bool) -> None:
    async def seen() -> list[Moment]:
        return [m async for m in badged(moments(2), Policy(badge=where))]

    for n, shown in enumerate(asyncio.run(seen())):
        plain = moment(1000 + n)
        assert (not np.array_equal(shown.image, plain.image)) == is_drawn
        assert np.array_equal(shown.sound, plain.sound)
        assert shown.index == plain.index


class Screen:
    """A backend of pyvirtualcam that keeps what it is shown."""

    shown: list[np.ndarray] = []
    breaks_at = 10**9

    def __init__(self, width: int, height: int, **_: Any) -> None:
        Screen.shown = []

    def close(self) -> None:
        Screen.shown.append(np.zeros(0, np.uint8))

    def send(self, frame: np.ndarray) -> None:
        if len(Screen.shown) >= Screen.breaks_at:
            raise RuntimeError("unplugged")
        Screen.shown.append(frame.copy())

    def device(self) -> str:
        return "screen"

    def native_fourcc(self) -> int | None:
        return None


def test_a_virtual_camera_shows_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    pyvirtualcam = pytest.importorskip("pyvirtualcam")
    monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, "screen", Screen)
    assert asyncio.run(show(moments(5), backend="screen")) == 5
    *pictures, closed = Screen.shown
    assert closed.size == 0
    for n, picture in enumerate(pictures):
        assert np.array_equal(picture.reshape(SIDE, SIDE, 3), moment(1000 + n).image)
    monkeypatch.setattr(Screen, "breaks_at", 3)
    with pytest.raises(OutputError, match="unplugged"):
        asyncio.run(show(moments(5), backend="screen"))
    assert Screen.shown[-1].size == 0


def test_a_machine_without_a_virtual_camera() -> None:
    pytest.importorskip("pyvirtualcam")
    with pytest.raises(OutputError, match="no virtual camera"):
        asyncio.run(show(moments(1), device="/dev/video-of-nobody"))
