"""From videos to clips: a film of our own, whose motion is known, and films that are no good."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import visavis
from visavis.api import Tick
from visavis.data.clip import read_clip
from visavis.data.prepare import _between, _unfit, prepare, sampled
from visavis.data.report import Report, Verdict, table, write_report
from visavis.errors import InputError, OutputError
from visavis.motion.files import read_motion
from visavis.motion.layout import INDEX, pack
from visavis.opening import DEMO_PORTRAIT, DEMO_SPEECH
from visavis.types import SAMPLE_RATE, FloatArray


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FloatArray]:
    """A speaking portrait and the motion that moved it."""
    folder = tmp_path_factory.mktemp("film")
    video, motion = folder / "talks" / "demo.mp4", folder / "demo.json"
    video.parent.mkdir()
    visavis.animate(
        DEMO_PORTRAIT, DEMO_SPEECH, video, size=256, trim=(0, 5), seed=4, motion_out=motion,
        motion_model="rules",
    )  # fmt: skip
    return video, pack(read_motion(motion))


@pytest.fixture(scope="module")
def done(film: tuple[Path, FloatArray]) -> tuple[Path, Report, list[Tick]]:
    out, ticks = film[0].parents[1] / "clips", []
    (film[0].parent / "broken.mp4").write_bytes(b"no video" * 20)
    report = prepare([film[0].parent], out, progress=ticks.append)
    return out, report, ticks


def test_the_clip_is_the_motion_that_made_the_film(
    film: tuple[Path, FloatArray], done: tuple[Path, Report, list[Tick]]
) -> None:
    clip = read_clip(done[0] / "demo_00.npz")
    true = film[1][: len(clip.motion)]
    assert clip.motion.shape == (125, 58)
    for name, least in (("jawOpen", 0.7), ("eyeBlinkLeft", 0.7), ("headYaw", 0.8)):
        got = clip.motion[:, INDEX[name]]
        assert np.corrcoef(got, true[:, INDEX[name]])[0, 1] > least, name


def test_sound_and_facts_go_along(
    done: tuple[Path, Report, list[Tick]], speech: FloatArray
) -> None:
    clip = read_clip(done[0] / "demo_00.npz")
    assert (clip.person, clip.source, clip.is_heard) == ("demo", "talking", True)
    assert len(clip.samples) == len(clip.motion) * SAMPLE_RATE // 25
    assert np.corrcoef(clip.samples, speech[: len(clip.samples)])[0, 1] > 0.95
    (verdict,) = [v for v in done[1].verdicts if v.is_accepted]
    assert abs(verdict.av_ms) < 40
    assert verdict.residual < 0.02
    assert verdict.gap_correlation > 0.95


def test_the_report_says_what_was_left_out_and_why(
    done: tuple[Path, Report, list[Tick]],
) -> None:
    out, report, ticks = done
    (bad,) = [v for v in report.verdicts if not v.is_accepted]
    assert bad.name == "broken"
    assert "broken.mp4" in bad.reason
    assert "left out: broken" in table(report)
    stored = json.loads((out / "report.json").read_text("utf-8"))
    assert len(stored["videos"]) == 2
    assert ticks[-1].frames == ticks[-1].total == 125
    assert sorted(p.name for p in out.iterdir()) == ["demo_00.npz", "report.json"]


def test_a_second_run_goes_on_where_the_first_stopped(
    film: tuple[Path, FloatArray], done: tuple[Path, Report, list[Tick]]
) -> None:
    out, report, _ = done
    clip = out / "demo_00.npz"
    before = clip.stat().st_mtime_ns
    again = prepare([film[0].parent], out)
    assert clip.stat().st_mtime_ns == before
    assert [v.name for v in again.verdicts] == [v.name for v in report.verdicts]
    clip.unlink()
    prepare([film[0].parent], out)
    assert clip.exists()


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video"):
        prepare([tmp_path], tmp_path / "out")
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OutputError, match="cannot be written"):
        prepare([tmp_path / "a.mp4"], tmp_path / "file")
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match="Delete it to begin anew"):
        prepare([tmp_path / "a.mp4"], tmp_path)


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Path]:
    """A video on record in a folder with its one clip; nothing of it is real."""
    video, out = tmp_path / "monday" / "talk.mp4", tmp_path / "clips"
    for folder in (video.parent, out):
        folder.mkdir()
    video.write_bytes(b"no video" * 20)
    (out / "talk_00.npz").write_bytes(b"x")
    verdict = Verdict("talk_00", "talk", "train", is_accepted=True)
    write_report(out, Report().having(video, (verdict,)))
    return video, out


def test_another_video_of_the_same_name_does_not_replace_clips(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "tuesday" / "talk.mp4"
    other.parent.mkdir()
    other.write_bytes(b"no video" * 30)
    with pytest.raises(InputError, match=r"holds clips called talk of .*monday"):
        prepare([other], prepared[1])
    assert (prepared[1] / "talk_00.npz").read_bytes() == b"x"


def test_clips_of_a_video_that_has_changed_go(prepared: tuple[Path, Path]) -> None:
    video, out = prepared
    assert prepare([video], out).verdicts[0].is_accepted
    video.write_bytes(b"no video" * 30)
    (verdict,) = prepare([video], out).verdicts
    assert not verdict.is_accepted
    assert not list(out.glob("*.npz"))


def test_what_is_not_worth_fitting_is_said() -> None:
    good = Verdict("", "", "", seconds=3.0, face_px=90.0)
    assert _unfit(good, 25.0) == ""
    assert "15 are needed" in _unfit(good, 5.0)
    assert "40 are needed" in _unfit(Verdict("", "", "", seconds=3.0, face_px=30.4), 25.0)
    assert "2 s are needed" in _unfit(Verdict("", "", "", seconds=1.0), 25.0)
    assert "no face in 20%" in _unfit(
        Verdict("", "", "", seconds=3.0, face_px=90.0, missing=0.2), 25.0
    )


def test_sampling_keeps_a_blink_and_undoes_lateness() -> None:
    seconds = np.arange(60) / 30
    values = np.zeros((60, 58), np.float32)
    values[:, 8] = np.exp(-0.5 * ((seconds - 1.0) / 0.04) ** 2)
    values[:, 53] = np.sin(seconds * 3)
    plain = sampled(values, seconds, 0.0, 0.0, 49)
    assert plain[:, 8].max() > 0.97
    assert plain[:, 53] == pytest.approx(np.sin(np.arange(49) / 25 * 3), abs=2e-3)
    late = sampled(values, seconds, 0.0, 0.12, 40)
    assert late[:, 53] == pytest.approx(np.sin((np.arange(40) / 25 + 0.12) * 3), abs=2e-3)
    assert plain[:, :52].min() >= 0


@pytest.mark.parametrize("start_s", [-0.5, 0.25, 0.9, 3.0])
def test_where_there_is_no_sound_there_is_silence(start_s: float) -> None:
    sound = np.full(SAMPLE_RATE, 16_384, np.int16)
    piece = _between(sound, start_s, start_s + 0.7)
    at = start_s + np.arange(len(piece)) / SAMPLE_RATE
    assert (len(piece), piece.dtype) == (round(0.7 * SAMPLE_RATE), np.float32)
    inside = (at >= -1e-9) & (at < 1 - 1e-9)
    assert piece == pytest.approx(np.where(inside, 0.5, 0.0), abs=1e-4)
