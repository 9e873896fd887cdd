"""The voice of a server: ``POST /audio/speech`` of OpenAI's API and the many that copy it.

Asked for ``pcm`` (16 bit, mono, 24 kHz), which plays as it arrives; servers that send a WAV file
or name another rate are understood as well. Each sentence is a request of its own, so that long
texts begin as early as short ones.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.errors import ModelError
from visavis.media.resample import Resampler
from visavis.types import FloatArray
from visavis.voice.endpoint import Endpoint, http, patience
from visavis.voice.sentences import sentences

RATE = 24_000
DEFAULT_VOICE = "alloy"
_PIECE_BYTES = 2 * RATE // 5
_RATE = re.compile(r"rate=(\d{4,6})")
_HEAD_BYTES = 4_096


@dataclass(frozen=True)
class RemoteVoice:
    """``voice`` of ``model`` at ``endpoint``."""

    endpoint: Endpoint
    model: str
    voice: str = DEFAULT_VOICE
    rate: int = RATE

    def speak(self, text: str) -> Iterator[FloatArray]:
        """Yield ``text`` in pieces of about 0.2 s, as they arrive.

        Raises:
            ModelError: the server does not answer as it should.
        """
        httpx = http()
        try:
            with httpx.Client(timeout=patience(), headers=self.endpoint.headers()) as client:
                for sentence in sentences(text):
                    yield from self._said(client, sentence)
        except httpx.HTTPError as error:
            raise self.endpoint.unreachable(error) from error

    def _said(self, client: Any, sentence: str) -> Iterator[FloatArray]:
        """Yield one ``sentence`` in pieces, asked of the server by ``client``."""
        asked = {"model": self.model, "voice": self.voice, "response_format": "pcm"}
        url = f"{self.endpoint.url}/audio/speech"
        with client.stream("POST", url, json={**asked, "input": sentence}) as answer:
            if answer.status_code != 200:
                raise self.endpoint.refused(answer.status_code, answer.read())
            kind = answer.headers.get("content-type", "")
            yield from _decoded(answer.iter_bytes(_PIECE_BYTES), kind, self.endpoint)


def _decoded(pieces: Iterator[bytes], kind: str, endpoint: Endpoint) -> Iterator[FloatArray]:
    """Yield the sound at ``RATE`` in the bytes of an answer of content type ``kind``."""
    if re.match(r"(text/|application/json|audio/(mpeg|mp3|ogg|opus|aac|flac))", kind):
        raise ModelError(f"The server {endpoint.place} sent {kind[:40]!r} when asked for 'pcm'.")
    named = _RATE.search(kind)
    rate, rest = int(named[1]) if named else RATE, b""
    stream: Resampler | None = None
    for piece in pieces:
        rest += piece
        if stream is None:
            if rest[:4] == b"RIFF":
                rate, rest = _after_head(rest, endpoint)
            stream = Resampler(rate, RATE)
        whole = len(rest) // 2 * 2
        if whole:
            yield stream.push(np.frombuffer(rest[:whole], "<i2").astype(np.float32) / 32_768)
        rest = rest[whole:]
    if stream is not None and len(last := stream.finish(np.zeros(0, np.float32))):
        yield last


def _after_head(data: bytes, endpoint: Endpoint) -> tuple[int, bytes]:
    """Return the rate of a WAV file and what follows its head, which is in ``data``."""
    form, body = data.find(b"fmt "), data.find(b"data", 0, _HEAD_BYTES)
    if 0 < form < body and body + 8 <= len(data) and form + 24 <= len(data):
        code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, form + 8)
        if (channels, bits) == (1, 16) and code in (1, 0xFFFE) and 8_000 <= rate <= 192_000:
            return rate, data[body + 8 :]
    raise ModelError(f"The server {endpoint.place} sent a WAV file that is not 16 bit and mono.")
