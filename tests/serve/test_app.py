"""The HTTP API of a whole server on loopback: faces, sessions, what is refused and how."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import wave
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")

from loopback import Buzz, bearer, running, tone, until  # noqa: E402
from PIL import Image  # noqa: E402

from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH  # noqa: E402
from visavis.provenance.audit import check_log  # noqa: E402
from visavis.provenance.consent import Consent, sealing_key, write_consent  # noqa: E402
from visavis.serve.voices import Voices  # noqa: E402

NOBODY = "0" * 32


def wav(seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes((tone(seconds) * 32_767).astype("<i2").tobytes())
    return out.getvalue()


def test_a_page_is_told_what_it_needs_and_only_known_faces() -> None:
    async def play() -> None:
        async with running(ice_servers=(), disclosure="It is made.") as server:
            config = (await server.client.get("/api/config")).json()
            assert config["default_avatar"] == config["avatars"][0]["id"]
            assert config["disclosure"] == "It is made."
            assert config["size"] == [128, 128]
            assert "happy" in config["emotions"]
            assert config["limits"]["max_sessions"] == 3
            picture = await server.client.get(config["avatars"][0]["picture"])
            assert picture.headers["content-type"] == "image/jpeg"
            assert Image.open(io.BytesIO(picture.content)).size == (512, 512)

    asyncio.run(play())


def test_places_are_measured_where_none_are_set() -> None:
    async def play() -> None:
        async with running(max_sessions=0) as server:
            limits = (await server.client.get("/api/config")).json()["limits"]
            assert limits["max_sessions"] >= 1
            assert limits["max_sessions"] == server.parts.sessions.admission.limits.sessions

    asyncio.run(play())


def test_a_portrait_is_sent_in_used_and_deleted() -> None:
    async def play() -> None:
        async with running(max_avatars=2) as server:
            send = {"portrait": ("x.webp", DEMO_PORTRAIT.read_bytes(), "image/webp")}
            answer = await server.client.post("/api/avatars", files=send)
            assert answer.status_code == 201, answer.text
            face = answer.json()
            assert face["is_uploaded"]
            opened = await server.open(avatar_id=face["id"])
            assert opened["avatar_id"] == face["id"]
            deleted = await server.client.delete(f"/api/avatars/{face['id']}")
            assert deleted.status_code == 204
            assert (await server.client.get(face["picture"])).status_code == 404
            shown = await server.client.get(
                f"/api/sessions/{opened['session_id']}", headers=bearer(opened)
            )
            assert shown.json()["state"] == "connected", "who is shown already stays"
            default = (await server.client.get("/api/config")).json()["default_avatar"]
            assert (await server.client.delete(f"/api/avatars/{default}")).status_code == 403
            ids = [
                (await server.client.post("/api/avatars", files=send)).json()["id"]
                for _ in range(3)
            ]
            listed = (await server.client.get("/api/avatars")).json()["avatars"]
            assert [face["id"] for face in listed if face["is_uploaded"]] == ids[1:]

    asyncio.run(play())


def test_what_is_no_portrait_is_refused_without_a_path() -> None:
    grey = io.BytesIO()
    Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(grey, "PNG")

    async def play() -> None:
        async with running() as server:
            for data, says in [
                (b"", "empty"), (b"GIF89a", "cannot be read"), (b"x" * 900, "cannot be read"),
                (grey.getvalue(), "face"),
            ]:  # fmt: skip
                files = {"portrait": ("a", data)}
                answer = await server.client.post("/api/avatars", files=files)
                assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
                assert says in answer.json()["message"], answer.text
                assert "/tmp" not in answer.text

    asyncio.run(play())


def test_consent_is_asked_for_and_kept_sealed(tmp_path: Path) -> None:
    async def play() -> None:
        async with running(require_consent=True, consent=str(tmp_path)) as server:
            send = {"portrait": ("x", DEMO_PORTRAIT.read_bytes())}
            refused = await server.client.post("/api/avatars", files=send)
            assert refused.status_code == 422
            assert "consent" in refused.json()["message"]
            form = {"consent_who": "Ann", "consent_statement": "I agree."}
            face = (await server.client.post("/api/avatars", files=send, data=form)).json()
            record = json.loads((tmp_path / face["id"] / "consent.json").read_text())
            assert record["statement"] == "I agree."
            assert len(record["seal"]) == 64
            report = check_log(tmp_path / "audit.log")
            assert (report.entries, report.broken_at) == (1, None)
            assert "Ann" not in (tmp_path / "audit.log").read_text()

    asyncio.run(play())


def test_the_operators_faces_need_consent_where_it_is_required(tmp_path: Path) -> None:
    faces, records = tmp_path / "faces", tmp_path / "records"
    for name in ("ann", "bob"):
        (faces / name).mkdir(parents=True)
        (faces / name / "portrait.webp").write_bytes(DEMO_PORTRAIT.read_bytes())
    (faces / "loose.webp").write_bytes(DEMO_PORTRAIT.read_bytes())
    (faces / "broken.png").write_bytes(b"no picture")
    now = datetime.now(timezone.utc).isoformat()
    sha256 = hashlib.sha256(DEMO_PORTRAIT.read_bytes()).hexdigest()
    consent = Consent(sha256, "Ann", "I agree.", now).sealed(sealing_key(records))
    write_consent(faces / "ann" / "consent.json", consent)

    async def names(**settings: object) -> list[str]:
        async with running(avatars=str(faces), **settings) as server:
            listed = (await server.client.get("/api/avatars")).json()["avatars"]
            return [face["name"] for face in listed]

    assert asyncio.run(names()) == ["ann", "bob", "loose", "demo"]
    needed = {"require_consent": True, "consent": str(records)}
    assert asyncio.run(names(**needed)) == ["ann", "demo"]


def test_a_session_lives_speaks_and_dies() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open(seed=3, quality="draft")
            base, mine = f"/api/sessions/{opened['session_id']}", bearer(opened)
            sound = {"sound": ("x.wav", wav(5.0))}
            said = await server.client.post(f"{base}/audio", files=sound, headers=mine)
            assert said.status_code == 202
            await until(lambda: server.parts.sessions[opened["session_id"]].phase == "speaking")
            stopped = (await server.client.post(f"{base}/interrupt", headers=mine)).json()
            assert stopped["event_id"] == said.json()["event_id"]
            assert 0 <= stopped["position_s"] < 5
            assert stopped["position_s"] + stopped["dropped_s"] == pytest.approx(5, abs=0.1)
            stats = (await server.client.get(base, headers=mine)).json()
            assert stats["frames"] > 0
            assert stats["detail"]["queue_s"] == 0
            assert (await server.client.delete(base, headers=mine)).status_code == 204
            again = await server.client.get(base, headers=mine)
            assert (again.status_code, again.json()["error"]) == (401, "unauthorized")
            assert len(server.parts.sessions.tokens) == 0
            assert (
                'talk_sessions_ended_total{why="deleted"} 1.0'
                in (await server.client.get("/metrics")).text
            )

    asyncio.run(play())


def test_a_full_server_says_busy_and_when_to_come_back() -> None:
    async def play() -> None:
        async with running(max_sessions=1, max_session_s=30) as server:
            assert (await server.client.get("/readyz")).json()["status"] == "ready"
            opened = await server.open()
            assert (await server.client.get("/readyz")).status_code == 503
            busy = await server.client.post("/api/sessions")
            assert busy.status_code == 503
            assert busy.json()["error"] == "busy"
            assert 2 <= busy.json()["retry_after_s"] <= 30
            assert busy.headers["retry-after"] == str(busy.json()["retry_after_s"])
            address = f"/api/sessions/{opened['session_id']}"
            await server.client.delete(address, headers=bearer(opened))
            await server.open()
            assert (
                'talk_refused_total{code="busy"} 1.0' in (await server.client.get("/metrics")).text
            )

    asyncio.run(play())


def test_text_is_spoken_by_the_voice_and_refused_where_there_is_none() -> None:
    async def play(voices: Voices | None, status: int) -> None:
        async with running(voices=voices) as server:
            opened = await server.open()
            answer = await server.client.post(
                f"/api/sessions/{opened['session_id']}/say",
                json={"text": "hello there", "event_id": "greeting"},
                headers=bearer(opened),
            )
            assert answer.status_code == status, answer.text
            if status == 202:
                live = server.parts.sessions[opened["session_id"]]
                await until(lambda: live.phase == "speaking")
                assert answer.json() == {"event_id": "greeting"}
            else:
                assert "visavis[voice]" in answer.json()["message"]

    asyncio.run(play(Voices(Buzz()), 202))
    asyncio.run(play(None, 501))


def test_recordings_of_any_kind_are_spoken_and_others_refused() -> None:
    async def play() -> None:
        async with running() as server:
            opened = await server.open()
            address = f"/api/sessions/{opened['session_id']}/audio"
            for data, status in [
                (DEMO_SPEECH.read_bytes(), 202), (b"", 422), (b"no sound", 422),
                (DEMO_PORTRAIT.read_bytes(), 422),
            ]:  # fmt: skip
                answer = await server.client.post(
                    address, files={"sound": ("../../x", data)}, headers=bearer(opened)
                )
                assert answer.status_code == status, answer.text
                assert "/" not in answer.json().get("message", "")

    asyncio.run(play())


WRONG: list[tuple[str, str, dict[str, object] | None, int]] = [
    ("GET", "/api/nothing", None, 404),
    ("PUT", "/api/sessions", None, 405),
    ("POST", "/api/sessions", {"avatar_id": NOBODY}, 404),
    ("POST", "/api/sessions", {"avatar_id": "../etc"}, 422),
    ("POST", "/api/sessions", {"agent": "nobody"}, 404),
    ("POST", "/api/sessions", {"quality": "best"}, 422),
    ("POST", "/api/sessions", {"seed": -1}, 422),
    ("GET", f"/api/sessions/{NOBODY}", None, 401),
    ("GET", "/api/sessions/x", None, 422),
    ("GET", f"/api/avatars/{NOBODY}/picture", None, 404),
    ("DELETE", f"/api/avatars/{NOBODY}", None, 404),
    ("POST", "/api/offer", {"sdp": "x", "type": "answer"}, 422),
    ("POST", "/api/offer", {"sdp": "x", "type": "offer"}, 422),
    ("POST", "/api/offer", {"sdp": "m=\r\nm=video", "type": "offer"}, 422),
    ("POST", "/api/offer", {"sdp": "x" + "\nm=video" * 9, "type": "offer"}, 422),
    ("POST", "/api/offer", {"sdp": "x", "type": "offer", "session_id": NOBODY}, 401),
    ("PATCH", "/api/offer", {"pc_id": NOBODY, "candidates": []}, 404),
    ("POST", f"/whep/{NOBODY}", None, 401),
]


def test_every_error_has_one_form_and_leaves_nothing() -> None:
    async def play() -> None:
        async with running() as server:
            for method, path, body, status in WRONG:
                answer = await server.client.request(method, path, json=body)
                assert answer.status_code == status, (path, answer.text)
                told = answer.json()
                assert set(told) >= {"error", "message", "request_id"}
                assert answer.headers["x-request-id"] == told["request_id"]
                assert "Traceback" not in answer.text
                assert len(server.parts.sessions) == len(server.parts.peers) == 0, path

    asyncio.run(play())
