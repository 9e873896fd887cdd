import numpy as np
import pytest

from visavis.audio.vad import activity_by
from visavis.dialogue.listener import LONGEST_S, Listener
from visavis.dialogue.turns import Turned, TurnRules
from visavis.media.resample import resample
from visavis.types import SAMPLE_RATE, Audio

RULES = TurnRules(end_ms=400)


class Loudness:
    """Somebody speaks where it is loud; exact, so that positions can be checked."""

    hop_samples = 160
    look_ahead_samples = 0

    def start(self) -> np.ndarray:
        return np.zeros(0, np.float32)

    def step(self, state: np.ndarray, audio: Audio) -> tuple[np.ndarray, np.ndarray]:
        sound = np.concatenate([state, audio.samples])
        whole = len(sound) // 160 * 160
        level = np.abs(sound[:whole]).reshape(-1, 160).max(1)
        return sound[whole:], (level > 0.1).astype(np.float32)


def played(listener: Listener, sound: np.ndarray, piece: int, rate: int = SAMPLE_RATE):
    found = []
    for i in range(0, len(sound), piece):
        for turned, cut in listener.hear(sound[i : i + piece], rate, False):
            found.append((turned, i + piece, cut))
    return found


def loud(*spans_s: tuple[float, float], seconds: float) -> np.ndarray:
    sound = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    for start, end in spans_s:
        sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] = 0.5
    return sound


@pytest.mark.parametrize("piece", [1, 7, 320, 5000, 64_000])
def test_a_turn_is_cut_out_with_a_moment_before_and_after(piece: int) -> None:
    sound = loud((1.0, 2.0), (2.3, 3.0), seconds=4.0)
    (started, at, _), (ended, _, cut) = played(Listener(Loudness(), RULES), sound, piece)
    assert (started, ended) == (Turned.STARTED, Turned.ENDED)
    assert at >= 1.0 * SAMPLE_RATE + 96 * 16
    if piece < 1000:
        assert at <= 1.0 * SAMPLE_RATE + 100 * 16 + 320
    assert len(cut) == pytest.approx((2.0 + 0.25 + 0.2) * SAMPLE_RATE, abs=320)
    assert np.flatnonzero(cut)[0] == pytest.approx(0.25 * SAMPLE_RATE, abs=320)
    assert np.count_nonzero(cut) == np.count_nonzero(sound)


def test_the_very_first_sound_can_begin_a_turn() -> None:
    (_, _, _), (_, _, cut) = played(Listener(Loudness(), RULES), loud((0, 1), seconds=2), 320)
    assert cut[0] == 0.5


def test_a_long_silence_and_many_turns_are_not_kept() -> None:
    listener = Listener(Loudness(), RULES)
    played(listener, np.zeros(60 * SAMPLE_RATE, np.float32), 1600)
    assert len(listener._kept) < 3 * SAMPLE_RATE
    turns = played(listener, np.tile(loud((0.5, 1.0), seconds=2.0), 5), 320)
    assert len(turns) == 10
    assert all(np.count_nonzero(cut) == SAMPLE_RATE // 2 for _, _, cut in turns[1::2])
    assert len(listener._kept) < 3 * SAMPLE_RATE


def test_endless_speech_is_taken_in_turns() -> None:
    listener = Listener(Loudness(), RULES)
    turns = played(listener, loud((0, LONGEST_S + 20), seconds=LONGEST_S + 20), 1600)
    assert [turned for turned, _, _ in turns] == [Turned.STARTED, Turned.ENDED, Turned.STARTED]
    assert len(turns[1][2]) == pytest.approx(LONGEST_S * SAMPLE_RATE, rel=0.02)


def test_other_rates_and_a_change_of_rate(speech: np.ndarray) -> None:
    listener = Listener(activity_by("auto"), TurnRules())
    word = np.concatenate([speech[: int(1.2 * SAMPLE_RATE)], np.zeros(16_000, np.float32)])
    first = played(listener, resample(word, SAMPLE_RATE, 48_000), 960, 48_000)
    second = played(listener, word, 320)
    assert [t for t, _, _ in first + second] == [Turned.STARTED, Turned.ENDED] * 2
    assert len(first[1][2]) == pytest.approx(len(second[1][2]), abs=1600)
