"""Clips come back as they were written, and their persons keep to one side."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from visavis.data.clip import Clip, read_clip, write_clip
from visavis.data.people import TEST_PERSONS, split_of
from visavis.types import Phase


def test_a_clip_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clip = Clip(
        "a+b_00", "anna", "listening", rng.random((25, 58), np.float32), rng.random(58) > 0.5,
        rng.uniform(-1, 1, 16_000).astype(np.float32), np.array([2.0, -2.0], np.float32),
        is_heard=False, phase=Phase.LISTENING, phones=((0.1, 0.2, "P"), (0.2, 0.3, "AA")),
        emotion="sad", intensity=0.25,
    )  # fmt: skip
    got = read_clip(write_clip(tmp_path, clip))
    for field in fields(Clip):
        wanted, found = getattr(clip, field.name), getattr(got, field.name)
        if field.name in ("samples", "other"):
            assert np.abs(found - np.clip(wanted, -1, 1)).max() < 1e-4
            assert found.dtype == np.float32
        else:
            assert np.array_equal(found, wanted), field.name
    assert [p.name for p in tmp_path.iterdir()] == ["a+b_00.npz"]


def test_the_shared_persons_are_split_by_list() -> None:
    assert {split_of(p) for p in TEST_PERSONS} == {"test"}
    assert split_of("hdtf/Somebody") == "train"
    assert split_of("silent/bert") == "train"  # not silent/b


def test_a_tenth_of_other_persons_is_kept_for_judging() -> None:
    splits = [split_of(f"person {i}") for i in range(2000)]
    for name in ("validation", "test"):
        assert 0.03 < splits.count(name) / len(splits) < 0.07
