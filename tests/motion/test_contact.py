"""Lips meet where the ear is sure, in any expression; elsewhere nothing is touched."""

from __future__ import annotations

import numpy as np

from visavis.audio.phones import CLOSED, LABIAL, LEVEL, PHONES, SIZE
from visavis.motion import contact
from visavis.motion.coarticulation import mouth, mouths, windows_of
from visavis.motion.layout import INDEX
from visavis.motion.layout import SIZE as VALUES

FRAMES = 12


def evidence(phone: str, column: int) -> np.ndarray:
    """Return rows of a vowel with ``phone`` in frames 5 and 6."""
    rows = np.zeros((4 * FRAMES, SIZE), np.float32)
    rows[:, PHONES.index("AA")] = 1
    rows[20:28, PHONES.index("AA")] = 0
    rows[20:28, PHONES.index(phone)] = 1
    rows[20:28, column] = 1
    rows[:, LEVEL] = 0
    return rows


def talking() -> np.ndarray:
    """Return an open, smiling mouth."""
    values = np.zeros((FRAMES, VALUES), np.float32)
    for name, value in (("jawOpen", 0.35), ("mouthUpperUpLeft", 0.3), ("mouthUpperUpRight", 0.3),
                        ("mouthFunnel", 0.2), ("mouthSmileLeft", 0.5)):  # fmt: skip
        values[:, INDEX[name]] = value
    return values


def test_lips_meet_on_m_and_stay_open_on_the_vowel() -> None:
    values = talking()
    out = contact.made(values, evidence("M", CLOSED), slice(0, FRAMES))
    gap = contact.lip_gap(out)
    assert (gap[5:7] < 0.02).all()
    assert np.array_equal(out[:2], values[:2])
    assert np.array_equal(out[10:], values[10:])
    assert (out[5:7, INDEX["mouthSmileLeft"]] == 0.5).all()  # the expression stays


def test_the_lower_lip_reaches_the_teeth_on_f() -> None:
    out = contact.made(talking(), evidence("F", LABIAL), slice(0, FRAMES))
    assert (out[5:7, INDEX["mouthRollLower"]] > 0.3).all()
    assert (out[5:7, INDEX["jawOpen"]] < 0.1).all()


def test_a_part_of_the_frames_is_treated_as_in_the_whole() -> None:
    rows, values = evidence("B", CLOSED), talking()
    whole = contact.made(values, rows, slice(0, FRAMES))
    assert np.array_equal(contact.made(values[4:8], rows, slice(4, 8)), whole[4:8])


def test_many_windows_at_once_are_the_same_as_one_by_one() -> None:
    windows = windows_of(evidence("P", CLOSED))
    each = np.stack([mouth(window) for window in windows])
    assert np.array_equal(mouths(windows), each)


def test_a_silent_mouth_is_shut_or_open_but_not_ajar() -> None:
    quiet = np.zeros((4 * FRAMES, SIZE), np.float32)
    quiet[:, 0] = 1
    quiet[:, LEVEL] = -50
    ajar, gaping = np.zeros((2, FRAMES, VALUES), np.float32)
    ajar[:, INDEX["jawOpen"]], gaping[:, INDEX["jawOpen"]] = 0.02, 0.2
    frames = slice(0, FRAMES)
    assert (contact.lip_gap(contact.made(ajar, quiet, frames)) < 0.005).all()
    assert np.array_equal(contact.made(gaping, quiet, frames), gaping)
    spoken = evidence("AA", PHONES.index("AA"))
    assert np.array_equal(contact.made(ajar, spoken, frames), ajar)
