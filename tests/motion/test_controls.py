import pickle

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.motion import conditions
from visavis.motion.controls import EMOTIONS, Controls, Timeline, as_timeline
from visavis.types import Phase


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"emotion": "hapy"}, "happy"),
        ({"intensity": 1.1}, "0 to 1"),
        ({"intensity": float("nan")}, "0 to 1"),
        ({"intensity": None}, "a number from 0 to 1"),
        ({"intensity": True}, "a number"),
        ({"gaze": (1.0,)}, "2 numbers"),
        ({"gaze": (90.0, 0.0)}, "-45 to 45"),
        ({"blink_rate": -1.0}, "0 to 60"),
        ({"head": (0.0, 0.0)}, "3 numbers"),
        ({"head": (0.0, 31.0, 0.0)}, "-30 to 30"),
        ({"head_range": 3.0}, "0 to 2"),
        ({"energy": 0.0}, "0.5 to 1.5"),
        ({"gain": {"jaw": 1.0}}, "jawOpen"),
        ({"gain": {"jawOpen": 9.0}}, "0 to 3"),
        ({"offset": {"jawOpen": -2.0}}, "-1 to 1"),
        ({"hold": {"jawOpen": -0.1}}, "0 to 1"),
        ({"hold": {"headYaw": 31.0}}, "-30 to 30"),
        ({"freeze": frozenset({"nose"})}, "brows, lids, gaze, mouth, head"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(wrong: dict, says: str) -> None:
    with pytest.raises(InputError) as caught:
        Controls(**wrong)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_run_between_keys_and_names_switch() -> None:
    a = Controls(emotion="happy", intensity=0.2, gaze=(0.0, 0.0), gain={"jawOpen": 2.0})
    b = Controls(
        Phase.IDLE, "sad", 0.8, (20.0, -10.0), blink_rate=30.0, head=(0.0, 8.0, 0.0), energy=1.5,
        head_range=0.0, offset={"headYaw": 10.0}, hold={"mouthPucker": 0.5},
    )  # fmt: skip
    timeline = Timeline(((1.0, a), (3.0, b)))
    assert timeline.at(-5.0) == timeline.at(1.0) == a
    assert timeline.at(3.0) == timeline.at(99.0) == b
    half = timeline.at(2.0)
    assert (half.phase, half.emotion, half.intensity) == (Phase.SPEAKING, "happy", 0.5)
    assert (half.gaze, half.head, half.blink_rate) == ((10.0, -5.0), None, None)
    assert (half.energy, half.head_range) == (1.25, 0.5)
    assert (half.gain, half.offset, half.hold) == ({"jawOpen": 1.5}, {"headYaw": 5.0}, {})
    later = Timeline(((0.0, b), (2.0, Controls(hold={"mouthPucker": 0.1}, blink_rate=10.0))))
    assert later.at(1.0).hold["mouthPucker"] == pytest.approx(0.3)
    assert later.at(1.0).blink_rate == 20.0
    assert later.at(1.0).head == (0.0, 8.0, 0.0)


def test_timelines_are_in_order_and_can_be_sent_elsewhere() -> None:
    with pytest.raises(InputError, match="rise"):
        Timeline(((1.0, Controls()), (1.0, Controls())))
    with pytest.raises(InputError, match="at least one"):
        Timeline(())
    steady = Timeline.steady(Controls(intensity=0.5, gain={"jawOpen": 1.1}))
    assert pickle.loads(pickle.dumps(steady)) == steady
    assert as_timeline(None) == Timeline()
    assert as_timeline(steady) is steady
    assert as_timeline(Controls(intensity=0.5, gain={"jawOpen": 1.1})) == steady


def rows(*controls: Controls) -> np.ndarray:
    return conditions.control_rows(controls, np.zeros(len(controls), bool))


def test_the_default_row_asks_for_a_neutral_face_as_lively_as_usual() -> None:
    row = rows(Controls())[0]
    known = {EMOTIONS.index("neutral"), 8, conditions.HAS_BLINK, conditions.HAS_ENERGY,
             conditions.HAS_SPEECH}  # fmt: skip
    assert set(np.flatnonzero(row)) == known
    assert row.max() == 1.0


def test_rows_say_what_is_asked() -> None:
    wish = Controls(Phase.LISTENING, "angry", 0.6, (15.0, -6.0), None, (5.0, -10.0, 0.0))
    row = conditions.control_rows([wish], np.array([True]))[0]
    assert row[conditions.EMOTION].sum() == pytest.approx(1.0)
    assert row[EMOTIONS.index("angry")] == pytest.approx(0.6)
    assert list(row[conditions.PHASE]) == [0, 1, 0]
    assert list(row[conditions.GAZE]) == pytest.approx([0.5, -0.2])
    assert list(row[conditions.HEAD]) == pytest.approx([0.5, -1.0, 0.0])
    ones = [conditions.HAS_GAZE, conditions.HAS_HEAD, conditions.BLINK]
    assert (row[ones] == 1.0).all()


@pytest.mark.parametrize("field", ["energy", "head_range", "intensity"])
def test_rows_rise_with_what_is_asked(field: str) -> None:
    low, high = (0.5, 1.5) if field == "energy" else (0.1, 1.0)
    asked = [Controls(emotion="happy", **{field: x}) for x in np.linspace(low, high, 9)]
    column = EMOTIONS.index("happy") if field == "intensity" else conditions.ENERGY.stop - 1
    steps = np.diff(rows(*asked)[:, column])
    assert (steps >= 0).all()
    assert (steps > 0).sum() >= 4
