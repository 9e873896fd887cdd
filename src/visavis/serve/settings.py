"""What a server is told before it starts: one frozen dataclass, read from a TOML or JSON file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from visavis.errors import InputError, UnreadableMedia, check_whole
from visavis.media.kinds import regular_file, shown
from visavis.provenance.policy import Policy
from visavis.render.quality import DEFAULT_QUALITY, QUALITIES

DISCLOSURE = "You are talking to a computer-generated person. Picture and voice are made by AI."
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WHOLE = {
    "port": (0, 65_535),
    "size": (64, 2048),
    "seed": (0, 2**63 - 1),
    "max_sessions": (0, 10_000),
    "sessions_per_caller": (1, 10_000),
    "starts_per_minute": (1, 100_000),
    "max_session_s": (1, 7 * 86_400),
    "idle_s": (1, 86_400),
    "unwatched_s": (1, 86_400),
    "max_upload_bytes": (1_024, 2**30),
    "max_message_bytes": (1_024, 2**26),
    "body_s": (1, 3_600),
    "max_avatars": (0, 10_000),
    "bitrate": (100_000, 50_000_000),
    "drain_s": (0, 3_600),
}


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server: ``urls`` such as ``turn:host:3478?transport=udp``."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def __post_init__(self) -> None:
        """Refuse addresses of other kinds."""
        kinds = ("stun:", "stuns:", "turn:", "turns:")
        wrong = [url for url in self.urls if not url.startswith(kinds)]
        if wrong or not self.urls:
            raise InputError(
                f"The ICE server {' '.join(wrong) or 'without address'} is not understood. "
                "Give addresses that begin with stun:, stuns:, turn: or turns:."
            )


@dataclass(frozen=True)
class ServerSettings:
    """Everything that can be set of a server; times in seconds, sizes in bytes or pixels.

    ``hosts`` are the names under which the server may be addressed (``*``: any; by default the
    loopback names if ``host`` is one, else any). ``max_sessions`` 0: as many as the machine is
    measured to carry. ``sessions_per_caller`` and ``starts_per_minute`` are for each API key, and
    for each address where there are no keys. ``idle_s`` ends a session in which nobody says or asks
    anything, ``unwatched_s`` one that nobody is connected to. ``body_s`` is how long a request's
    body may take. ``voice`` is one of voice/speech.py, ``agent`` a partner of dialogue/join.py;
    their keys are for their servers. ``avatars`` is a folder of portraits to choose from;
    ``consent`` the folder in which records of consent are kept; with ``require_consent`` no
    portrait is taken without one. ``disclosure`` is told first; ``badge`` and ``badge_text`` change
    what provenance/policy.py says. ``recordings`` is the folder that clients may record to,
    ``push_to`` how addresses begin that they may push to; ``outputs`` are started with every
    session: "record", "camera", rtmp://… or whip://…. ``bitrate`` is that of WebRTC video, in bits
    per second.

    Raises:
        InputError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    api_keys: tuple[str, ...] = ()
    ice_servers: tuple[IceServer, ...] = ()
    size: int = 512
    quality: str = DEFAULT_QUALITY
    model: str | None = None
    seed: int = 0
    voice: str = "local"
    voice_key: str | None = None
    agent: str = "none"
    agent_key: str | None = None
    agent_prompt: str | None = None
    avatars: str | None = None
    consent: str | None = None
    require_consent: bool = False
    disclosure: str = DISCLOSURE
    badge: str | None = None
    badge_text: str | None = None
    recordings: str | None = None
    push_to: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    bitrate: int = 2_500_000
    max_sessions: int = 0
    sessions_per_caller: int = 4
    starts_per_minute: int = 30
    max_session_s: int = 3_600
    idle_s: int = 300
    unwatched_s: int = 20
    max_avatars: int = 32
    max_upload_bytes: int = 25 * 2**20
    max_message_bytes: int = 2 * 2**20
    body_s: int = 30
    drain_s: int = 20
    log_format: str = "json"

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        for name, (low, high) in _WHOLE.items():
            check_whole(name, getattr(self, name), low, high)
        if self.size % 2:
            raise InputError(f"size {self.size} is odd; video needs even sides.")
        _check_word("quality", self.quality, QUALITIES)
        _check_word("log_format", self.log_format, ("json", "text"))
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("TLS needs both: give tls_cert and tls_key, or neither.")
        if any("://" not in start or not start.endswith("/") for start in self.push_to):
            raise InputError("push_to must hold addresses that end in a slash: rtmp://host/app/.")
        if any(len(key) < 16 for key in self.api_keys):
            raise InputError(
                "An API key is shorter than 16 characters; make one with `openssl rand -hex 24`."
            )

    def policy(self, base: Policy) -> Policy:
        """Return ``base`` with the badge that is set here."""
        badge = base.badge if self.badge is None else self.badge
        text = base.badge_text if self.badge_text is None else self.badge_text
        return replace(base, badge=badge, badge_text=text)

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """Return the host names that requests may be addressed to; ``*`` means any."""
        return self.hosts or (LOOPBACK if self.host in LOOPBACK else ("*",))


