"""What is said of the videos made here: one frozen ``Policy``, read from one file.

The file is ``provenance.json`` in the folder of settings (``XDG_CONFIG_HOME/visavis``,
``~/.config/visavis``, ``~/Library/Application Support/visavis`` or ``%APPDATA%/visavis``); what it
does not say keeps its default, so one line changes one thing::

    {"badge": "page"}

The environment variable ``VISAVIS_PROVENANCE`` is ``on``, ``off``, ``required`` (of signing alone)
or the path of another such file. This is the only file that reads it.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from visavis.errors import InputError
from visavis.media.kinds import regular_file, shown

VARIABLE = "VISAVIS_PROVENANCE"
FILE_NAME = "provenance.json"
_LARGEST = 64 * 1024

_WORDS = {
    "signing": ("on", "off", "required"),
    "portrait": ("ingredient", "thumbnail", "hash", "nothing"),
    "badge": ("video", "page", "off"),
    "badge_corner": ("top-left", "top-right", "bottom-left", "bottom-right"),
}


_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", str: "text"}


@dataclass(frozen=True)
class Policy:
    """How origin is declared. Every field is one line of ``provenance.json``.

    ``signing``: files are signed (C2PA) where c2pa-python is installed ("on"), never ("off"), or
    nothing is written that cannot be signed ("required"). ``certificate`` and ``key``: PEM files,
    the chain leaf first; without them a development certificate of this machine signs.
    ``timestamps``: address of an RFC 3161 time stamp authority; "" asks nobody. ``trusted``: PEM
    file of the certificates that ``verify`` trusts. ``portrait``: what a signature tells of it:
    "ingredient" (that there was one, its own manifest, its SHA-256), "thumbnail" (that and a small
    picture), its "hash" alone, or "nothing". ``allows_training``: whether the file says that
    models may learn from it. ``producer``: the maker's name or code in the implicit label
    (GB 45438-2025).

    ``badge``: drawn into live pictures and recordings ("video"), shown by the page beside them
    ("page"), or "off". ``badge_font``: a TrueType file, for other scripts than Latin.
    ``badge_every_s``: seconds from showing to showing; 0: it is always there.
    """

    signing: str = "on"
    certificate: str = ""
    key: str = ""
    timestamps: str = ""
    trusted: str = ""
    portrait: str = "ingredient"
    allows_training: bool = False
    producer: str = "visavis"
    badge: str = "video"
    badge_text: str = "AI-generated"
    badge_corner: str = "bottom-right"
    badge_font: str = ""
    badge_every_s: int = 0

    def __post_init__(self) -> None:
        """Refuse values of the wrong kind.

        Raises:
            InputError: names the field and what it accepts.
        """
        for field in fields(self):
            given, default = getattr(self, field.name), field.default
            if type(given) is not type(default):
                kind = _KINDS[type(default)]
                raise InputError(f"provenance: {field.name} is {given!r}; give {kind}.")
        for name, accepted in _WORDS.items():
            if getattr(self, name) not in accepted:
                words = ", ".join(accepted)
                raise InputError(f"provenance: {name} is {getattr(self, name)!r}; use {words}.")
        if bool(self.certificate) != bool(self.key):
            raise InputError("provenance: give both certificate and key, or neither.")
        if self.timestamps and not self.timestamps.startswith(("http://", "https://")):
            raise InputError(f"provenance: timestamps {self.timestamps!r} is no http(s) address.")


def config_folder() -> Path:
    """Return where this platform's programs keep a user's settings, for visavis.

    Raises:
        InputError: the user has no home folder.
    """
    given = os.environ.get("XDG_CONFIG_HOME" if os.name != "nt" else "APPDATA")
    if given:
        return Path(given) / "visavis"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise InputError("There is no home folder for settings; set XDG_CONFIG_HOME.") from error
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "visavis"
    return home / ("AppData/Roaming" if os.name == "nt" else ".config") / "visavis"


def read_policy() -> Policy:
    """Return the policy of this user: the file of settings, then the environment.

    Raises:
        InputError: the file cannot be used; the message names the line to change.
    """
    asked = os.environ.get(VARIABLE, "").strip()
    if asked and asked.lower() not in _WORDS["signing"]:
        return policy_in(asked)
    policy = Policy()
    with suppress(InputError):  # no home folder: nothing is set
        place = config_folder() / FILE_NAME
        policy = policy_in(place) if place.exists() else policy
    return replace(policy, signing=asked.lower()) if asked else policy


def policy_in(path: str | Path) -> Policy:
    """Return the policy written in the JSON file ``path``.

    Raises:
        InputError: it cannot be read, or says something unknown.
    """
    place = regular_file(path, f"a {FILE_NAME}")
    try:
        with place.open("rb") as file:
            given = json.loads(file.read(_LARGEST).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown(path)} is not JSON: {str(error)[:80]}.") from error
    if not isinstance(given, dict):
        raise InputError(f'{shown(path)} holds no settings; write {{"badge": "page"}}, say.')
    return policy_of(given)


def policy_of(given: dict[str, Any]) -> Policy:
    """Return the policy that differs from the default as ``given`` says.

    Raises:
        InputError: an unknown name or value; the message names the nearest known one.
    """
    known = [field.name for field in fields(Policy)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"provenance: {name!r} is unknown.{hint} Known: {', '.join(known)}.")
    return Policy(**given)
