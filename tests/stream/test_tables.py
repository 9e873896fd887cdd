"""The small pure parts of a session: phases, policy, overload, settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visavis.errors import InputError
from visavis.stream import phases
from visavis.stream.overload import LEVELS, Load, is_drawn, judged
from visavis.stream.phases import Cue, after
from visavis.stream.policy import SESSION, Supply, chunk_frames, may_begin
from visavis.stream.settings import Settings, as_sound
from visavis.types import Phase


def test_the_table_of_phases_is_the_one_in_its_page() -> None:
    lines = phases.__doc__.splitlines()
    header = next(line for line in lines if line.startswith("phase"))
    cues = header.split()[1:]
    assert cues == [cue.value for cue in Cue]
    for phase in Phase:
        row = next(line for line in lines if line.startswith(phase.value)).split()
        assert [after(phase, Cue(c)).value for c in cues] == row[1:]


@given(
    chunk=st.integers(0, 40), frames=st.integers(0, 80), sounding=st.integers(0, 90),
    is_whole=st.booleans(), is_due=st.booleans(),
)  # fmt: skip
def test_chunks_are_never_longer_than_what_is_known(
    chunk: int, frames: int, sounding: int, is_whole: bool, is_due: bool
) -> None:
    made = chunk_frames(SESSION, chunk, Supply(frames, sounding, is_whole), is_due)
    assert 0 <= made <= SESSION.longest
    if is_whole:
        assert made == max(1, min(SESSION.length(chunk), sounding))
    elif made:
        assert made + SESSION.ahead <= frames or (is_due and made <= min(sounding, SESSION.first))


def test_chunks_grow_while_there_is_sound() -> None:
    plenty = Supply(60, 60, is_whole=False)
    assert [chunk_frames(SESSION, i, plenty, False) for i in range(6)] == [2, 4, 8, 16, 16, 16]
    assert chunk_frames(SESSION, 0, Supply(3, 5, is_whole=False), is_due=False) == 0
    assert chunk_frames(SESSION, 0, Supply(3, 5, is_whole=False), is_due=True) == 2
    assert chunk_frames(SESSION, 3, Supply(7, 9, is_whole=False), is_due=False) == 5


def test_bursts_begin_sooner_than_sound_at_the_pace_of_speech() -> None:
    assert may_begin(SESSION, Supply(4, 7, is_whole=False), waited_frames=0)
    assert not may_begin(SESSION, Supply(4, 7, is_whole=False), waited_frames=7)
    assert may_begin(SESSION, Supply(6, 9, is_whole=False), waited_frames=9)
    assert may_begin(SESSION, Supply(0, 1, is_whole=True), waited_frames=0)
    assert not may_begin(SESSION, Supply(3, 6, is_whole=False), waited_frames=0)


def run(load: Load, lates: str) -> Load:
    for late in lates:
        load = judged(load, late == "L")
    return load


def test_overload_steps_down_and_up_again() -> None:
    assert run(Load(), "L" * 2).level == 0
    assert run(Load(), "L" * 3).level == 1
    assert run(Load(), "L......................" * 8).level == 0, "a late frame now and then"
    assert run(Load(), "L" * 30).level == len(LEVELS) - 1
    down = run(Load(), "LLL")
    assert run(down, "." * 249).level == 1
    up = run(down, "." * 250)
    assert up.level == 0
    relapsed = run(up, "LLL")
    assert relapsed.level == 1
    assert run(relapsed, "." * 499).level == 1, "patience doubles after a relapse"
    assert run(relapsed, "." * 500).level == 0


def test_every_level_draws_its_share() -> None:
    for level, (_, every) in enumerate(LEVELS):
        assert sum(is_drawn(level, i) for i in range(100)) == 100 // every


@pytest.mark.parametrize(
    "given", [{"seed": -1}, {"sound_rate": 44_101}, {"sound_rate": 100}, {"ahead": 0}]
)
def test_settings_that_cannot_be(given: dict) -> None:
    with pytest.raises(InputError):
        Settings(**given)


def test_sound_is_taken_as_floats_and_as_int16() -> None:
    assert as_sound(np.array([16384, -32768], np.int16), 16_000).tolist() == [0.5, -1.0]
    assert as_sound(np.array([np.nan, 3.0, -0.5]), 48_000).tolist() == [0.0, 1.0, -0.5]
    for wrong in (np.zeros((2, 2)), np.zeros(3, np.int32), np.zeros(3, np.complex64)):
        with pytest.raises(InputError, match="sound"):
            as_sound(wrong, 16_000)
    with pytest.raises(InputError, match="rate"):
        as_sound(np.zeros(3), 1)