def _check_word(name: str, given: str, accepted: tuple[str, ...]) -> None:
    """Refuse ``given`` unless it is one of ``accepted``."""
    if given not in accepted:
        raise InputError(f"{name} {given!r} is not known. Give one of: {', '.join(accepted)}.")


def settings_from(given: Mapping[str, Any], base: ServerSettings | None = None) -> ServerSettings:
    """Return ``base`` (or the defaults) with the values of ``given``, lists as JSON has them.

    Raises:
        InputError: a name is not known (the nearest is named), or a value cannot be used.
    """
    start = base or ServerSettings()
    known = {field.name: field.type for field in fields(ServerSettings)}
    new: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
            raise InputError(f"There is no setting {name!r}. {hint}")
        new[name] = _typed(name, str(known[name]), value)
    return replace(start, **new)


def _typed(name: str, kind: str, value: Any) -> Any:
    """Return ``value`` as a field of type ``kind`` holds it."""
    if kind == "tuple[IceServer, ...]" and isinstance(value, (list, tuple)):
        return tuple(_ice_server(server) for server in value)
    is_list = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
    if kind == "tuple[str, ...]" and is_list:
        return tuple(value)
    scalar: dict[str, tuple[type, ...]] = {
        "str": (str,), "int": (int,), "bool": (bool,), "str | None": (str, type(None)),
    }  # fmt: skip
    is_truth = isinstance(value, bool)
    if isinstance(value, scalar.get(kind, ())) and is_truth == (kind == "bool"):
        return value
    raise InputError(f"The setting {name} is {kind}; {value!r} is not. Correct it.")


def _ice_server(given: Any) -> IceServer:
    """Return the ICE server in ``given``: one of these, an address, or WebRTC's own object."""
    if isinstance(given, IceServer):
        return given
    if isinstance(given, str):
        return IceServer((given,))
    if not isinstance(given, Mapping) or not set(given) <= {"urls", "username", "credential"}:
        raise InputError(f"The ICE server {given!r} is not understood. Give urls (and username …).")
    urls = given.get("urls", ())
    listed = (urls,) if isinstance(urls, str) else tuple(str(url) for url in urls)
    return IceServer(listed, given.get("username"), given.get("credential"))


def read_settings(path: str | Path) -> dict[str, Any]:
    """Return what the file ``path`` (.toml or .json) says, for ``settings_from``.

    Raises:
        UnreadableMedia: missing, or not TOML or JSON.
    """
    place = regular_file(path, "a TOML or JSON file with settings")
    text = place.read_text("utf-8", "replace")
    try:
        given = json.loads(text) if place.suffix == ".json" else _toml(text)
    except ValueError as error:  # tomllib.TOMLDecodeError and json.JSONDecodeError are these
        raise UnreadableMedia(f"{shown(path)} cannot be read: {error}.") from error
    if not isinstance(given, dict):
        raise UnreadableMedia(f"{shown(path)} holds no table of settings.")
    return given


def _toml(text: str) -> dict[str, Any]:
    """Parse TOML; Python 3.10 has no parser for it."""
    if sys.version_info < (3, 11):
        raise UnreadableMedia("TOML needs Python 3.11 or newer; write the settings as JSON.")
    import tomllib

    return tomllib.loads(text)
