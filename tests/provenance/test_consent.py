"""Consent: what is covered passes, everything else is refused with its reason."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from visavis.errors import InputError
from visavis.provenance.consent import (
    FILE_NAME,
    Consent,
    ConsentRefused,
    challenge,
    check,
    heard,
    read_consent,
    require_consent,
    sealing_key,
    write_consent,
)

PORTRAIT = b"the bytes of a picture"
DIGEST = hashlib.sha256(PORTRAIT).hexdigest()
NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
KEY = b"k" * 32
GIVEN = Consent(
    portrait_sha256=DIGEST,
    who="Ada",
    statement="I agree.",
    given="2026-11-01T00:00:00Z",
    scope=("live",),
    expires="2026-12-01T00:00:00+00:00",
).sealed(KEY)


def test_what_is_covered_passes(tmp_path: Path) -> None:
    check(GIVEN, DIGEST, "live", NOW, KEY)
    write_consent(tmp_path / FILE_NAME, GIVEN)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert require_consent(PORTRAIT, tmp_path, "live", NOW, KEY) == GIVEN


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (replace(GIVEN, expires="2027-12-01T00:00:00Z"), "altered"),
        (replace(GIVEN, scope=("files", "live")), "altered"),
        (replace(GIVEN, who="Eve"), "altered"),
        (replace(GIVEN, seal=""), "altered"),
        (GIVEN.sealed(b"x" * 32), "altered"),
        (replace(GIVEN, portrait_sha256="0" * 64).sealed(KEY), "another portrait"),
        (replace(GIVEN, expires="2026-11-20T12:00:00Z").sealed(KEY), "expired on 2026-11-20"),
        (replace(GIVEN, withdrawn="2026-11-19T00:00:00Z").sealed(KEY), "withdrawn"),
        (replace(GIVEN, given="2026-11-21T00:00:00Z").sealed(KEY), "future"),
        (replace(GIVEN, scope=("files",)).sealed(KEY), "covers files, not live"),
    ],
)
def test_everything_else_is_refused(record: Consent, said: str) -> None:
    with pytest.raises(ConsentRefused, match=said) as refused:
        check(record, DIGEST, "live", NOW, KEY)
    assert "Ada" not in str(refused.value)


def test_until_the_last_second() -> None:
    end = datetime(2026, 12, 1, tzinfo=timezone.utc)
    check(GIVEN, DIGEST, "live", end - timedelta(seconds=1), KEY)
    with pytest.raises(ConsentRefused, match="expired"):
        check(GIVEN, DIGEST, "live", end, KEY)
    with pytest.raises(ConsentRefused, match="expired"):  # one instant, another zone
        check(GIVEN, DIGEST, "live", end.astimezone(timezone(timedelta(hours=-9))), KEY)


def test_no_record_or_none_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConsentRefused, match="no record"):
        require_consent(PORTRAIT, tmp_path, "live", NOW, KEY)
    for text in ("", "[]", "{}", "null", '{"who": 3}', "{" * 9999, '{"unknown": "x"}'):
        (tmp_path / FILE_NAME).write_text(text, "utf-8")
        with pytest.raises(ConsentRefused, match="cannot be read"):
            require_consent(PORTRAIT, tmp_path, "live", NOW, KEY)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("scope", (), "scope"),
        ("scope", ("live", "everything"), "scope"),
        ("who", " ", "who is missing"),
        ("given", "yesterday", "ISO 8601"),
        ("given", "2026-11-01T00:00:00", "no zone"),
        ("expires", "2026-13-01T00:00:00Z", "expires"),
        ("statement", "x" * 3000, "statement"),
        ("who", 7, "who"),
    ],
)
def test_what_is_no_record(name: str, value: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(GIVEN, **{name: value})


def test_the_seal_survives_the_file_and_another_order(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    both = replace(GIVEN, scope=("live", "files")).sealed(KEY)
    write_consent(path, both)
    assert read_consent(path).is_sealed(KEY)
    given = json.loads(path.read_text("utf-8"))
    given["scope"].reverse()
    path.write_text(json.dumps(dict(reversed(given.items()))), "utf-8")
    assert read_consent(path).is_sealed(KEY)
    assert read_consent(path).digest() == both.digest()


def test_the_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    key = sealing_key(folder)
    assert sealing_key(folder) == key
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"short")
    with pytest.raises(InputError, match="no key"):
        sealing_key(folder)


def test_a_statement_with_a_passcode() -> None:
    asked = challenge(("live",), NOW)
    assert asked.passcode in asked.sentence
    assert challenge(("live",), NOW).passcode != asked.passcode

    def listener(recording: bytes, sentence: str) -> bool:
        return recording.decode() == sentence

    spoken = asked.sentence.encode()
    later = NOW + timedelta(minutes=29)
    assert heard(asked, spoken, listener, later) == hashlib.sha256(spoken).hexdigest()
    with pytest.raises(ConsentRefused, match="does not say"):
        heard(asked, b"something else", listener, later)
    with pytest.raises(ConsentRefused, match="too late"):
        heard(asked, spoken, listener, NOW + timedelta(minutes=30))
