"""Who agreed that a portrait is animated: a record per avatar, checked before it speaks.

A record is bound to the portrait's file by its SHA-256, says for what and until when it holds, and
is sealed with a key of this machine (HMAC-SHA256), so that a record that was altered, or written by
somebody without the key, is refused. It keeps what a court would ask for: who, when, which words,
and the digest of the evidence (a recording of the statement, a signed form).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path

from visavis.errors import InputError
from visavis.media.kinds import regular_file, shown
from visavis.media.place import whole_file

FILE_NAME = "consent.json"
SCOPES = ("files", "live")
"""What may be agreed to: videos written to files, live sessions."""
STATEMENT = "I agree that my portrait is animated by AI as {scope}. {passcode}"

_KEY_NAME = "consent.key"
_KEY_BYTES = 32
_LARGEST = 64 * 1024
_LONGEST = 2000  # characters of one entry
_STATEMENT_S = 30 * 60


class ConsentRefused(InputError):  # noqa: N818 - reads as what happened
    """There is no consent that covers what was asked for; the message says what is missing."""


@dataclass(frozen=True)
class Consent:
    """One person's consent. Times are ISO 8601 with a zone; ``expires`` "" holds until withdrawn.

    ``portrait_sha256``: of the portrait's file. ``who``: the person, as they are to be addressed.
    ``statement``: the words agreed to. ``given``: when. ``scope``: some of ``SCOPES``.
    ``evidence_sha256`` and ``evidence``: the digest of what proves it, and where that is kept.
    ``withdrawn``: since when it holds no longer. ``seal``: made by ``sealed``.
    """

    portrait_sha256: str
    who: str
    statement: str
    given: str
    scope: tuple[str, ...] = SCOPES
    expires: str = ""
    evidence_sha256: str = ""
    evidence: str = ""
    withdrawn: str = ""
    seal: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no record.

        Raises:
            InputError: names the entry and what it accepts.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            is_text = isinstance(value, str) and len(value) <= _LONGEST
            if field.name != "scope" and not is_text:
                raise InputError(f"consent: {field.name} is not text of up to {_LONGEST} letters.")
        if not isinstance(self.scope, tuple) or not self.scope or set(self.scope) - set(SCOPES):
            raise InputError(f"consent: scope must be some of {', '.join(SCOPES)}.")
        for name in ("portrait_sha256", "who", "statement", "given"):
            if not getattr(self, name).strip():
                raise InputError(f"consent: {name} is missing.")
        for name in ("given", "expires", "withdrawn"):
            _instant(name, getattr(self, name) or self.given)

    def digest(self) -> str:
        """Return the SHA-256 of everything but the seal: names the record in logs and files."""
        return hashlib.sha256(self._canonical()).hexdigest()

    def _canonical(self) -> bytes:
        """Return the one way to write everything but the seal."""
        entries = {**asdict(self), "scope": sorted(set(self.scope))}
        del entries["seal"]
        return json.dumps(entries, sort_keys=True, ensure_ascii=True).encode()

    def sealed(self, key: bytes) -> Consent:
        """Return the record with the seal of ``key``."""
        seal = hmac.new(key, self._canonical(), hashlib.sha256).hexdigest()
        return replace(self, seal=seal)

    def is_sealed(self, key: bytes) -> bool:
        """Tell whether the seal is that of ``key`` and the record as it was then."""
        return hmac.compare_digest(self.sealed(key).seal, self.seal)


def check(consent: Consent, portrait_sha256: str, scope: str, now: datetime, key: bytes) -> None:
    """Refuse unless ``consent`` covers ``scope`` for that portrait at ``now`` (with a zone).

    Raises:
        ConsentRefused: says what is wrong, in one line, without names.
    """
    if not consent.is_sealed(key):
        raise ConsentRefused("The record of consent was altered, or not made on this machine.")
    if not hmac.compare_digest(consent.portrait_sha256, portrait_sha256):
        raise ConsentRefused("The record of consent is for another portrait.")
    if consent.withdrawn and now >= _instant("withdrawn", consent.withdrawn):
        raise ConsentRefused(f"Consent was withdrawn on {consent.withdrawn[:10]}.")
    if now < _instant("given", consent.given):
        raise ConsentRefused(f"Consent holds from {consent.given} on; that is in the future.")
    if consent.expires and now >= _instant("expires", consent.expires):
        raise ConsentRefused(f"Consent expired on {consent.expires[:10]}; ask for it anew.")
    if scope not in consent.scope:
        covered = " and ".join(consent.scope)
        raise ConsentRefused(f"Consent covers {covered}, not {scope}.")


def require_consent(
    portrait: bytes, folder: Path, scope: str, now: datetime, key: bytes
) -> Consent:
    """Return the consent kept in ``folder`` for the file ``portrait``, once it is checked.

    Raises:
        ConsentRefused: there is none, it cannot be read, or it does not cover this.
    """
    place = folder / FILE_NAME
    if not place.is_file():
        raise ConsentRefused("There is no record of consent for this avatar, and one is required.")
    try:
        consent = read_consent(place)
    except InputError as error:
        raise ConsentRefused("The record of consent of this avatar cannot be read.") from error
    check(consent, hashlib.sha256(portrait).hexdigest(), scope, now, key)
    return consent


def read_consent(path: str | Path) -> Consent:
    """Return the record in the JSON file ``path``.

    Raises:
        InputError: it is no record of consent.
    """
    place = regular_file(path, f"a {FILE_NAME}")
    try:
        with place.open("rb") as file:
            given = json.loads(file.read(_LARGEST).decode("utf-8"))
        if isinstance(given.get("scope"), list):
            given["scope"] = tuple(given["scope"])
        return Consent(**given)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{shown(path)} is no record of consent.") from error


def write_consent(path: str | Path, consent: Consent) -> None:
    """Write ``consent`` to ``path``, readable by its owner alone, whole or not at all.

    Raises:
        OutputError: the place cannot be written to.
    """
    with whole_file(path) as hidden:
        hidden.chmod(0o600)
        hidden.write_text(json.dumps(asdict(consent), indent=2, ensure_ascii=False) + "\n", "utf-8")


def sealing_key(folder: Path) -> bytes:
    """Return the key kept in ``folder`` that seals records; it is made when there is none.

    Raises:
        InputError: the file there is no key.
        OSError: it can be neither read nor made.
    """
    place = folder / _KEY_NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    key = place.read_bytes()
    if len(key) != _KEY_BYTES:
        raise InputError(
            f"{shown(place)} is no key of {_KEY_BYTES} bytes; records need the old one."
        )
    return key


@dataclass(frozen=True)
class Challenge:
    """What a person says into the camera: ``sentence`` with a ``passcode`` nobody could foresee.

    It is good until ``expires``, so that an old recording of them cannot stand for them now.
    """

    sentence: str
    passcode: str
    expires: datetime


Listener = Callable[[bytes, str], bool]
"""Tells whether a recording (the bytes of a file) says a sentence: speech recognition, a person."""


def challenge(scope: tuple[str, ...], now: datetime) -> Challenge:
    """Return a fresh statement to be read aloud, good for half an hour."""
    passcode = " ".join(f"{secrets.randbelow(100):02d}" for _ in range(4))
    sentence = STATEMENT.format(scope=" and ".join(scope), passcode=passcode)
    return Challenge(sentence, passcode, now + timedelta(seconds=_STATEMENT_S))


def heard(asked: Challenge, recording: bytes, listener: Listener, now: datetime) -> str:
    """Return the SHA-256 of a ``recording`` that says what was ``asked``: evidence for a record.

    Raises:
        ConsentRefused: it came too late, or does not say the sentence.
    """
    if now >= asked.expires:
        raise ConsentRefused("The statement came too late; ask for a new one.")
    if not listener(recording, asked.sentence):
        raise ConsentRefused("The recording does not say the statement; read it aloud again.")
    return hashlib.sha256(recording).hexdigest()


def _instant(name: str, text: str) -> datetime:
    """Return the time ``text``.

    Raises:
        InputError: it is none, or has no zone.
    """
    try:
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(f"consent: {name} {text[:40]!r} is no ISO 8601 time.") from error
    if instant.tzinfo is None:
        raise InputError(f"consent: {name} {text[:40]!r} has no zone; end it with Z or +00:00.")
    return instant
