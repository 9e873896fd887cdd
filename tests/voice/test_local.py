import sys

import numpy as np
import pytest

from visavis.errors import InputError, MissingExtra
from visavis.voice.local import LocalVoice, check_readable, closely_cut
from visavis.voice.speech import voice_by
from visavis.voice.text import spoken

RATE = 24_000


@pytest.fixture(scope="module")
def voice() -> LocalVoice:
    pytest.importorskip("hibari")
    return LocalVoice()


def loud_s(sound: np.ndarray) -> np.ndarray:
    """Seconds in which something is heard."""
    return np.flatnonzero(np.abs(sound) > 0.02) / RATE


def test_a_sentence_sounds_soon_and_long_enough(voice: LocalVoice) -> None:
    (sound,) = voice.speak("Hello there, how are you today?")
    assert voice.rate == RATE
    assert sound.dtype == np.float32
    assert np.abs(sound).max() < 1.0
    heard = loud_s(sound)
    assert heard[0] < 0.12, "hibari's own third of a second of silence is cut off"
    assert 1.0 < heard[-1] - heard[0] < 3.0
    assert 0.15 < len(sound) / RATE - heard[-1] < 0.5, "a pause before the next sentence"


def test_each_sentence_is_a_piece_of_its_own_the_same_each_time(voice: LocalVoice) -> None:
    text = "One. Two is a little longer! Three?"
    first, again = list(voice.speak(text)), list(voice.speak(text))
    assert len(first) == 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(first[1]) > len(first[0])
    assert np.array_equal(next(voice.speak("Two is a little longer!")), first[1])


def test_numbers_and_abbreviations_are_read_as_words(voice: LocalVoice) -> None:
    def seconds(text: str) -> float:
        return sum(map(len, voice.speak(text))) / RATE

    assert seconds("$3.50") == pytest.approx(seconds("three dollars and fifty cents"), rel=0.2)
    assert seconds("Dr. Smith") == pytest.approx(seconds("Doctor Smith"), rel=0.2)
    assert seconds("1,250") > 2 * seconds("12") > 0.5


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "😀"])
def test_nothing_to_say_is_no_sound(voice: LocalVoice, text: str) -> None:
    assert list(voice.speak(text)) == []
    with pytest.raises(InputError, match="no word"):
        spoken(text, voice)


@pytest.mark.parametrize(
    ("text", "named"),
    [("Say Привет!", "Cyrillic"), ("你好", "Cjk"), ("مرحبا", "Arabic"), ("λόγος", "Greek")],
)
def test_other_letters_are_refused_before_a_sound(text: str, named: str) -> None:
    with pytest.raises(InputError, match=f"{named} letters.*Latin"):
        check_readable(text)


@pytest.mark.parametrize("text", ["café, naïve, Łódź", "π is 3.14", "10 µm, 2º, 5ª", "don’t “say”"])
def test_letters_with_accents_and_single_greek_ones_are_read(voice: LocalVoice, text: str) -> None:
    assert sum(map(len, voice.speak(text))) > RATE // 4


def test_text_becomes_sound_to_animate(voice: LocalVoice) -> None:
    samples, rate = spoken("Hello. Good bye.", voice)
    assert rate == RATE
    assert samples.dtype == np.float32
    assert not samples[: int(0.3 * rate)].any()
    assert not samples[-int(0.5 * rate) :].any()
    assert 1.5 < len(samples) / rate < 4.0


def test_the_pace_changes(voice: LocalVoice) -> None:
    text = "This is a sentence of some length."
    slow, fast = (sum(map(len, LocalVoice(pace).speak(text))) for pace in (0.8, 1.5))
    assert slow > 1.4 * fast
    with pytest.raises(InputError, match="0.5 to 2"):
        LocalVoice(3.0)


def test_silence_cannot_be_cut_closer() -> None:
    assert len(closely_cut(np.zeros(RATE, np.float32), RATE)) == 0
    assert len(closely_cut(np.zeros(3, np.float32), RATE)) == 0


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(MissingExtra, match=r'pip install "visavis\[voice\]"'):
        voice_by("local")


@pytest.mark.parametrize(
    "name",
    ["", "alloy", "local:1", "openai", "openai:tts-1", "openai:@http://a", "openai:m@ftp://a"],
)
def test_unknown_voices_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        voice_by(name)
