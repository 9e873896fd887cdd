"""Consent of those who are shown: records are kept for who is sent in, and asked of the operator.

A record lies as ``consent.json`` beside the portrait (the operator's: one folder for each avatar)
or in a folder named after the avatar (those sent in), sealed with this machine's key; a log that
only grows tells when which record came. Without a folder, what a form says is checked and told in
signatures, and gone with the portrait.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from visavis.provenance.audit import append
from visavis.provenance.consent import (
    FILE_NAME,
    Consent,
    ConsentRefused,
    require_consent,
    sealing_key,
    write_consent,
)
from visavis.provenance.policy import config_folder

_SCOPE = "live"


@dataclass(frozen=True)
class Agreed:
    """What a form says: the person's name, and the words they agreed to."""

    who: str
    statement: str


class Consents:
    """The records of one server; its calls block."""

    def __init__(self, folder: Path | None, is_required: bool) -> None:
        """Keep records in ``folder``; with ``is_required`` nobody is shown without one."""
        self._folder = folder
        self._is_required = is_required

    def of_operator(self, portrait: Path) -> str:
        """Return the digest of the record beside ``portrait``, "" where none is needed.

        Raises:
            ConsentRefused: one is needed, and there is none that covers live sessions.
        """
        if not self._is_required:
            return ""
        key = sealing_key(self._folder or config_folder())
        data = portrait.read_bytes()
        return require_consent(data, portrait.parent, _SCOPE, _now(), key).digest()

    def of_upload(self, avatar_id: str, portrait: bytes, agreed: Agreed | None) -> str:
        """Keep what was ``agreed`` of the file ``portrait``; return the record's digest, or "".

        Raises:
            ConsentRefused: it is needed, and was not given.
        """
        if agreed is None:
            if self._is_required:
                raise ConsentRefused(
                    "This server needs the consent of the person shown: "
                    "send consent_who and consent_statement."
                )
            return ""
        now, sha256 = _now(), hashlib.sha256(portrait).hexdigest()
        consent = Consent(sha256, agreed.who, agreed.statement, now.isoformat(), (_SCOPE,))
        if self._folder is not None:
            consent = consent.sealed(sealing_key(self._folder))
            place = self._folder / avatar_id
            place.mkdir(mode=0o700)
            write_consent(place / FILE_NAME, consent)
            append(self._folder / "audit.log", "consent", now, {"record": consent.digest()})
        return consent.digest()


def _now() -> datetime:
    """Return the date and time that go into records."""
    return datetime.now(timezone.utc)
