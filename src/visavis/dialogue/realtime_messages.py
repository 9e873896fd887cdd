"""What is said to a Realtime server, and how its sound is read (OpenAI's names of 2025, "GA").

Servers that still use the beta's names for what they send are understood as well.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from visavis.types import FloatArray

DEFAULT_RATE = 24_000
BETA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
}
Message = dict[str, Any]


@dataclass(frozen=True)
class RealtimeSettings:
    """``model`` and ``voice`` of the server, None: its default; PCM of 16 bit at ``rate``.

    ``hearing`` names the model that writes down what the user says, None: nobody does.
    """

    model: str
    voice: str | None = None
    instructions: str | None = None
    rate: int = DEFAULT_RATE
    hearing: str | None = None


def session_update(settings: RealtimeSettings) -> Message:
    """Return how the session shall be: the server finds the turns and stops when interrupted."""
    pcm = {"type": "audio/pcm", "rate": settings.rate}
    turns = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    hearing: Message = {"format": pcm, "turn_detection": turns}
    speaking: Message = {"format": pcm}
    if settings.hearing is not None:
        hearing["transcription"] = {"model": settings.hearing}
    if settings.voice is not None:
        speaking["voice"] = settings.voice
    session: Message = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"input": hearing, "output": speaking},
    }
    if settings.instructions is not None:
        session["instructions"] = settings.instructions
    return {"type": "session.update", "session": session}


def append(samples: FloatArray) -> Message:
    """Return the next piece (n,) of what the user says."""
    levels = np.round(np.clip(samples, -1.0, 1.0) * 32_767).astype("<i2")
    sound = base64.b64encode(levels.tobytes()).decode("ascii")
    return {"type": "input_audio_buffer.append", "audio": sound}


def truncate(item_id: str, heard_s: float) -> Message:
    """Return that only ``heard_s`` seconds of ``item_id`` were heard."""
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": int(1000 * heard_s),
    }


def typed(text: str) -> list[Message]:
    """Return what makes ``text`` a turn of the user."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]


def recited(text: str) -> Message:
    """Return what makes the server say ``text``."""
    asked = f"Say exactly the following, word for word, and nothing else:\n{text}"
    return {"type": "response.create", "response": {"instructions": asked}}


def read(data: str | bytes) -> Message:
    """Return the message in ``data``, of type "" if it is none; beta names become today's."""
    try:
        message = json.loads(data)
    except ValueError:
        return {"type": ""}
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return {"type": ""}
    return {**message, "type": BETA_NAMES.get(message["type"], message["type"])}


def sound_of(message: Message) -> FloatArray:
    """Return the samples (n,) of a delta, none if it is no sound."""
    try:
        data = base64.b64decode(message["delta"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return np.zeros(0, np.float32)
    levels = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
    return levels.astype(np.float32) / np.float32(32_768)
