"""WebRTC over loopback with real peers: pictures decoded, sound heard, barge-in, and clean ends."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest

pytest.importorskip("aiortc")
pytest.importorskip("fastapi")

from loopback import bearer, pcm, running, told, tone, until  # noqa: E402
from peer import Viewer  # noqa: E402

from visavis.serve import peers  # noqa: E402


def test_a_peer_sees_and_hears_what_is_said_and_can_interrupt() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            viewer = Viewer(microphone=tone(1.0, 48_000), keep_images=True)
            await viewer.connect(server, opened)
            seen = viewer.seen
            await until(lambda: len(seen.pictures) > 10 and "session.disclosure" in seen.kinds())
            assert seen.kinds()[0] == "session.disclosure"
            assert {size for _, size in seen.pictures} == {(128, 128)}
            sound = base64.b64encode(pcm(tone(1.0))).decode()
            for piece in range(3):
                message = {"type": "agent.speak", "event_id": "one", "audio": sound}
                viewer.channel.send(told({**message, "nr": piece}))
            await until(lambda: "agent.speak_started" in seen.kinds())
            await until(lambda: any(level > 500 for _, level in seen.sounds))
            viewer.channel.send(told({"type": "agent.interrupt"}))
            await until(lambda: "agent.speak_interrupted" in seen.kinds())
            stopped = next(m for m in seen.messages if m["type"] == "agent.speak_interrupted")
            assert stopped["event_id"] == "one"
            assert 0.0 < stopped["position_s"] < 3.0
            heard = len(seen.sounds)
            await until(lambda: len(seen.sounds) > heard + 40)
            assert max(level for _, level in seen.sounds[-10:]) < 50, "silent after 0.8 s"
            images = np.stack(seen.images[-5:]).astype(float)
            assert images.mean() > 20, "a face, not black"
            await viewer.close()

    asyncio.run(play())


def test_a_peer_that_goes_leaves_nothing_and_one_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "CONNECT_S", 1)

    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            live = server.parts.sessions[opened["session_id"]]
            before = {task.get_name() for task in asyncio.all_tasks()}
            for _ in range(2):
                viewer = Viewer(microphone=tone(0.1, 48_000))
                await viewer.connect(server, opened)
                await until(lambda viewer=viewer: len(viewer.seen.pictures) > 2)
                await viewer.close()
                await until(lambda: len(server.parts.peers) == 0)
            lost = Viewer()
            body = {"sdp": await lost.offer(), "type": "offer", "session_id": live.session_id}
            answer = await server.client.post("/api/offer", json=body, headers=bearer(opened))
            assert answer.status_code == 200
            assert len(server.parts.peers) == 1
            await until(lambda: len(server.parts.peers) == 0)
            await lost.close()
            await until(lambda: live.viewers == live.listeners == 0)
            after = {task.get_name() for task in asyncio.all_tasks()}
            assert not [name for name in after - before if name.startswith(("peer", "session"))]

    asyncio.run(play())


def test_channels_of_one_peer_are_not_without_number() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            viewer = Viewer()
            more = [viewer.pc.createDataChannel(f"more {n}") for n in range(6)]
            await viewer.connect(server, opened)
            await until(lambda: sum(c.readyState == "closed" for c in more) == 3)
            assert server.parts.sessions[opened["session_id"]].listeners == 4
            await viewer.close()

    asyncio.run(play())


def test_the_session_ends_the_connection() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            viewer = Viewer()
            await viewer.connect(server, opened)
            await until(lambda: viewer.seen.pictures)
            path = f"/api/sessions/{opened['session_id']}"
            await server.client.delete(path, headers=bearer(opened))
            await until(lambda: viewer.pc.connectionState == "closed")
            assert viewer.seen.messages[-1]["reason"] == "deleted"
            await viewer.close()

    asyncio.run(play())


def test_bitrates_are_set_when_a_server_starts_and_not_before() -> None:
    from aiortc.codecs import h264, vpx

    before = vpx.DEFAULT_BITRATE, vpx.MAX_BITRATE
    try:
        peers.tune(3_000_000)
        assert vpx.Vp8Encoder().target_bitrate == 3_000_000
        assert (h264.DEFAULT_BITRATE, h264.MAX_BITRATE) == (3_000_000, 4_500_000)
    finally:
        vpx.DEFAULT_BITRATE, vpx.MAX_BITRATE = before
