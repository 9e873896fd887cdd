"""Files, folders and labels: whose video is it?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from visavis.data.sources import find_sources
from visavis.errors import InputError, UnreadableMedia


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Anna/one.mp4", "Anna/two.MOV", "Ben/one.mkv", "carl.webm", "Ben/notes.txt"):
        file = tmp_path / "talks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "talks"


def labels(folder: Path, *rules: object) -> Path:
    path = folder.parent / "labels.json"
    path.write_text(json.dumps(rules))
    return path


def test_a_folder_inside_is_a_person(folder: Path) -> None:
    found = {s.name: s.person for s in find_sources([folder])}
    assert found == {"Anna_one": "Anna", "Anna_two": "Anna", "Ben_one": "Ben", "carl": "carl"}


def test_what_was_made_before_is_no_source(folder: Path) -> None:
    (folder / "clips").mkdir()
    (folder / "clips" / "Anna_one_00.npz").write_bytes(b"x")
    assert len(find_sources([folder], out=folder / "clips")) == 4


def test_a_file_by_itself_is_a_person(folder: Path) -> None:
    (source,) = find_sources([folder / "Anna" / "one.mp4"])
    assert (source.name, source.person, source.is_heard) == ("one", "one", True)


def test_labels_say_more(folder: Path) -> None:
    path = labels(
        folder,
        {"match": "talks/Ben/", "skip": "asked to be left out"},
        {"match": "talks/(\\w+)/two", "person": "x/\\1", "emotion": "angry", "intensity": 0.5,
         "is_heard": False, "rest": "\\1/one.mp4"},
    )  # fmt: skip
    found = {s.name: s for s in find_sources([folder], path)}
    two = found["Anna_two"]
    assert (two.person, two.emotion, two.intensity, two.is_heard) == ("x/Anna", "angry", 0.5, False)
    assert two.rest == folder / "Anna/one.mp4"
    assert found["Ben_one"].skip
    assert found["Anna_one"].person == "Anna"


def test_two_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="would be called one"):
        find_sources([folder / "Anna/one.mp4", folder / "Ben/one.mkv"])


def test_no_video_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video"):
        find_sources([tmp_path])
    with pytest.raises(UnreadableMedia, match="cannot be opened"):
        find_sources([tmp_path / "missing.mp4"])


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "("},
        {"person": "x"},
        {"match": "x", "persona": "x"},
        {"match": "x", "person": 5},
        {"match": "x", "emotion": "happy", "intensity": "strong"},
        {"match": "x", "emotion": "happy", "intensity": 1.5},
        {"match": "x", "is_heard": "no"},
        "text",
        7,
    ],
)
def test_bad_labels_are_refused(folder: Path, rule: object) -> None:
    with pytest.raises(UnreadableMedia, match="no labels"):
        find_sources([folder], labels(folder, rule))


def test_an_unknown_emotion_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="emotions are neutral"):
        find_sources([folder], labels(folder, {"match": "Anna", "emotion": "grumpy"}))


def test_a_group_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="refer to a group"):
        find_sources([folder], labels(folder, {"match": "(?i)anna", "person": "\\5"}))


def test_an_emotion_without_intensity_is_whole(folder: Path) -> None:
    found = find_sources([folder], labels(folder, {"match": "Anna", "emotion": "happy"}))
    assert {s.person: s.intensity for s in found} == {"Anna": 1.0, "Ben": 0.0, "carl": 0.0}


def test_links_to_nowhere_and_folders_are_no_videos(folder: Path) -> None:
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "dir.mp4").mkdir()
    assert len(find_sources([folder])) == 4


def test_the_shared_labels_know_every_emotion(tmp_path: Path) -> None:
    names = ("mead-emotion/M030_front_fear_level3_001.mp4", "hdtf/WDA_AndyKim_000_6642_6722.mp4",
             "grid/lwbsza.mpg")  # fmt: skip
    for name in names:
        file = tmp_path / "talking" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    rules = Path(__file__).parents[2] / "recipes" / "shared_labels.json"
    found = {s.person: s for s in find_sources([tmp_path / "talking"], rules)}
    assert set(found) == {"mead-emotion/M030", "hdtf/WDA_AndyKim", "grid/lwbsza"}
    assert found["mead-emotion/M030"].emotion == "fear"
    assert found["mead-emotion/M030"].rest is not None
