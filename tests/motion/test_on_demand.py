"""Motion made on demand and taken back, as live sessions do, on a small NumPy denoiser."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denoiser import Denoiser
from visavis.errors import InputError
from visavis.motion.chunks import ChunkPlan
from visavis.motion.controls import Controls, Timeline
from visavis.motion.diffused import DiffusedMotion
from visavis.motion.diffused_state import DiffusedState
from visavis.motion.layout import pack
from visavis.types import Features, Phase

ROWS = np.abs(np.random.default_rng(7).normal(0, 0.4, (400, 45))).astype(np.float32)
OTHER = np.abs(np.random.default_rng(8).normal(0, 0.4, (400, 45))).astype(np.float32)
PLAN = ChunkPlan(first=2, longest=16)
MODEL = DiffusedMotion(Denoiser(), plan=PLAN)
PLAIN = Timeline()


def features(rows: np.ndarray, state: DiffusedState, frames: int = 40) -> Features:
    start = 4 * state.frame
    return Features(rows[start : start + 4 * frames], 100, start)


def extended(
    state: DiffusedState, *lengths: int, timeline: Timeline = PLAIN
) -> tuple[DiffusedState, np.ndarray]:
    parts = [np.zeros((0, 58), np.float32)]
    for length in lengths:
        state, motion = MODEL.extend(
            state, features(ROWS, state), timeline, length, features(OTHER, state)
        )
        assert len(motion) == length
        parts.append(pack(motion))
    return state, np.concatenate(parts)


def test_chunks_as_planned_are_those_of_step() -> None:
    offline = DiffusedMotion(Denoiser(), plan=PLAN)
    known = Features(ROWS[:240], 100), Features(OTHER[:240], 100)
    stepped = pack(offline.step(offline.start(1), known[0], PLAIN, False, known[1])[1])
    lengths = [PLAN.length(i) for i in range(5)]
    _, moved = extended(MODEL.start(1), *lengths)
    assert np.array_equal(stepped[: len(moved)], moved)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 16), min_size=2, max_size=5), share=st.floats(0.01, 0.99))
def test_what_is_taken_back_was_never_made(lengths: list[int], share: float) -> None:
    state, whole = extended(MODEL.start(1), *lengths)
    last = lengths[-1]
    kept = min(max(1, round(share * last)), last)
    frame = state.frame - last + kept
    cut = pickle.loads(pickle.dumps(MODEL.cut(state, frame)))
    assert cut.frame == frame
    assert len(cut.rows) == len(cut.other) == 4 * len(cut.context)
    assert len(cut.context) == min(frame, PLAN.context)
    before, _ = extended(MODEL.start(1), *lengths[:-1])
    same = MODEL.cut(extended(before, last)[0], frame)
    a, b = (extended(s, 4)[1] for s in (cut, same))
    assert np.array_equal(a, b)
    assert np.isfinite(whole).all()


def test_motion_goes_on_without_a_jump_where_it_was_cut() -> None:
    state, whole = extended(MODEL.start(1), 12, 16)
    usual = np.abs(np.diff(whole[:, 52:], axis=0)).max()
    for frame in (14, 20, 27):
        cut = MODEL.cut(state, frame)
        idle = Timeline.steady(Controls(phase=Phase.IDLE))
        _, after = extended(cut, 4, timeline=idle)
        jump = np.abs(after[0, 52:] - whole[frame - 1, 52:]).max()
        assert jump <= 2.0 * usual + 1e-3, frame


def test_only_the_last_chunk_can_be_taken_back() -> None:
    state, _ = extended(MODEL.start(1), 4, 8)
    for frame in (4, 3, 13):
        with pytest.raises(InputError, match="last chunk"):
            MODEL.cut(state, frame)
    assert MODEL.cut(state, 12).frame == 12
    with pytest.raises(InputError, match="last chunk"):
        MODEL.cut(MODEL.cut(state, 6), 4)


def test_what_is_not_known_is_silence() -> None:
    state, _ = extended(MODEL.start(1), 16)
    nothing, _ = MODEL.extend(state, None, PLAIN, 4)
    assert len(nothing.rows) == 4 * len(nothing.context)
    assert nothing.rows[-1, 0] == 1.0
    again, motion = MODEL.extend(nothing, features(ROWS, nothing), PLAIN, 4)
    assert again.frame == 24
    assert np.isfinite(pack(motion)).all()
