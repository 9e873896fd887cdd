import json
from pathlib import Path

import pytest

from visavis.errors import InputError, UnreadableMedia
from visavis.motion.controls import AWAY, VIEWER, Controls, Timeline
from visavis.motion.keyframes import changed, read_timeline
from visavis.types import Phase

JSON = """
[{"time": 0, "emotion": "happy", "intensity": 0.2, "gaze": "viewer"},
 {"time": 2.5, "intensity": 0.9, "head": [0, 10, 0], "gain": {"jawOpen": 1.2}},
 {"time": 4, "gaze": "away", "blink_rate": 30, "freeze": ["brows"], "gain": {"jawOpen": "free"}}]
"""
CSV = """\
time,emotion,intensity,gaze,head,gain.jawOpen,blink_rate,freeze
0,happy,0.2,viewer,,,,

2.5,,0.9,,0 10 0,1.2,,
4,,,away,,free,30,brows
"""


@pytest.mark.parametrize(("name", "text"), [("c.json", JSON), ("c.csv", CSV), ("C.CSV", CSV)])
def test_both_kinds_of_file_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    timeline = read_timeline(tmp_path / name)
    happy = Controls(emotion="happy", intensity=0.2, gaze=VIEWER)
    turned = Controls(
        emotion="happy", intensity=0.9, gaze=VIEWER, head=(0.0, 10.0, 0.0), gain={"jawOpen": 1.2}
    )
    last = Controls(
        emotion="happy", intensity=0.9, gaze=AWAY, head=(0.0, 10.0, 0.0), blink_rate=30.0,
        freeze=frozenset({"brows"}),
    )  # fmt: skip
    assert timeline == Timeline(((0.0, happy), (2.5, turned), (4.0, last)))


def test_a_file_goes_on_from_what_the_caller_gave(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('[{"time": 1, "energy": 1.4}]')
    base = Controls(Phase.LISTENING, gaze=(3.0, 4.0))
    assert read_timeline(tmp_path / "c.json", base).at(0.0) == Controls(
        Phase.LISTENING, gaze=(3.0, 4.0), energy=1.4
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"phase": "idle"}, Controls(Phase.IDLE)),
        ({"emotion": "sad"}, Controls(emotion="sad", intensity=0.7)),
        ({"emotion": "sad", "intensity": "0"}, Controls(emotion="sad")),
        ({"gaze": "-10,5"}, Controls(gaze=(-10.0, 5.0))),
        ({"gaze": [-10, 5]}, Controls(gaze=(-10.0, 5.0))),
        ({"gaze": "free"}, Controls()),
        ({"gaze": None}, Controls()),
        ({"head": "1 2;3"}, Controls(head=(1.0, 2.0, 3.0))),
        ({"blink_rate": "natural"}, Controls()),
        ({"blink_rate": "12"}, Controls(blink_rate=12.0)),
        ({"gain": ["jawOpen=1.2", "headYaw=0"]}, Controls(gain={"jawOpen": 1.2, "headYaw": 0.0})),
        ({"offset": "jawOpen=0.1"}, Controls(offset={"jawOpen": 0.1})),
        ({"freeze": "brows,lids"}, Controls(freeze=frozenset({"brows", "lids"}))),
        ({"freeze": "none"}, Controls()),
    ],
)
def test_words_and_values(given: dict, expected: Controls) -> None:
    assert changed(Controls(), given) == expected


def test_values_by_name_add_up_and_can_be_let_go() -> None:
    base = Controls(hold={"jawOpen": 0.1, "headYaw": 5.0})
    assert changed(base, {"hold": {"jawOpen": None, "mouthPucker": 0.2}}).hold == {
        "headYaw": 5.0,
        "mouthPucker": 0.2,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"emotoin": "sad"}, "emotion"),
        ({"phase": "singing"}, "speaking, listening or idle"),
        ({"gaze": "there"}, "viewer, away, free"),
        ({"gaze": "1,2,3"}, "YAW,PITCH"),
        ({"gaze": 3}, "YAW,PITCH"),
        ({"head": "nan,0,0"}, "PITCH,YAW,ROLL"),
        ({"intensity": "much"}, "a number"),
        ({"intensity": True}, "a number"),
        ({"intensity": [1]}, "a number"),
        ({"gain": "jawOpen"}, "NAME=NUMBER"),
        ({"gain": 3}, "NAME=NUMBER"),
        ({"freeze": 3}, "brows"),
        ({"emotion": ["sad"]}, "happy"),
    ],
)
def test_words_not_understood_are_named(given: dict, says: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(Controls(), given)
    assert next(iter(given)) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("c.txt", "x", "json or .csv"),
        ("c.json", "{", "damaged"),
        ("c.json", "[" * 100_000, "damaged"),
        ("c.json", '{"time": 0}', "list of objects"),
        ("c.json", "[]", "no keys"),
        ("c.json", '[{"gaze": "viewer"}]', "key 1: time None"),
        ("c.json", '[{"time": -1}]', "before the start"),
        ("c.json", '[{"time": 2}, {"time": 1}]', "key 2.*rise"),
        ("c.json", '[{"time": 0}, {"time": 1, "energy": 7}]', "key 2: energy 7.0.*0.5 to 1.5"),
        ("c.csv", "emotion\nhappy\n", "column time"),
        ("c.csv", "time,gaze\n0,viewer\n1,there\n", "line 3: gaze 'there'"),
        ("c.csv", "time\n0,1\n", "line 2 has 2 cells"),
        ("c.csv", "time,gain.jaw\n0,1\n", "line 2: gain of 'jaw'"),
        ("c.csv", "time,colour\n0,red\n", "line 2: No control.*colour"),
        ("c.csv", "time\n", "no keys"),
        ("c.csv", "\x00\ud800", "damaged"),
    ],
)
def test_files_that_cannot_be_used_say_where_and_why(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=says) as caught:
        read_timeline(path)
    assert name in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        read_timeline(tmp_path / "no.json")


def test_large_files_are_read_in_order(tmp_path: Path) -> None:
    keys = [{"time": i / 10, "intensity": (i % 10) / 10} for i in range(2000)]
    (tmp_path / "c.json").write_text(json.dumps(keys))
    timeline = read_timeline(tmp_path / "c.json")
    assert timeline.at(100.05).intensity == pytest.approx(0.05)
