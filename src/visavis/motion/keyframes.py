"""Controls in words, and timelines in JSON and CSV files.

A key is a time in seconds and the fields of ``Controls`` that change there; a field left out stays
what it was at the key before (at the first key: what the caller gave, or the default). Between keys
numbers run linearly, names change at their key (motion/controls.py).

JSON is a list of objects, CSV a table with a header line, a key per line, empty cells left out::

    [{"time": 0, "emotion": "happy", "intensity": 0.2, "gaze": "viewer"},
     {"time": 2.5, "intensity": 0.9, "head": [0, 10, 0], "gain": {"jawOpen": 1.2}},
     {"time": 4, "gaze": "away", "blink_rate": 30, "freeze": ["brows"]}]

    time,emotion,intensity,gaze,head,gain.jawOpen
    0,happy,0.2,viewer,,
    2.5,,0.9,,0 10 0,1.2

==========  ==============================================================================
field       values
==========  ==============================================================================
phase       speaking, listening, idle
emotion     one of controls.EMOTIONS; its strength is ``intensity`` 0..1 (0.7 if never given)
gaze        viewer, away, free, or yaw and pitch in degrees (+ the viewer's right, + up)
blink_rate  blinks per minute 0..60, or natural
head        free, or pitch, yaw and roll in degrees
head_range  0..2, how far the head moves of itself, 1 as usual
energy      0.5..1.5, how lively, 1 as usual
gain        factor 0..3 by name of motion/layout.py; in CSV a column ``gain.NAME`` each
offset      shift by name, likewise
hold        value held by name, likewise; free lets go
freeze      brows, lids, gaze, mouth, head: those held at rest; none lets all go
==========  ==============================================================================
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import regular_file
from visavis.motion.controls import AWAY, VIEWER, Controls, Timeline
from visavis.types import Phase

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Controls))
USUAL_INTENSITY = 0.7
_NAMED = ("gain", "offset", "hold")
_WHAT = {
    "phase": "speaking, listening or idle",
    "gaze": "viewer, away, free, or YAW,PITCH in degrees",
    "head": "free, or PITCH,YAW,ROLL in degrees",
    "blink_rate": "natural, or blinks per minute",
    "freeze": "none, or some of brows, lids, gaze, mouth, head",
    **dict.fromkeys(_NAMED, "NAME=NUMBER"),
}

Key = tuple[str, dict[str, Any]]
"""Where a key stands, for messages, and its fields as written."""


def changed(base: Controls, given: Mapping[str, Any]) -> Controls:
    """Return ``base`` with the fields ``given``, as words (``"10,-5"``) or as JSON values.

    Values by name (gain, offset, hold) are added to those of ``base``. An emotion that comes
    without an intensity where there was none is USUAL_INTENSITY strong.

    Raises:
        InputError: a field or a value is not known; the message names it and what is accepted.
    """
    new: dict[str, Any] = {}
    for name, value in given.items():
        if name not in FIELDS:
            raise InputError(f"No control is called {name!r}. Use one of: {', '.join(FIELDS)}.")
        try:
            new[name] = _parsed(name, value, base)
        except (ValueError, TypeError, AttributeError) as error:
            what = _WHAT.get(name, "a number")
            raise InputError(f"{name} {value!r} is not understood. Give {what}.") from error
    if new.get("emotion") and "intensity" not in new and base.intensity == 0.0:
        new["intensity"] = USUAL_INTENSITY
    return replace(base, **new)


def _parsed(name: str, value: Any, base: Controls) -> Any:
    """Return the value of field ``name`` as Controls want it."""
    if name == "phase":
        return Phase(value)
    if name == "emotion":
        return value
    if name == "freeze":
        return frozenset() if value in ("none", None) else frozenset(_words(value))
    if name in _NAMED:
        return _by_name(getattr(base, name), value)
    if name in ("gaze", "head"):
        return _direction(value, 2 if name == "gaze" else 3)
    if name == "blink_rate" and value in ("natural", None):
        return None
    return _number(value)


def _direction(value: Any, count: int) -> tuple[float, ...] | None:
    """Return ``count`` angles in degrees; viewer and away for a gaze; None: free."""
    if value in ("free", None):
        return None
    if count == 2 and value in ("viewer", "away"):
        return VIEWER if value == "viewer" else AWAY
    angles = tuple(_number(x) for x in _words(value))
    if len(angles) != count:
        raise ValueError(value)
    return angles


def _by_name(before: Mapping[str, float], value: Any) -> dict[str, float]:
    """Return ``before`` with the numbers of ``value``: a mapping, or NAME=NUMBER words."""
    if not isinstance(value, Mapping):
        value = dict(word.split("=", 1) for word in _words(value))
    out = dict(before)
    for name, number in value.items():
        if number in ("free", None):
            out.pop(name, None)
        else:
            out[name] = _number(number)
    return out


def _words(value: Any) -> list[Any]:
    """Return a list as it is, and text cut at commas, semicolons and spaces."""
    return re.split(r"[\s,;]+", value.strip()) if isinstance(value, str) else list(value)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(value) from error
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def read_timeline(path: str | Path, base: Controls | None = None) -> Timeline:
    """Return the timeline in ``path`` (.json or .csv); ``base`` holds for what it leaves open.

    Raises:
        UnreadableMedia: no such file, or it is damaged.
        InputError: the extension, a field or a value cannot be used; the message names the line.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is no file of controls: give a .json or .csv file of keys.")
    data = regular_file(path, "a file of controls (.json or .csv)").read_bytes()
    try:
        keys = reader(data)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UnreadableMedia(f"{path} is damaged ({error}); see motion/keyframes.py.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return _timeline(path, keys, base or Controls())


def _timeline(path: Path, keys: list[Key], controls: Controls) -> Timeline:
    """Return the timeline of ``keys``, each changing what held before it."""
    made: list[tuple[float, Controls]] = []
    for place, given in keys:
        try:
            seconds = _time(given)
            controls = changed(controls, {k: v for k, v in given.items() if k != "time"})
            made.append((seconds, controls))
            Timeline(tuple(made[-2:]))
        except InputError as error:
            raise InputError(f"{path}, {place}: {error}") from error
    if not made:
        raise InputError(f"{path} has no keys; give at least one.")
    return Timeline(tuple(made))


def _time(given: Mapping[str, Any]) -> float:
    try:
        seconds = _number(given.get("time"))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"time {given.get('time')!r} is not a number of seconds; each key needs one."
        ) from error
    if seconds < 0:
        raise InputError(f"time {seconds:g} is before the start; give 0 or more.")
    return seconds


