"""Which files are to become clips, whose they are, and what is known of them beforehand."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.errors import InputError, UnreadableMedia
from visavis.media.kinds import regular_file, shown
from visavis.motion.controls import EMOTIONS

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv", ".flv")
TAKES = (".npz", ".csv")
_TEXTS = ("person", "emotion", "rest", "skip")
_KEYS = {"match", "intensity", "is_heard", *_TEXTS}


@dataclass(frozen=True)
class Source:
    """One file: a video, or an ARKit take.

    ``name`` of its clips (numbered), ``person``; ``emotion`` one of controls.EMOTIONS or "",
    ``intensity`` 0..1. ``is_heard`` False: the sound is not the person's (music). ``rest`` is a
    video of the same person with a neutral face. ``skip``: why it is left out, or "".
    """

    path: Path
    name: str
    person: str
    emotion: str = ""
    intensity: float = 0.0
    is_heard: bool = True
    rest: Path | None = None
    skip: str = ""


def find_sources(
    paths: Iterable[str | Path], labels: str | Path | None = None, out: Path | None = None
) -> list[Source]:
    """Return the videos and takes in ``paths``, files or folders, in order.

    What lies in ``out`` are clips made before, no takes.

    A file given by itself is a person of its own; in a folder, each folder inside it is a person,
    and each file that lies in none. ``labels`` (JSON) says otherwise: a list of objects with
    ``match``, a regular expression on FOLDER/RELATIVE/PATH, and what holds for those files:
    ``person``, ``emotion``, ``intensity`` (1 if not given), ``is_heard``, ``rest`` (a path in the
    same folder), ``skip``. Texts may refer to groups of the expression; the first rule that matches
    counts.

    Raises:
        UnreadableMedia: a path does not exist, or the labels cannot be read.
        InputError: there is no video in them, two have one name, or a label is wrong.
    """
    rules = [] if labels is None else _read_labels(labels)
    apart = None if out is None else out.resolve()
    found = [
        _labelled(root, file, rules)
        for root, file in _files(paths)
        if apart not in file.parents or file.suffix.lower() in VIDEOS
    ]
    twice = [name for name, count in Counter(s.name for s in found).items() if count > 1]
    if twice:
        raise InputError(f"Two videos would be called {twice[0]}. Rename one or give their folder.")
    if not found:
        raise InputError(f"There is no video in what was given. Accepted: {' '.join(VIDEOS)}.")
    return found


def _files(paths: Iterable[str | Path]) -> Iterator[tuple[Path, Path]]:
    """Yield the folder that was given (or the file's own) and each file in it."""
    for path in paths:
        place = Path(path).resolve()
        if not place.is_dir():
            file = regular_file(path, "a video or a folder of videos")
            yield file.resolve().parent, file.resolve()
            continue
        for file in sorted(place.rglob("*")):
            is_known = file.suffix.lower() in VIDEOS + TAKES and not file.name.startswith(".")
            if is_known and file.is_file():
                yield place, file


def _labelled(root: Path, file: Path, rules: list[dict[str, Any]]) -> Source:
    relative = file.relative_to(root)
    name = re.sub(r"[^\w+.-]", "_", "_".join(relative.with_suffix("").parts))
    person = relative.parts[0] if len(relative.parts) > 1 else relative.stem
    full = f"{root.name}/{relative.as_posix()}"
    for rule in rules:
        match = re.search(rule["match"], full)
        if match is not None:
            return _by_rule(Source(file, name, person), root, match, rule)
    return Source(file, name, person)


def _by_rule(source: Source, root: Path, match: re.Match[str], rule: dict[str, Any]) -> Source:
    """Return ``source`` with what ``rule`` says."""
    try:
        texts = {k: match.expand(rule.get(k, "")) for k in _TEXTS}
    except (re.error, IndexError) as error:
        raise InputError(
            f"The labels of {rule['match']!r} refer to a group that it lacks ({error})."
        ) from error
    if texts["emotion"] not in ("", *EMOTIONS):
        raise InputError(
            f"The labels call {shown(source.path)} {texts['emotion']!r}; "
            f"emotions are {', '.join(EMOTIONS)}."
        )
    return Source(
        source.path,
        source.name,
        texts["person"] or source.person,
        texts["emotion"],
        float(rule.get("intensity", bool(texts["emotion"]))),
        rule.get("is_heard", True),
        root / texts["rest"] if texts["rest"] else None,
        texts["skip"],
    )


def _read_labels(path: str | Path) -> list[dict[str, Any]]:
    """Return the rules in the JSON file ``path``."""
    accepted = f'a list of {{"match": REGEX, "person": ...}}; keys: {", ".join(sorted(_KEYS))}'
    try:
        rules = json.loads(regular_file(path, "a file of labels (.json)").read_text("utf-8"))
        for rule in rules:
            _check_rule(rule)
    except (OSError, ValueError, TypeError, LookupError, re.error) as error:
        raise UnreadableMedia(
            f"{shown(path)} are no labels ({error!r}). Write {accepted}."
        ) from error
    return list(rules)


def _check_rule(rule: dict[str, Any]) -> None:
    """Refuse what cannot be used with any file.

    Raises:
        ValueError, TypeError, LookupError, re.error: it is wrong.
    """
    re.compile(rule["match"])
    if set(rule) - _KEYS:
        raise ValueError(f"unknown key {min(set(rule) - _KEYS)}")
    for key in _TEXTS:
        if not isinstance(rule.get(key, ""), str):
            raise TypeError(f"{key} {rule[key]!r} is no text")
    intensity, is_heard = rule.get("intensity", 1), rule.get("is_heard", True)
    if isinstance(intensity, bool) or not 0 <= intensity <= 1:
        raise ValueError(f"intensity {intensity!r} is not a number from 0 to 1")
    if not isinstance(is_heard, bool):
        raise TypeError(f"is_heard {is_heard!r} is not true or false")
