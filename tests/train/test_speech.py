"""Labelled speech: phones of all languages as seen, made speech, disturbances, a training run."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visavis.audio.features import row_count
from visavis.audio.mel import BANDS
from visavis.audio.phones import PHONES
from visavis.train import espeak
from visavis.train.ipa import CLASSES, NEARLY, classes
from visavis.train.sentences import HELD_OUT, SENTENCES, is_held_out_voice
from visavis.train.speech_data import codec, is_held_out, load_corpus, row_labels
from visavis.train.spoken import espeak_clip, to_phones, with_pauses, write_wav
from visavis.types import SAMPLE_RATE

needs_espeak = pytest.mark.skipif(not espeak.is_present(), reason="needs espeakng-loader")


def test_lips_decide_the_class() -> None:
    assert classes("ˈpapa mˈɓ") == ["P", "AA", "P", "AA", "M", "B"]
    assert classes("fʋv") == ["F", "V", "V"]
    assert classes("βɸ") == [NEARLY, NEARLY]
    assert classes("yøu") == ["UW", "ER", "UW"]  # rounded, whatever the tongue does


def test_two_vowels_are_one_phone_in_english_only() -> None:
    assert classes("taɪm", english=True) == ["T", "AY", "M"]
    assert classes("taɪm") == ["T", "AA", "IH", "M"]
    assert classes("bɜːd", english=True) == ["B", "ER", "D"]


def test_every_class_is_a_phone_of_the_network() -> None:
    assert set(CLASSES.values()) - {NEARLY} <= set(PHONES)
    assert set(PHONES) - set(CLASSES.values()) == {"SIL"}


def test_marks_join_their_phone() -> None:
    timed = [(0.0, 0.1, ""), (0.1, 0.2, "ˈ"), (0.2, 0.3, "b"), (0.3, 0.4, "i"), (0.4, 0.5, "ː")]
    assert to_phones(timed, "de") == [(0.0, 0.1, "_"), (0.1, 0.3, "B"), (0.3, 0.5, "IY")]


def test_halves_of_one_sound_are_put_together() -> None:
    timed = [(0.0, 0.1, "t"), (0.1, 0.2, "ʃ"), (0.2, 0.3, "o"), (0.3, 0.4, "ʊ")]
    assert to_phones(timed, "en-us") == [(0.0, 0.2, "CH"), (0.2, 0.4, "OW")]
    assert [p for *_, p in to_phones(timed, "pt-br")] == ["CH", "OW", "UH"]


def test_only_long_quiet_gaps_are_silence() -> None:
    sound = np.ones(1000, np.float32)
    sound[300:500] = 0.0
    phones = [(0.0, 0.1, "_"), (0.1, 0.3, "AA"), (0.3, 0.5, "_"), (0.5, 0.6, "M"),
              (0.6, 0.7, "_"), (0.7, 1.0, "B")]  # fmt: skip
    found = with_pauses(phones, sound, 1000)
    assert [p for *_, p in found] == ["SIL", "AA", "SIL", "M", "B"]
    assert found[3][1] == found[4][0] == pytest.approx(0.65)


def test_held_out_voices_and_speakers_are_never_learnt_from() -> None:
    assert is_held_out("p228_001", 0)
    assert is_held_out("ef_dora_3", 1)
    assert is_held_out("18-1-2", 0)
    assert not is_held_out("19-1-2", 0)
    assert is_held_out("LJ001", 5)
    assert not is_held_out("LJ001", 6)
    assert not is_held_out_voice("af_heart")
    assert set(HELD_OUT) & set(SENTENCES)


def test_doubtful_rows_teach_nothing() -> None:
    labels = row_labels([(0.0, 0.1, "AA"), (0.1, 0.2, "P"), (0.2, 0.3, NEARLY)], 30)
    assert (labels[:10] == [PHONES.index("AA"), 0, 0]).all()
    assert (labels[10:16, 1] == 1).all()
    assert (labels[17:20, 1] == -1).all()
    assert (labels[20:] == -1).all()


def test_codecs_do_not_move_the_sound() -> None:
    sound = np.zeros(SAMPLE_RATE, np.float32)
    tone = 0.3 * np.sin(2 * np.pi * 700 * np.arange(1600) / SAMPLE_RATE)
    sound[8000:9600] = tone
    for seed in range(4):
        heard = codec(sound, np.random.default_rng(seed))
        lag = int(np.argmax(np.correlate(heard[7000:10600], sound[8000:9600], "valid"))) - 1000
        assert heard.shape == sound.shape
        assert abs(lag) <= 16


@needs_espeak
def test_espeak_closes_where_it_is_silent() -> None:
    sound, rate, phones = espeak_clip("papa", "it")
    start_s, end_s, _ = [x for x in phones if x[2] == "P"][1]
    level = np.abs(sound[int(start_s * rate) : int(end_s * rate)])
    assert [p for *_, p in phones if p != "SIL"] == ["P", "AA", "P", "AA"]
    assert end_s - start_s > 0.05
    assert level[: int(0.02 * rate)].max() < 0.05 * np.abs(sound).max()


@needs_espeak
def test_every_language_can_be_spelt() -> None:
    for language, sentences in SENTENCES.items():
        names = classes(espeak.spell(sentences[0], language), language.startswith("en"))
        assert len(names) > 15
        assert {"P", "B", "M"} & set(names)


def _corpus(folder: Path, rng: np.random.Generator) -> Path:
    """Write three clips of noise bursts that are called vowels, and gaps that are called M."""
    folder.mkdir()
    entries = {}
    for name in ("a1", "a2", "p228_x"):
        sound = 0.2 * rng.standard_normal(SAMPLE_RATE * 2)
        phones = [[i * 0.2, i * 0.2 + 0.2, "AA" if i % 2 else "M"] for i in range(10)]
        for start_s, end_s, phone in phones:
            if phone == "M":
                sound[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)] *= 0.01
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((sound * 32767).clip(-32768, 32767).astype("<i2").tobytes())
        entries[name] = {"seconds": 2.0, "phones": phones}
    folder.with_name(folder.name + ".json").write_text(json.dumps(entries), "utf-8")
    return folder


def test_corpus_has_a_label_for_every_row(tmp_path: Path) -> None:
    clips = load_corpus(_corpus(tmp_path / "made", np.random.default_rng(0)), 0.5)
    assert [c.name for c in clips] == ["a1", "a2", "p228_x"]
    for clip in clips:
        assert len(clip.phones) == row_count(len(clip.samples))
        assert clip.weight == 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_goes_on_exactly_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from visavis.nn.session import Network
    from visavis.train.tasks import phones

    made = _corpus(tmp_path / "made", np.random.default_rng(0))

    def run(out: str, *more: str) -> None:
        line = ["--data", f"{made}=2", "--voices", str(made), "--out", str(tmp_path / out)]
        line += ["--steps", "3", "--every", "2", "--batch", "2", *more]
        phones.train(phones.arguments(line))

    run("whole")
    honest, steps = phones.Training.step, 0

    def killed(self: Any, *args: Any) -> float:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return honest(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(phones.Training, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            run("parts")
    run("parts", "--resume")
    saved = [torch.load(tmp_path / n / "last.pt", weights_only=True) for n in ("whole", "parts")]
    for name, values in saved[0]["average"].items():
        assert torch.equal(values, saved[1]["average"][name])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == 3
    _check_parity(torch, phones, Network(str(tmp_path / "whole/phones.onnx")), saved[0]["average"])


def _check_parity(torch: Any, phones: Any, shipped: Any, weights: dict[str, Any]) -> None:
    """Compare PyTorch's network with the ONNX file, whose weights are in half precision."""
    network = phones.PhoneNetwork().eval()
    network.load_state_dict(weights)
    mel = np.random.default_rng(1).normal(-9, 3, (1, 4, BANDS)).astype(np.float32)
    cache = np.zeros(shipped.shape("cache"), np.float32)
    with torch.no_grad():
        wanted = phones.Exported(network)(torch.from_numpy(mel), torch.from_numpy(cache))
    for mine, other in zip(shipped({"mel": mel, "cache": cache}), wanted, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), atol=2e-2)


def test_made_speech_is_written_at_the_rate_of_the_package(tmp_path: Path) -> None:
    sound = 3 * np.sin(np.arange(24_000) / 20).astype(np.float32)
    assert write_wav(tmp_path / "a.wav", sound, 24_000) == 1.0
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        peak = np.abs(np.frombuffer(file.readframes(16_000), "<i2")).max()
    assert 0.69 < peak / 32_767 < 0.701
