import logging
import socket
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from visavis.errors import InputError, MissingExtra, ModelError
from visavis.voice.endpoint import Endpoint, endpoint, split_name
from visavis.voice.remote import RATE, RemoteVoice
from visavis.voice.speech import voice_by

pytest.importorskip("httpx")
sys.path.insert(0, str(Path(__file__).parent))
from servers import Answer, serving  # noqa: E402

TONE = (0.5 * np.sin(np.arange(RATE) / 20)).astype(np.float32)
PCM = np.round(TONE * 32_767).astype("<i2").tobytes()
KEY = "sk-very-secret-key"


def cut(data: bytes, seed: int = 0) -> list[bytes]:
    """``data`` in odd pieces, samples cut in half."""
    random = np.random.default_rng(seed)
    at = np.unique(random.integers(1, len(data), 40) | 1)
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


def said(answer: object, text: str = "Hello.", key: str | None = KEY) -> np.ndarray:
    with serving(lambda asked: answer) as server:
        voice = voice_by(f"openai:tts-1:nova@{server.url}/v1", key)
        return np.concatenate(list(voice.speak(text)))


def wav(rate: int, channels: int = 1, extra: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + extra
    return b"RIFF\xff\xff\xff\xff" + body + b"data\xff\xff\xff\xff" + PCM


def test_each_sentence_is_asked_for_and_its_sound_is_unchanged() -> None:
    with serving(lambda asked: Answer(pieces=cut(PCM))) as server:
        voice = voice_by(f"openai:tts-1:nova@{server.url}/v1/", KEY)
        pieces = list(voice.speak("Hello. How are *you*?"))
    assert [a.told["input"] for a in server.asked] == ["Hello.", "How are you?"]
    first = server.asked[0]
    assert first.path == "/v1/audio/speech"
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert {**first.told, "input": ""} == {
        "model": "tts-1", "voice": "nova", "response_format": "pcm", "input": "",
    }  # fmt: skip
    sound = np.concatenate(pieces)
    assert voice.rate == RATE
    assert np.allclose(sound, np.tile(TONE, 2), atol=1e-4)
    assert max(map(len, pieces)) <= RATE // 4, "it plays as it comes"


def test_the_first_sound_comes_before_the_last_is_sent() -> None:
    heard: list[int] = []
    waiting = iter(range(100))

    def between() -> None:
        while next(waiting) < 50 and not heard:
            threading.Event().wait(0.02)

    with serving(lambda asked: Answer(pieces=[PCM[:24_000], PCM[24_000:]], between=between)) as s:
        for piece in voice_by(f"openai:m@{s.url}").speak("Hello."):
            heard.append(len(piece))
    assert len(heard) > 1
    assert next(waiting) < 50, "the server waited for the first sound to be heard"


def test_wav_files_and_other_rates_are_understood() -> None:
    listed = b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert np.allclose(
        said(Answer(kind="audio/wav", pieces=[wav(RATE, extra=listed)])), TONE, atol=1e-4
    )
    half = said(Answer(kind="audio/wav", pieces=cut(wav(12_000))[:0] + [wav(12_000)]))
    assert len(half) == pytest.approx(2 * len(TONE), abs=4)
    named = said(Answer(kind="audio/pcm;rate=16000", pieces=cut(PCM)))
    assert len(named) == pytest.approx(1.5 * len(TONE), abs=4)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401, pieces=[b'{"error":{"message":"Bad key ' + KEY.encode() + b'"}}']), "key is"),
        (Answer(403), "key may not"),
        (Answer(404, pieces=[b'{"error":{"message":"No model tts-9"}}']), "No model tts-9"),
        (Answer(429, pieces=[b'{"error":{"message":"Slow  down"}}']), "Slow down"),
        (Answer(500, pieces=[b"<html>oh</html>"]), "answered 500"),
        (Answer(400, pieces=[b'{"error":"' + KEY.encode() + b' is not for this"}']), "… is not"),
        (Answer(kind="audio/mpeg", pieces=[b"ID3"]), "sent 'audio/mpeg'"),
        (Answer(kind="application/json", pieces=[b"{}"]), "sent 'application/json'"),
        (Answer(kind="audio/wav", pieces=[wav(RATE, channels=2)]), "not 16 bit and mono"),
        (Answer(kind="audio/wav", pieces=[b"RIFFxxxx"]), "not 16 bit and mono"),
        (Answer(pieces=[PCM[:1000]], breaks_off=True), "does not answer"),
    ],
)
def test_refusals_say_what_they_mean_and_never_the_key(
    answer: object, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelError, match=told) as caught:
        said(answer)
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


def test_an_empty_answer_is_no_sound() -> None:
    with serving(lambda asked: Answer()) as server:
        assert list(voice_by(f"openai:m@{server.url}").speak("Hello.")) == []
        assert list(voice_by(f"openai:m@{server.url}").speak("...")) == []
    assert len(server.asked) == 1


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ModelError, match=f"127.0.0.1:{port} does not answer"):
            list(voice_by(f"openai:m@http://127.0.0.1:{port}").speak("Hello."))


def test_the_key_is_in_no_representation() -> None:
    at = endpoint("https://host/v1", KEY)
    assert KEY not in repr(at)
    assert KEY not in repr(RemoteVoice(at, "m"))
    assert endpoint("http://host").url == "http://host/v1"
    assert endpoint("http://host/api/v3/").url == "http://host/api/v3"
    assert Endpoint("http://host:80/v1").place == "host:80"
    assert Endpoint("http://host").headers() == {}


@pytest.mark.parametrize(
    "address", ["", "host", "ftp://host", "http://", "http://me:pw@host", "http://h?a=b"]
)
def test_no_address(address: str) -> None:
    with pytest.raises(InputError, match="no address") as caught:
        endpoint(address, KEY)
    assert "pw" not in str(caught.value)


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r'pip install "visavis\[agents\]"'):
        list(voice_by("openai:m@http://host").speak("Hello."))


@pytest.mark.parametrize("name", ["", "@", "model@", "@http://host", "model"])
def test_names_need_both_halves(name: str) -> None:
    with pytest.raises(InputError, match="what and where"):
        split_name(name, "chat:MODEL@URL")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
