"""The base model's training: three steps, exact resumption, one clip learnt, the command line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from latent_shards import write_shards  # noqa: E402
from visavis.train import video_exam  # noqa: E402
from visavis.train.latent_clips import LatentClips, told  # noqa: E402
from visavis.train.tasks import video  # noqa: E402
from visavis.video.conditions import UNKNOWN_EMOTION, UNKNOWN_PHASE  # noqa: E402
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST  # noqa: E402
from visavis.video.weights import read_networks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("latents"))


@pytest.fixture
def few(monkeypatch):
    """Held-out clips are few, short and sampled in few steps."""
    monkeypatch.setattr(video_exam, "CLIPS", 2)
    monkeypatch.setattr(video_exam, "SAMPLED", 2)
    monkeypatch.setattr(video_exam, "TWENTY", video_exam.Rolling(steps=5, context=0.1))


def plan(data: Path, out: Path, **changes) -> video.Plan:
    fixed = {"preset": "test", "steps": 3, "batch": 30, "save_every": 1, "sample_every": 2}
    return video.Plan(data, out, **(fixed | changes))


@pytest.mark.usefixtures("few")
def test_three_steps_leave_networks_and_what_they_are_worth(data, tmp_path):
    video.run(plan(data, tmp_path))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2, 3]
    assert {"error", "velocity", "acceleration", "total", "held_1.0", "call_far"} <= set(log[0])
    assert "sample_like" not in log[0]
    assert {"sample_like", "sample_other_like", "sample_far"} <= set(log[1]) & set(log[2])
    networks = read_networks(tmp_path / "networks.safetensors")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for key, value in networks.state_dict().items():
        assert torch.equal(value, state["average"][key])
    assert state["ratio"].shape == (4, 1, 1)


@pytest.mark.usefixtures("few")
def test_a_killed_training_goes_on_as_if_nothing_had_been(data, tmp_path):
    whole, cut = plan(data, tmp_path / "whole"), plan(data, tmp_path / "cut")
    video.run(whole)
    clips = LatentClips(data)
    work = video.begin(cut, clips)
    cut.out.mkdir()
    video.learn(cut, work, video.Draws(cut, clips)[0])
    video.save(cut, work, work.state(), {})  # and then the process dies
    video.run(dataclasses.replace(cut, resume=True))
    a, b = (torch.load(p.out / "state.pt", weights_only=True) for p in (whole, cut))
    assert a["step"] == b["step"] == 3
    for part in ("net", "average"):
        assert all(torch.equal(x, b[part][k]) for k, x in a[part].items())


@pytest.mark.usefixtures("few")
def test_a_run_that_may_not_take_longer_is_saved_and_goes_on(data, tmp_path):
    asked = plan(data, tmp_path, minutes=1e-9)
    video.run(asked)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 1
    video.run(dataclasses.replace(asked, resume=True))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2


def test_another_training_begins_with_the_average(data, tmp_path):
    clips = LatentClips(data)
    first = video.begin(plan(data, tmp_path), clips)
    video.learn(plan(data, tmp_path), first, video.Draws(plan(data, tmp_path), clips)[0])
    video.save(plan(data, tmp_path), first, first.state(), {})
    begun = video.begin(plan(data, tmp_path / "on", start=tmp_path / "state.pt"), clips)
    assert begun.step == 0
    for key, value in begun.net.state_dict().items():
        assert torch.equal(value, first.average.state_dict()[key])


def test_one_clip_is_learnt_and_samples_look_like_it(data, tmp_path):
    asked = plan(data, tmp_path, steps=100, batch=40, rate=8e-3, average=0.95)
    clips = LatentClips(data)
    clips._clips = clips._clips[:1]
    work, totals = video.begin(asked, clips), []
    for draw in video.drawn(asked, clips, 0):
        totals.append(video.learn(asked, work, draw)["total"])
    assert np.mean(totals[-10:]) < 0.75 * np.mean(totals[:5])
    batch = video_exam.batch_of(clips, 2, "cpu")
    true, mouth = (batch[k][:, :, PAST_FRAMES:] for k in ("change", "mouth"))
    how = video_exam.Rolling(steps=8, context=0.1)
    told = video_exam.seen(work.average, batch)
    made = video_exam.sampled(work.average, batch, told, how, weight=1.0)
    assert video_exam.distance(made, true, mouth) < 0.5
    assert video_exam.likeness(made, true, mouth) > 0.8
    found = video_exam.examine(work.average, clips, "cpu")
    assert found["call_like"] > found["call_other_like"] + 0.2
    assert found["held_0.1"] < found["held_1.0"]


def test_lengths_are_fixed_at_first_then_any():
    rng = np.random.default_rng(0)
    assert {video.draw_length(rng, 0.2, 0.4) for _ in range(9)} == {video.USUAL}
    later = [video.draw_length(rng, 0.5, 0.4) for _ in range(500)]
    assert (min(later), max(later)) == (SHORTEST, LONGEST)
    assert 0.4 < np.mean(np.array(later) <= 8) < 0.6


def test_batches_are_of_like_size_whatever_the_length(data):
    asked = plan(data, data, steps=60, batch=90, fixed=0.0)
    draws = [video.Draws(asked, LatentClips(data))[i] for i in range(30)]
    shapes = [d["change"].shape for d in draws]
    assert len({s[2] for s in shapes}) > 5
    assert all(60 <= s[0] * s[2] <= 120 for s in shapes)
    other = video.Draws(asked, LatentClips(data), rank=1)[0]
    assert other["change"].shape == shapes[0]  # devices take clips of one length, but not the same
    assert not torch.equal(other["change"], draws[0]["change"])


def test_past_frames_have_little_noise_of_their_own():
    times = video.draw_times(np.random.default_rng(0), 400, 4, 6)
    assert times.shape == (400, 10)
    assert (times[:, :4] == times[:, :1]).all()
    assert (times[:, 4:] == times[:, 4:5]).all()
    assert times[:, 0].max() <= video.MOST_PAST_NOISE
    assert (times[:, 4] == 1).mean() == pytest.approx(video.PURE, abs=0.05)


def test_sound_and_labels_are_dropped_together_now_and_then(data):
    batch = LatentClips(data).draw(np.random.default_rng(0), 400, 2)
    torch.manual_seed(0)
    kept = video.dropped(batch)
    silent = kept.is_known("speech") == 0
    unlabelled = (kept.phase == UNKNOWN_PHASE).all(1)
    both = (silent & unlabelled & (kept.emotion == UNKNOWN_EMOTION).all(1)).float().mean().item()
    assert both == pytest.approx(video.TOGETHER, abs=0.05)
    assert 0.08 < silent.float().mean() < 0.25
    full = told(batch)
    assert full.is_known("speech").all()


def test_losses_see_new_frames_only_and_the_step_to_them(data):
    batch = LatentClips(data).draw(np.random.default_rng(0), 2, 5)
    batch["time"] = torch.from_numpy(video.draw_times(np.random.default_rng(0), 2, 4, 5))
    past_off = batch["change"].clone()
    past_off[:, :, :PAST_FRAMES] += 9.0
    assert float(video.losses(past_off, batch)["total"]) == 0.0
    constant = batch["change"] + 1.0
    found = video.losses(constant, batch)
    assert float(found["velocity"]) == pytest.approx(float(found["error"]) / 5, rel=0.3)
    mouth_off = batch["change"] + batch["mouth"]
    elsewhere = batch["change"] + (batch["mouth"] == 0).float() * (
        batch["mouth"].mean() / (batch["mouth"] == 0).float().mean()
    )
    assert video.losses(mouth_off, batch)["error"] > 2 * video.losses(elsewhere, batch)["error"]


def test_the_command_line_gives_a_plan():
    given = ["--data", "D", "--out", "O", "--gpu", "--steps", "7", "--preset", "sd15"]
    found = video.arguments([*given, "--published", "unet=a.safetensors", "motion=b.ckpt"])
    assert (found.device, found.preset, found.steps) == ("cuda", "sd15", 7)
    assert found.published == (("unet", Path("a.safetensors")), ("motion", Path("b.ckpt")))
    assert video.arguments(given[:4]) == video.Plan(Path("D"), Path("O"))
    with pytest.raises(SystemExit):
        video.arguments([*given, "--published", "nothing"])
