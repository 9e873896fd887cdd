"""WebRTC over loopback with real peers: pictures decoded, sound heard, barge-in, and clean ends."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest

pytest.importorskip("aiortc")
pytest.importorskip("fastapi")

from loopback import pcm, running, told, tone, until  # noqa: E402
from peer import Viewer  # noqa: E402


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