def _read_json(data: bytes) -> list[Key]:
    """Return the keys of a JSON list of objects."""
    content = json.loads(data)
    if not isinstance(content, list) or not all(isinstance(key, dict) for key in content):
        raise InputError('a list of objects is needed: [{"time": 0, "gaze": "viewer"}, ...].')
    return [(f"key {number}", key) for number, key in enumerate(content, 1)]


def _read_csv(data: bytes) -> list[Key]:
    """Return the keys of a table; cells left empty are left out."""
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig")))
    header = [name.strip() for name in next(reader, [])]
    if "time" not in header:
        raise InputError("the first line must be a header with a column time.")
    keys: list[Key] = []
    for row in reader:
        place = f"line {reader.line_num}"
        if len(row) > len(header):
            raise InputError(f"{place} has {len(row)} cells, the header {len(header)}.")
        cells = {n: cell.strip() for n, cell in zip(header, row, strict=False) if cell.strip()}
        if cells:
            keys.append((place, _joined(cells)))
    return keys


def _joined(cells: Mapping[str, str]) -> dict[str, Any]:
    """Return ``cells`` with columns such as ``gain.jawOpen`` gathered by field."""
    out: dict[str, Any] = {}
    for column, cell in cells.items():
        field, dot, name = column.partition(".")
        if dot and field in _NAMED:
            out.setdefault(field, {})[name] = cell
        else:
            out[column] = cell
    return out


_READERS: dict[str, Callable[[bytes], list[Key]]] = {".json": _read_json, ".csv": _read_csv}
