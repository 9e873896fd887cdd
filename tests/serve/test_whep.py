"""WHEP: offers of plain SDP, candidates, goodbye; and the SmallWebRTC shape of /api/offer."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("aiortc")
pytest.importorskip("fastapi")

from loopback import bearer, running, until  # noqa: E402
from peer import Viewer  # noqa: E402

from visavis.serve.routes_webrtc import fragment_candidates, ice_links  # noqa: E402
from visavis.serve.settings import IceServer  # noqa: E402

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host"


def test_a_player_watches_and_leaves_and_the_session_goes_on() -> None:
    async def play() -> None:
        server_ = IceServer(("turn:t:3478",), "u", "p")
        async with running(ice_servers=(IceServer(("stun:127.0.0.1:9",)), server_)) as server:
            opened = await server.open()
            server.parts.peers._servers = ()  # told to players; this test has no such server
            viewer, mine = Viewer(), bearer(opened)
            sdp = await viewer.offer()
            answer = await server.client.post(opened["whep"], content=sdp, headers=SDP | mine)
            assert answer.status_code == 201, answer.text
            assert answer.headers["content-type"].startswith("application/sdp")
            assert 'rel="ice-server"' in answer.headers["link"]
            place = answer.headers["location"]
            assert place.startswith(opened["whep"])
            await viewer.take(answer.text)
            await until(lambda: len(viewer.seen.pictures) > 5)
            stamps = [pts for pts, _ in viewer.seen.pictures]
            assert all((b - a) % 3600 == 0 for a, b in zip(stamps, stamps[1:], strict=False))
            added = await server.client.patch(
                place, content=f"a=mid:0\r\na={CANDIDATE}\r\n", headers=FRAGMENT | mine
            )
            assert added.status_code == 204
            assert (await server.client.delete(place, headers=mine)).status_code == 200
            await until(lambda: len(server.parts.peers) == 0)
            assert (await server.client.delete(place, headers=mine)).status_code == 404
            assert server.parts.sessions[opened["session_id"]].state == "connected"
            await viewer.close()

    asyncio.run(play())


def test_what_is_no_offer_is_refused() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            mine = bearer(opened)
            for body, headers, status in [
                ("v=0", {"Content-Type": "application/json"}, 415), ("", SDP, 422),
                ("v=0", SDP, 422), ("\x00" * 50, SDP, 422), ("m=audio x\r\nm=video", SDP, 422),
                ("v=0\r\n" + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 3, SDP, 422),
            ]:  # fmt: skip
                answer = await server.client.post(
                    opened["whep"], content=body, headers=headers | mine
                )
                assert answer.status_code == status, (body, answer.text)
            assert len(server.parts.peers) == 0
            assert server.parts.sessions[opened["session_id"]].viewers == 0

    asyncio.run(play())


def test_an_offer_opens_a_session_and_can_be_made_again() -> None:
    async def play() -> None:
        async with running() as server:
            viewer = Viewer()
            body = {"sdp": await viewer.offer(), "type": "offer"}
            given = (await server.client.post("/api/offer", json=body)).json()
            await viewer.take(given["sdp"])
            await until(lambda: viewer.seen.pictures)
            added = await server.client.patch(
                "/api/offer",
                json={
                    "pc_id": given["pc_id"],
                    "candidates": [
                        {"candidate": CANDIDATE, "sdp_mid": "0", "sdp_mline_index": 0},
                        {"candidate": "", "sdp_mid": "0"},
                    ],
                },
            )
            assert added.json() == {"status": "success"}
            for wrong in ("candidate:x", CANDIDATE + " \x00 a", "candidate:" + "1 " * 500):
                one = [{"candidate": wrong, "sdp_mid": "0"}]
                answer = await server.client.patch(
                    "/api/offer", json={"pc_id": given["pc_id"], "candidates": one}
                )
                assert answer.status_code in (200, 422)
            again = Viewer()
            body = {
                "sdp": await again.offer(), "type": "offer", "pc_id": given["pc_id"],
                "restart_pc": True,
            }  # fmt: skip
            restarted = (await server.client.post("/api/offer", json=body)).json()
            assert restarted["session_id"] == given["session_id"]
            await again.take(restarted["sdp"])
            await until(lambda: again.seen.pictures and len(server.parts.peers) == 1)
            await viewer.close()
            await again.close()

    asyncio.run(play())


def test_a_connection_can_be_negotiated_anew() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            viewer = Viewer()
            given = await viewer.connect(server, opened)
            sender = next(t for t in viewer.pc.getTransceivers() if t.kind == "audio")
            sender.direction = "inactive"
            body = {"sdp": await viewer.offer(), "type": "offer", "pc_id": given["pc_id"]}
            again = await server.client.post("/api/offer", json=body)
            assert again.status_code == 200, again.text
            assert again.json()["pc_id"] == given["pc_id"]
            await viewer.take(again.json()["sdp"])
            seen = len(viewer.seen.pictures)
            await until(lambda: len(viewer.seen.pictures) > seen + 5)
            assert len(server.parts.peers) == 1
            await viewer.close()

    asyncio.run(play())


def test_viewers_of_one_session_are_not_without_number() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            viewers = [Viewer() for _ in range(9)]
            statuses = []
            for viewer in viewers:
                body = {
                    "sdp": await viewer.offer(), "type": "offer",
                    "session_id": opened["session_id"],
                }  # fmt: skip
                answer = await server.client.post("/api/offer", json=body, headers=bearer(opened))
                statuses.append(answer.status_code)
            assert statuses == [200] * 8 + [429]
            for viewer in viewers:
                await viewer.close()

    asyncio.run(play())


def test_fragments_and_links_are_read_and_written_as_the_rfcs_say() -> None:
    text = f"a=ice-ufrag:x\r\na=mid:0\r\na={CANDIDATE}\r\nm=audio\r\na=mid:1\r\na=end-of-candidates"
    first, last = fragment_candidates(text)
    assert (first.candidate, first.sdp_mid) == (CANDIDATE, "0")
    assert (last.candidate, last.sdp_mid) == ("", "1")
    assert ice_links(IceServer(("turn:a", "turn:b"), "u", "p")) == [
        f'<turn:{x}>; rel="ice-server"; username="u"; credential="p"; credential-type="password"'
        for x in "ab"
    ]
