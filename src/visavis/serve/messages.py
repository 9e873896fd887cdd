"""The control protocol: JSON messages of WebSocket and data channel (interfaces.md 3.6).

Verbs are those of HeyGen's LiveAvatar, with our own additions. Each message has a ``type``; those
of a client may have an ``event_id`` that events about them carry.

======================= ==========================================================================
from the client
======================= ==========================================================================
agent.speak             ``audio`` PCM16 mono in base64, ``sample_rate`` (24000): a piece of speech
agent.speak_end         the utterance is complete
agent.say               ``text`` to be spoken by the server's voice (or by the partner)
agent.interrupt         be silent at once; agent.resume: say what that dropped
agent.start_listening   look as if listening; agent.stop_listening: as the sound has it
agent.set_state         ``state`` speaking, listening, idle or auto
agent.set_control       emotion, intensity, gaze, energy … as in motion/keyframes.py
agent.user_audio        as agent.speak: what the user says (16000)
user.text               ``text`` that the partner answers
session.keep_alive      somebody is there
----------------------- --------------------------------------------------------------------------
from the server
----------------------- --------------------------------------------------------------------------
session.disclosure      ``text``, ``badge``: comes first
session.state_updated   ``state`` connected, closing or closed (``reason``)
agent.state_changed     ``state`` speaking, listening or idle
agent.speak_started     ``event_id``, ``index`` of the frame; agent.speak_ended
agent.speak_interrupted ``event_id``, ``position_s`` heard of it
agent.said, user.said   ``text`` of a conversation; user.speech_started, user.speech_ended
session.quality_changed ``quality`` level, 0 the best: the machine is too slow, or again fast enough
metrics.frame           once a second: fps, late_frames, queue_s, first_frame_ms_p50 …
error                   ``code``, ``message``, ``event_id``; the connection goes on
======================= ==========================================================================

``read`` turns what a client sent into one of the frozen models below or raises ``BadMessage``;
``written`` is the other way.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from visavis.errors import SessionError
from visavis.serve.schemas import MOST_TEXT, EventId
from visavis.stream.moments import Event
from visavis.types import FloatArray

_CODES = {
    "speak_started": "agent.speak_started",
    "speak_ended": "agent.speak_ended",
    "speak_interrupted": "agent.speak_interrupted",
    "state_changed": "agent.state_changed",
    "quality_changed": "session.quality_changed",
}


class BadMessage(SessionError):  # noqa: N818 - reads as what happened
    """A message that is not part of the protocol; the connection goes on."""


class _Message(BaseModel):
    """What every message has."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    event_id: EventId | None = None


class Speak(_Message):
    """Sound to be spoken: ``audio`` PCM16 little-endian mono in base64."""

    type: Literal["agent.speak"]
    audio: str
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] = 24_000


class UserAudio(_Message):
    """What the user says, for listening; as ``Speak``."""

    type: Literal["agent.user_audio"]
    audio: str
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] = 16_000


class Say(_Message):
    """Words to be spoken by the local voice."""

    type: Literal["agent.say"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]


class UserText(_Message):
    """What the user writes instead of saying it; the partner answers."""

    type: Literal["user.text"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=MOST_TEXT)]


class SetState(_Message):
    """What the person does; ``auto``: as the sound has it."""

    type: Literal["agent.set_state"]
    state: Literal["speaking", "listening", "idle", "auto"]


class SetControl(_Message):
    """Fields of motion/keyframes.py, each a word, a number or a list, beside ``type``."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: Literal["agent.set_control"]

    def fields(self) -> dict[str, Any]:
        """Return the controls named in the message."""
        return dict(self.model_extra or {})


class Plain(_Message):
    """A verb without anything more to say."""

    type: Literal[
        "agent.speak_end",
        "agent.interrupt",
        "agent.resume",
        "agent.start_listening",
        "agent.stop_listening",
        "session.keep_alive",
    ]


Message = Speak | UserAudio | Say | UserText | SetState | SetControl | Plain
_ADAPTER: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def read(text: str | bytes) -> Message:
    """Return the message in ``text``.

    Raises:
        BadMessage: not JSON, or not a message of the protocol; says which part is wrong.
    """
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadMessage(f"The message is not understood: {place} {first['msg']}".strip()) from None


def sound_of(message: Speak | UserAudio) -> FloatArray:
    """Return the samples (n,) float32 in [-1, 1] of ``message``.

    Raises:
        BadMessage: not base64, or half a sample too much.
    """
    try:
        return pcm16(base64.b64decode(message.audio, validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadMessage(f"{message.type}: audio is not base64; give PCM16 in base64.") from error


def pcm16(data: bytes) -> FloatArray:
    """Return little-endian PCM16 ``data`` as (n,) float32 in [-1, 1].

    Raises:
        BadMessage: an odd number of bytes.
    """
    if len(data) % 2:
        raise BadMessage(f"{len(data)} bytes are no whole number of 16-bit samples.")
    return np.frombuffer(data, "<i2").astype(np.float32) / 32_768


def as_pcm16(sound: FloatArray) -> bytes:
    """Return ``sound`` (n,) float32 as little-endian PCM16."""
    return np.round(np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()


def told(event: Event) -> dict[str, Any] | None:
    """Return the message about ``event``; None: nobody is told."""
    if event.kind not in _CODES:
        return None
    message: dict[str, Any] = {"type": _CODES[event.kind], "index": event.index}
    if event.kind == "state_changed":
        return {**message, "state": event.detail}
    if event.kind == "quality_changed":
        return {**message, "quality": event.detail}
    return {**message, "event_id": event.speech_id, "position_s": round(event.position_s, 4)}


def problem(code: str, message: str, event_id: str | None = None) -> dict[str, Any]:
    """Return an error message."""
    return {"type": "error", "code": code, "message": message, "event_id": event_id}


def written(message: dict[str, Any]) -> str:
    """Return ``message`` as JSON text."""
    return json.dumps(message, separators=(",", ":"))
