"""A session as HTTP video, recorded, and pushed only where the operator allows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("aiortc")

from loopback import bearer, running, tone, until  # noqa: E402
from test_socket import join  # noqa: E402


def test_plain_video_and_pictures_play_until_the_client_goes(tmp_path: Path) -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            live = server.parts.sessions[opened["session_id"]]
            base = f"/api/sessions/{opened['session_id']}"
            for name, kind in (("video.mp4", "video/mp4"), ("picture.mjpeg", "multipart/")):
                got = b""
                address = f"{base}/{name}?token={opened['token']}"
                async with server.client.stream("GET", address) as answer:
                    assert answer.status_code == 200
                    assert answer.headers["content-type"].startswith(kind)
                    live.person.speak(tone(0.4), 24_000, name)
                    async for data in answer.aiter_bytes():
                        got += data
                        if len(got) > 60_000:
                            break
                await until(lambda: live.viewers == 0)
                if name == "video.mp4":
                    (tmp_path / name).write_bytes(got)
                    with av.open(str(tmp_path / name)) as file:
                        assert {s.type for s in file.streams} == {"video", "audio"}
                        frames = list(file.decode(video=0))
                        assert (frames[0].width, frames[0].height) == (128, 128)
                else:
                    assert got.count(b"\xff\xd8\xff") > 3
            assert (await server.client.get(f"{base}/video.mp4")).status_code == 401

    asyncio.run(play())


def test_a_recording_goes_to_the_operators_folder_under_a_name_of_ours(tmp_path: Path) -> None:
    async def play() -> None:
        async with running(recordings=str(tmp_path)) as server:
            opened = await server.open()
            base, mine = f"/api/sessions/{opened['session_id']}/outputs", bearer(opened)
            for to in ("record", "record"):
                made = await server.client.post(base, json={"to": to}, headers=mine)
                assert made.status_code == 201, made.text
            first, second = (await server.client.get(base, headers=mine)).json()["outputs"]
            await asyncio.sleep(1)
            stop = f"{base}/{first['output_id']}"
            assert (await server.client.delete(stop, headers=mine)).status_code == 204
            await until(lambda: len(list(tmp_path.glob("[0-9a-f]*.mp4"))) == 1)
            assert (await server.client.delete(stop, headers=mine)).status_code == 404
            session = f"/api/sessions/{opened['session_id']}"
            await server.client.delete(session, headers=mine)
            await until(lambda: len(list(tmp_path.glob("[0-9a-f]*.mp4"))) == 2)
            assert second["kind"] == "record"
        for path in tmp_path.glob("[0-9a-f]*.mp4"):
            assert len(path.stem) == 32
            with av.open(str(path)) as file:
                assert len(list(file.decode(video=0))) > 5

    asyncio.run(play())


def test_clients_send_nowhere_that_the_operator_has_not_named(tmp_path: Path) -> None:
    async def play() -> None:
        async with running(push_to=("rtmp://127.0.0.1:9/app/",)) as server:
            opened = await server.open()
            base, mine = f"/api/sessions/{opened['session_id']}/outputs", bearer(opened)
            for to, status in [
                ("record", 403), ("camera", 403), ("rtmp://evil.example/app/x", 403),
                ("rtmp://127.0.0.1:9/application", 403), ("whip://127.0.0.1:9/app/", 403),
                ("file:///etc/passwd", 422), ("/etc/passwd", 422), ("../x", 422),
                ("http://169.254.169.254/", 422),
            ]:  # fmt: skip
                answer = await server.client.post(base, json={"to": to}, headers=mine)
                assert answer.status_code == status, (to, answer.text)
            assert (await server.client.get(base, headers=mine)).json() == {"outputs": []}

    asyncio.run(play())


def test_a_push_that_fails_is_told_without_its_key_and_ends_nothing() -> None:
    async def play() -> None:
        async with running(push_to=("rtmp://127.0.0.1:9/app/",)) as server:
            opened = await server.open()
            client = await join(server, opened)
            base, mine = f"/api/sessions/{opened['session_id']}/outputs", bearer(opened)
            to = {"to": "rtmp://127.0.0.1:9/app/my-secret"}
            made = await server.client.post(base, json=to, headers=mine)
            assert made.status_code == 201, made.text
            await until(lambda: client.of("error"), 15)
            assert client.of("error")[0]["code"] == "output_failed"
            assert "my-secret" not in repr(client.messages)
            assert server.parts.sessions[opened["session_id"]].state == "connected"
            await client.wire.close()

    asyncio.run(play())


def test_what_the_operator_wants_is_done_for_every_session(tmp_path: Path) -> None:
    async def play() -> None:
        async with running(recordings=str(tmp_path), outputs=("record",)) as server:
            for _ in range(2):
                opened = await server.open()
                await asyncio.sleep(0.5)
                session = f"/api/sessions/{opened['session_id']}"
                await server.client.delete(session, headers=bearer(opened))
        assert len(list(tmp_path.glob("[0-9a-f]*.mp4"))) == 2

    asyncio.run(play())
