"""What is made where nothing was filmed: mouths, upper faces, silent faces, emotions."""

from __future__ import annotations

import numpy as np
import pytest

from visavis.audio.phones import CLOSED, LABIAL, PHONES, PhoneRecognizer
from visavis.data import articulation, emotions, pairing, states
from visavis.motion import conditions
from visavis.motion.contact import lip_gap
from visavis.motion.controls import EMOTIONS
from visavis.motion.layout import INDEX, SIZE
from visavis.types import FloatArray, Phase

MOUTH = conditions.group("jaw") + conditions.group("lips")


def swaying(frames: int, seed: int) -> FloatArray:
    """Return a face that talks, sways and looks about."""
    t = np.arange(frames) / 25
    values = np.zeros((frames, SIZE), np.float32)
    values[:, INDEX["headScale"]] = 1.0
    values[:, INDEX["jawOpen"]] = 0.2 + 0.15 * np.sin(2 * np.pi * (2 + 0.5 * seed) * t)
    values[:, INDEX["headYaw"]] = 6 * np.sin(t + seed)
    values[:, INDEX["browInnerUp"]] = 0.2 + 0.1 * np.sin(2 * t + seed)
    return values


BANK = pairing.make_bank([swaying(400, i) for i in range(8)])


@pytest.fixture(scope="module")
def rows(speech: FloatArray) -> FloatArray:
    """Evidence of the demo voice."""
    return articulation.heard(speech[:48_000], PhoneRecognizer())


def test_known_phones_are_heard_exactly(rows: FloatArray) -> None:
    phones = ((0.5, 0.6, "AA"), (0.6, 0.7, "M"), (0.7, 0.8, "F"), (0.8, 0.8, "P"), (1, 1.1, "?"))
    out = articulation.exact(rows, phones)
    assert out.shape == rows.shape
    assert out[:, : len(PHONES)].sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert out[55, PHONES.index("AA")] == pytest.approx(1.0)
    assert out[65, CLOSED] == pytest.approx(1.0)
    assert out[75, LABIAL] == pytest.approx(1.0)
    assert not out[100:108, 1 : len(PHONES)].any()  # what is no phone is silence
    gap = lip_gap(articulation.spoken(out, 0))
    assert gap[16] < 0.02  # on m
    assert gap[14] > 0.2  # on a


def test_upper_faces_are_lent_without_a_jump_and_the_mouth_stays() -> None:
    mouth = swaying(500, 3)
    mouth[:, pairing.UPPER] = 0
    out = pairing.lent(mouth, BANK, np.random.default_rng(0))
    assert np.array_equal(out[:, MOUTH], mouth[:, MOUTH])
    assert np.ptp(out[:, INDEX["headYaw"]]) > 3
    assert np.abs(np.diff(out[:, INDEX["headYaw"]])).max() < 1.5  # the bank: 0.24 a frame
    assert np.array_equal(out, pairing.lent(mouth, BANK, np.random.default_rng(0)))


def test_clips_too_short_lend_nothing() -> None:
    assert not pairing.make_bank([swaying(40, 0)])


@pytest.mark.parametrize("phase", [Phase.LISTENING, Phase.IDLE])
def test_a_silent_face_lives_with_its_mouth_shut(phase: Phase) -> None:
    out = states.silent(500, phase, BANK, 7)
    assert out.shape == (500, SIZE)
    assert lip_gap(out).max() < 0.05
    assert out[:, INDEX["eyeBlinkLeft"]].max() > 0.8
    assert np.abs(np.diff(out[:, INDEX["headYaw"]])).max() < 1.0
    assert np.array_equal(out, states.silent(500, phase, BANK, 7))


def test_a_listener_nods_after_phrases(rows: FloatArray) -> None:
    quiet = np.tile(rows[:1], (4 * 500, 1))
    talk = quiet.copy()
    talk[:, 0], talk[:, conditions.LEVEL] = 1.0, -40.0
    for start in range(200, 2000, 300):
        talk[start : start + 120, 0], talk[start : start + 120, conditions.LEVEL] = 0.0, 0.0
    pitch = INDEX["headPitch"]
    alone = states.silent(500, Phase.LISTENING, BANK, 7)[:, pitch]
    heard = states.silent(500, Phase.LISTENING, BANK, 7, talk)[:, pitch]
    nods = heard - alone
    assert nods.min() < -1.0  # down first
    assert not nods[:79].any()  # the first phrase ends in frame 80


@pytest.mark.parametrize("name", EMOTIONS)
def test_emotions_add_to_speech_and_leave_its_contacts(name: str) -> None:
    values = swaying(50, 1)
    values[20:30, [INDEX["jawOpen"], INDEX["mouthClose"]]] = 0.1
    none, full = (emotions.felt(values, name, np.full(50, x, np.float32)) for x in (0.0, 1.0))
    assert none == pytest.approx(values, abs=1e-6)
    assert full[:, :52].min() >= 0
    assert full[:, :52].max() <= 1
    apart = np.abs(full - values).max()
    assert apart == 0 if name == "neutral" else apart > 0.3
    assert full[20:30, INDEX["jawOpen"]] == pytest.approx(0.1, abs=1e-5)
