"""Settings: files, wrong names, wrong values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from visavis.errors import InputError, UnreadableMedia
from visavis.provenance.policy import Policy
from visavis.serve.settings import IceServer, ServerSettings, read_settings, settings_from


def test_a_file_in_json_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "server.json"
    server = {"urls": ["turn:a:3478", "turn:a:3478?transport=tcp"], "username": "u"}
    path.write_text(json.dumps({"port": 9000, "ice_servers": ["stun:b", server], "hosts": ["x"]}))
    settings = settings_from(read_settings(path))
    assert settings.port == 9000
    assert settings.ice_servers == (
        IceServer(("stun:b",)),
        IceServer(("turn:a:3478", "turn:a:3478?transport=tcp"), "u"),
    )
    assert settings.known_hosts == ("x",)
    assert settings.size == ServerSettings().size


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML came with Python 3.11")
def test_a_file_in_toml_and_options_over_it(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('port = 9000\nrequire_consent = true\n[[ice_servers]]\nurls = "stun:b"\n')
    settings = settings_from({"port": 9001}, settings_from(read_settings(path)))
    assert (settings.port, settings.require_consent) == (9001, True)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"prot": 1}, "Did you mean port"),
        ({"qqqq": 1}, "Known are: host"),
        ({"port": "80"}, "port is int"),
        ({"port": True}, "port is int"),
        ({"require_consent": 1}, "require_consent is bool"),
        ({"port": 70_000}, "0 to 65535"),
        ({"size": 511}, "odd"),
        ({"quality": "best"}, "draft, standard, high"),
        ({"log_format": "xml"}, "json, text"),
        ({"tls_cert": "x.pem"}, "both"),
        ({"api_keys": ["short"]}, "16 characters"),
        ({"push_to": ["rtmp://host"]}, "end in a slash"),
        ({"api_keys": "0123456789abcdef"}, "api_keys is tuple"),
        ({"ice_servers": ["http://x"]}, "stun:"),
        ({"ice_servers": [{"urls": []}]}, "stun:"),
        ({"ice_servers": [{"url": "stun:x"}]}, "not understood"),
        ({"ice_servers": [7]}, "not understood"),
    ],
)
def test_wrong_settings_say_what_is_accepted(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        settings_from(given)


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.json", "[1]"), ("b.toml", "= 1")])
def test_broken_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UnreadableMedia):
        read_settings(path)


def test_the_badge_of_the_settings_goes_before_that_of_the_policy() -> None:
    policy = Policy(badge="video", badge_text="Made by AI")
    assert ServerSettings().policy(policy) == policy
    assert ServerSettings(badge="page", badge_text="x").policy(policy).badge_text == "x"
    with pytest.raises(InputError):
        ServerSettings(badge="loud").policy(policy)


def test_hosts_are_the_loopback_names_unless_the_server_is_open() -> None:
    assert "localhost" in ServerSettings().known_hosts
    assert ServerSettings(host="0.0.0.0").known_hosts == ("*",)
