"""A language model behind OpenAI's HTTP dialect: speech to text, then streamed chat completions.

``POST /audio/transcriptions`` turns what the user said into words, ``POST /chat/completions`` with
``stream`` gives the answer as server-sent events (WHATWG HTML §9.2). The history holds what was
really heard of each answer: the model knows where it was interrupted.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visavis.dialogue.base import Piece, Said, Sound, Understood
from visavis.errors import ModelError
from visavis.types import FloatArray
from visavis.voice.endpoint import Endpoint, http, patience

if TYPE_CHECKING:
    import httpx

_LOG = logging.getLogger(__name__)

PROMPT = (
    "You talk with the user face to face, by voice. Answer in one to three short spoken sentences, "
    "in plain words without lists, marks or emoji. If you were interrupted, do not start over."
)
MOST_MESSAGES = 40
"""Messages of the history that are sent, the latest; the prompt comes on top."""
_LONGEST_LINE = 1_000_000
_LONGEST_ANSWER = 20_000


@dataclass(frozen=True)
class ChatSettings:
    """``model`` answers, ``hearing`` turns speech into text; None: only typed turns are answered.

    ``listening`` is where speech is turned into text, by default where the model is.
    """

    model: str
    hearing: str | None = "whisper-1"
    listening: Endpoint | None = None
    prompt: str = PROMPT
    most_tokens: int = 300


class ChatPartner:
    """Answers by a language model. Keeps the history of one conversation."""

    def __init__(self, endpoint: Endpoint, settings: ChatSettings) -> None:
        """Ask ``endpoint``.

        Raises:
            MissingExtra: httpx is not installed.
        """
        self._endpoint = endpoint
        self._settings = settings
        self._client: httpx.AsyncClient = http().AsyncClient(timeout=patience())
        self._errors: type[Exception] = http().HTTPError
        self.history: list[dict[str, str]] = []

    async def reply(self, turn: Sound) -> AsyncGenerator[Piece, None]:
        """Yield the answer to ``turn`` as the model writes it; nothing if no word was said.

        Raises:
            ModelError: a server does not answer as it should.
        """
        text = turn.text or await self._words(turn)
        if not text:
            return
        yield Understood(text)
        self.history.append({"role": "user", "content": text})
        async with aclosing(self._answer()) as answer:
            async for piece in answer:
                yield piece

    def heard(self, said: Said) -> None:
        """Remember what was heard as the model's own words."""
        if said.text:
            text = said.text if said.is_whole else f"{said.text} …"
            self.history.append({"role": "assistant", "content": text})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _words(self, turn: Sound) -> str:
        """Return what was said in ``turn``, "" if there is no word in it."""
        if self._settings.hearing is None or not len(turn.samples):
            return ""
        where = self._settings.listening or self._endpoint
        file = await asyncio.to_thread(wave_file, turn.samples, turn.rate)
        try:
            answer = await self._client.post(
                f"{where.url}/audio/transcriptions",
                headers=where.headers(),
                data={"model": self._settings.hearing, "response_format": "json"},
                files={"file": ("turn.wav", file, "audio/wav")},
            )
        except self._errors as error:
            raise where.unreachable(error) from error
        if answer.status_code != 200:
            raise where.refused(answer.status_code, answer.content)
        try:
            text = json.loads(answer.content)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The server {where.place} sent no text for the speech.") from error
        return str(text).strip()

    async def _answer(self) -> AsyncGenerator[str, None]:
        """Yield the model's answer to the history, piece by piece."""
        where, told = self._endpoint, self._settings
        latest = self.history[-MOST_MESSAGES:]
        asked = {
            "model": told.model,
            "messages": [{"role": "system", "content": told.prompt}, *latest],
            "stream": True,
            "max_tokens": told.most_tokens,
        }
        url, headers = f"{where.url}/chat/completions", where.headers()
        try:
            async with self._client.stream("POST", url, json=asked, headers=headers) as answer:
                if answer.status_code != 200:
                    raise where.refused(answer.status_code, await answer.aread())
                async for piece in pieces_of(answer.aiter_bytes(), where):
                    yield piece
        except self._errors as error:
            raise where.unreachable(error) from error


async def pieces_of(data: AsyncIterator[bytes], where: Endpoint) -> AsyncIterator[str]:
    """Yield the text of a streamed completion in ``data``, bytes cut anywhere.

    Raises:
        ModelError: it is none, or ends in the middle.
    """
    is_over, length = False, 0
    async for event in events(data, where):
        if event == "[DONE]":
            return
        text, is_last = _delta(event, where)
        is_over, length = is_over or is_last, length + len(text)
        if length > _LONGEST_ANSWER:
            _LOG.warning("an answer of more than %d characters is cut", _LONGEST_ANSWER)
            return
        if text:
            yield text
    if not is_over:
        raise ModelError(f"The server {where.place} hung up in the middle of its answer.")


async def events(data: AsyncIterator[bytes], where: Endpoint) -> AsyncIterator[str]:
    """Yield the data of the server-sent events in ``data``.

    Raises:
        ModelError: a line is longer than 1 MB.
    """
    rest, told = b"", list[str]()
    async for piece in data:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise ModelError(f"The server {where.place} sent a line without an end.")
        for line in lines:
            if line.startswith(b"data:"):
                told.append(line[5:].strip().decode("utf-8", "replace"))
            elif not line.strip() and told:
                whole, told = "\n".join(told), []
                yield whole


def _delta(data: str, where: Endpoint) -> tuple[str, bool]:
    """Return the text in one chunk of a streamed completion, and whether it is the last."""
    try:
        chunk: Any = json.loads(data)
        if "error" in chunk:
            raise where.refused(500, data.encode())
        first = chunk["choices"][0] if chunk["choices"] else {"delta": {}}
        text = first["delta"].get("content")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(f"The server {where.place} sent no chunk of an answer.") from error
    return (text if isinstance(text, str) else ""), first.get("finish_reason") is not None


def wave_file(samples: FloatArray, rate: int) -> bytes:
    """Return ``samples`` (n,) as a WAV file of 16 bit."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        levels = np.round(np.clip(samples, -1.0, 1.0) * 32_767)
        file.writeframes(levels.astype("<i2").tobytes())
    return out.getvalue()
