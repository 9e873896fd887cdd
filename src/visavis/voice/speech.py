"""The name of a voice -> the voice."""

from __future__ import annotations

from visavis.errors import InputError
from visavis.voice.base import Voice
from visavis.voice.endpoint import endpoint, split_name
from visavis.voice.local import LocalVoice
from visavis.voice.remote import DEFAULT_VOICE, RemoteVoice

LOCAL = "local"
_WRITTEN = "openai:MODEL[:VOICE]@URL"


def voice_by(name: str, key: str | None = None) -> Voice:
    """Return the voice ``name``: "local", or "openai:MODEL[:VOICE]@URL" of a server.

    ``key`` is for the server.

    Raises:
        InputError: there is no such voice.
        MissingExtra: the package it needs is not installed.
    """
    if name == LOCAL:
        return LocalVoice()
    kind, _, rest = name.partition(":")
    if kind != "openai":
        raise InputError(f"There is no voice {name!r}. Use {LOCAL!r} or {_WRITTEN!r}.")
    what, address = split_name(rest, _WRITTEN)
    model, _, voice = what.partition(":")
    return RemoteVoice(endpoint(address, key), model, voice or DEFAULT_VOICE)
