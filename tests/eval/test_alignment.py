import json
from pathlib import Path

import numpy as np
import pytest
from made import heard

from visavis.audio.phones import PHONES
from visavis.errors import InputError, UnreadableMedia
from visavis.eval import alignment
from visavis.opening import DEMO_SPEECH


def written(folder: Path, content: object) -> Path:
    path = folder / "phones.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_phones_are_read_with_stress_and_noise_marks(tmp_path: Path) -> None:
    rows = [[-0.01, 0.1, "sil"], [0.1, 0.2, "AH0"], [0.2, 0.3, "spn"], [0.3, 0.4, "b"]]
    expected = [(0.0, 0.1, "SIL"), (0.1, 0.2, "AH"), (0.2, 0.3, "SIL"), (0.3, 0.4, "B")]
    assert alignment.read_phones(written(tmp_path, rows)) == expected
    assert alignment.read_phones(written(tmp_path, {"phones": rows})) == expected


@pytest.mark.parametrize("content", [[], {}, [[0, 1]], [[2, 1, "AA"]], [["x", 1, "AA"]], 7, None])
def test_other_content_is_refused_in_one_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match="ARPAbet") as caught:
        alignment.read_phones(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        alignment.read_phones(tmp_path / "none.json")
    (tmp_path / "broken.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UnreadableMedia):
        alignment.read_phones(tmp_path / "broken.json")


def test_given_phones_lie_on_the_rows_of_the_sound(tmp_path: Path) -> None:
    path = written(tmp_path, [[0.5, 0.7, "AA"], [0.7, 0.8, "M"]])
    found = alignment.hear(DEMO_SPEECH, alignment.read_phones(path))
    assert len(found.phones) == len(found.peaks)
    assert [(s.start, s.end, s.name) for s in found.spans()[1:3]] == [(50, 70, "AA"), (70, 80, "M")]


def test_our_ear_finds_speech_and_silence() -> None:
    found = alignment.hear(DEMO_SPEECH)
    loud = found.peaks > 0.1 * found.peaks.max()
    is_speech = found.phones != alignment.SILENCE
    assert is_speech[loud].mean() > 0.9
    assert sum(s.name in ("P", "B", "M") for s in found.spans()) >= 5


def test_decoding_keeps_the_likely_and_drops_the_flicker() -> None:
    said = heard((20, "AA"), (10, "M"), (20, "IY")).phones
    posteriors = np.full((50, len(PHONES)), 0.2 / len(PHONES), np.float32)
    posteriors[np.arange(50), said] = 0.8
    posteriors[[5, 40]] = posteriors[[5, 40]][:, ::-1]
    assert alignment.decode(posteriors).tolist() == said.tolist()


def test_fitting_cuts_and_fills_with_silence() -> None:
    said = heard((20, "AA"))
    assert alignment.fitted(said, 5).phones.tolist() == said.phones[:5].tolist()
    longer = alignment.fitted(said, 30)
    assert (longer.phones[20:] == alignment.SILENCE).all()
    assert len(longer.peaks) == 30


def test_devices_and_absurd_nesting_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia):
        alignment.read_phones("/dev/zero")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(UnreadableMedia):
        alignment.read_phones(deep)
