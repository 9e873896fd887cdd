"""The policy: one line changes one thing, and what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from visavis.errors import InputError
from visavis.provenance.policy import (
    FILE_NAME,
    VARIABLE,
    Policy,
    config_folder,
    policy_in,
    policy_of,
    read_policy,
)


def test_signing_and_the_badge_are_on_by_default() -> None:
    assert read_policy() == Policy()
    assert (Policy().signing, Policy().badge) == ("on", "video")


def test_one_line_of_the_file_changes_one_thing(settings: Path) -> None:
    settings.mkdir()
    (settings / FILE_NAME).write_text('{"badge": "page"}', "utf-8")
    assert config_folder() == settings
    assert read_policy() == Policy(badge="page")


@pytest.mark.parametrize("word", ["off", "on", "required", " OFF "])
def test_the_environment_decides_about_signing(
    word: str, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.mkdir()
    (settings / FILE_NAME).write_text('{"badge": "off"}', "utf-8")
    monkeypatch.setenv(VARIABLE, word)
    assert read_policy() == Policy(badge="off", signing=word.strip().lower())


def test_the_environment_names_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"producer": "code-7", "badge_every_s": 60}), "utf-8")
    monkeypatch.setenv(VARIABLE, str(file))
    assert read_policy() == Policy(producer="code-7", badge_every_s=60)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bagde": "off"}, "Did you mean 'badge'"),
        ({"badge": "red"}, "video, page, off"),
        ({"signing": True}, "give text"),
        ({"allows_training": "yes"}, "true or false"),
        ({"badge_every_s": 1.5}, "whole number"),
        ({"key": "k.pem"}, "both certificate and key"),
        ({"timestamps": "ftp://x"}, "http"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        policy_of(given)


@pytest.mark.parametrize("text", ["", "[]", "{", "nonsense", "[" * 100_000])
def test_a_file_that_is_no_policy(text: str, tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_text(text, "utf-8")
    with pytest.raises(InputError):
        policy_in(file)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(InputError, match="home"):
        config_folder()
    assert read_policy() == Policy()
