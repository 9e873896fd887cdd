"""`visavis evaluate` on a video made by `visavis animate`, and on what it must refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import visavis
from product import visavis as command
from visavis.errors import InputError, NoFaceFound, UnreadableMedia
from visavis.eval.evaluate import evaluate
from visavis.eval.report import write_report
from visavis.media.write import open_writer
from visavis.opening import DEMO_PORTRAIT

PROMISED = {
    "closure_recall", "av_offset_ms", "mouth_speed_in_silence", "head_jitter", "blinks_per_min",
    "head_range_deg", "identity_distance", "sharpness",
}  # fmt: skip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "talk <1>.mp4"
    sound = np.concatenate([speech[: 16_000 * 3], np.zeros(16_000, np.float32)])
    visavis.animate(str(DEMO_PORTRAIT), (sound, 16_000), path, size=256)
    return path


def still(path: Path, image: np.ndarray, frames: int) -> Path:
    """Write ``frames`` copies of ``image`` as a silent video."""
    with open_writer(path, image.shape[1::-1], 25, None, None) as writer:
        for _ in range(frames):
            writer.write(image)
    return path


def test_figures_and_page_of_our_own_video(video: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    result = evaluate(video, portrait=DEMO_PORTRAIT, progress=seen.append)
    figures = result.figures
    assert set(figures) >= PROMISED
    assert seen == list(range(1, 101))
    assert figures["face_seen"] == 1.0
    assert figures["seconds"] == 4.0
    assert abs(figures["av_offset_ms"]) < 60
    assert figures["mouth_speed_in_silence"] < 0.15
    assert 0.7 < figures["sharpness"] < 1.3
    json.dumps(figures, allow_nan=False)
    page = write_report(tmp_path / "page", video, result)
    text = page.read_text("utf-8")
    assert "talk &lt;1&gt;.mp4" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert text.count("<figure>") > 12
    assert [p.name for p in page.parent.iterdir()] == ["report.html"]


def test_the_command_ends_with_json(video: Path, tmp_path: Path) -> None:
    run = command("evaluate", str(video), "--report", "page.html", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert set(figures) >= PROMISED
    assert figures["sharpness"] is None
    assert "--portrait" in run.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_given_phones_are_used(video: Path, tmp_path: Path) -> None:
    phones = tmp_path / "phones.json"
    phones.write_text('[[0.5, 0.6, "M"], [1.0, 1.1, "B"], [1.5, 1.6, "AA"]]', "utf-8")
    figures = evaluate(video, phones=phones).figures
    assert (figures["closures"], figures["openings"], figures["phones"]) == (2, 1, "given")


def test_a_video_without_sound_says_how_to_give_it(
    tmp_path: Path, portrait: visavis.Portrait
) -> None:
    path = still(tmp_path / "silent.mp4", portrait.image[::4, ::4].copy(), 20)
    with pytest.raises(UnreadableMedia, match="--audio"):
        evaluate(path)


def test_too_short_and_without_a_face(
    tmp_path: Path, portrait: visavis.Portrait, speech: np.ndarray, video: Path
) -> None:
    grey = still(tmp_path / "grey.mp4", np.full((128, 128, 3), 90, np.uint8), 20)
    with pytest.raises(NoFaceFound, match="No face found in the 20 pictures"):
        evaluate(grey, audio=video)
    short = still(tmp_path / "short.mp4", portrait.image[::4, ::4].copy(), 3)
    with pytest.raises(InputError, match="3 pictures"):
        evaluate(short, audio=video)


@pytest.mark.parametrize("words", [["none.mp4"], [str(DEMO_PORTRAIT)]])
def test_other_files_end_in_one_line(tmp_path: Path, words: list[str]) -> None:
    run = command("evaluate", *words, folder=tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
