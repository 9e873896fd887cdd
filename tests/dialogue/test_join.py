import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import Answer, Asked, serving
from talks import SILENCE, ToneVoice, talking

from visavis.dialogue.base import Dialogue, Happened
from visavis.dialogue.join import converse, partner_by
from visavis.dialogue.partners import SCRIPT, ScriptedPartner
from visavis.errors import InputError, MissingExtra, UnreadableMedia
from visavis.stream.session import Session

KEY = "sk-very-secret-key"


def test_partners_by_name(tmp_path: Path) -> None:
    script = tmp_path / "lines.txt"
    script.write_text("\ufeffOne.\n\n  Two. \n", encoding="utf-8")
    assert partner_by("scripted").lines == SCRIPT
    assert partner_by(f"scripted:{script}").lines == ("One.", "Two.")
    chat = partner_by("chat:llama3.2:3b@http://127.0.0.1:11434", KEY, "Be kind.")
    assert chat.model == "llama3.2:3b"
    assert chat.endpoint is not None
    assert chat.endpoint.url == "http://127.0.0.1:11434/v1"
    assert KEY not in repr(chat)
    live = partner_by("realtime:gpt-rt@https://host/v1", KEY)
    assert live.endpoint is not None
    assert live.endpoint.url == "wss://host/v1"
    speaks = {kind: partner_by(kind).speaks_itself for kind in ("none", "echo", "scripted")}
    assert speaks == {"none": True, "echo": True, "scripted": False}
    assert live.speaks_itself


@pytest.mark.parametrize(
    "name",
    [
        "", "parrot", "echo:1", "none:", "scripted:", "chat", "chat:", "chat:gpt", "chat:@http://a",
        "chat:gpt@ftp://a", "chat:gpt@ws://a", "realtime", "realtime:m@", "realtime:m@ftp://a",
    ],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InputError):
        partner_by(name)


def test_scripts_that_are_none(tmp_path: Path) -> None:
    empty, blank, binary = (tmp_path / name for name in ("empty", "blank", "binary"))
    empty.touch()
    blank.write_text(" \n\n")
    binary.write_bytes(b"\xff\xfe\x00\x81\n")
    for path in (empty, tmp_path, tmp_path / "missing", binary):
        with pytest.raises(UnreadableMedia):
            partner_by(f"scripted:{path}")
    with pytest.raises(InputError, match="no line"):
        partner_by(f"scripted:{blank}")
    with pytest.raises(InputError, match="empty"):
        ScriptedPartner([" "])


def test_words_need_a_voice_and_servers_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = None
    with pytest.raises(InputError, match="needs a voice"):
        converse(session, partner_by("scripted"))
    for package, name in (("httpx", "chat:m@http://a"), ("websockets", "realtime:m@ws://a")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtra, match=r'pip install "visavis\[agents\]"'):
            converse(session, partner_by(name), ToneVoice())


def test_a_whole_conversation_with_servers(
    animator: Any, prepared: Any, crew: Any, words: np.ndarray
) -> None:
    """Microphone, speech to text, language model, voice, session: twice, the first interrupted."""
    pytest.importorskip("httpx")
    answers = iter(["I will tell you a very long story. It never ends at all.", "Sorry!"])

    def server(asked: Asked) -> Answer:
        if asked.path.endswith("/audio/transcriptions"):
            return Answer(kind="application/json", pieces=[b'{"text": "Tell me more."}'])
        text = next(answers)
        chunks = [{"delta": {"content": text[i : i + 5]}} for i in range(0, len(text), 5)]
        lines = [f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks]
        return Answer(
            kind="text/event-stream", pieces=[*map(str.encode, lines), b"data: [DONE]\n\n"]
        )

    async def talk(name: str) -> list[Happened]:
        chosen = replace(partner_by(name, KEY), prompt="Be brief.")

        def make(session: Session, tell: Callable[[Happened], None]) -> Dialogue:
            return converse(session, chosen, ToneVoice(), tell)

        async with talking((animator, prepared, crew), make) as t:
            await t.hear(np.concatenate([SILENCE, words, SILENCE]))
            await t.frames_until(lambda m: m.speech_id == "reply-1", 60)
            await t.frames(24)
            await t.hear(np.concatenate([words, SILENCE]))
            await t.until("user_said", 2)
            await t.frames_until(lambda m: m.speech_id == "reply-2", 60)
            return t.happened

    with serving(server) as http:
        happened = asyncio.run(talk(f"chat:gpt-test@{http.url}"))
    texts = [event.text for event in happened if event.kind == "user_said"]
    assert texts == ["Tell me more."] * 2
    cut = next(event for event in happened if event.kind == "interrupted")
    assert cut.text == "I will tell you a very"
    chats = [asked.told for asked in http.asked if asked.path.endswith("completions")]
    assert [message["content"] for message in chats[1]["messages"]] == [
        "Be brief.", "Tell me more.", "I will tell you a very …", "Tell me more.",
    ]  # fmt: skip
