"""Stage 2 begins clips as rolling does, from own pasts too, learns, goes on after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.diffusion.samplers import cosine_times  # noqa: E402
from visavis.train import video_student as shared  # noqa: E402
from visavis.train.latent_clips import LatentClips  # noqa: E402
from visavis.train.tasks import video_eft as task  # noqa: E402
from visavis.video import rolling  # noqa: E402
from visavis.video.denoiser import PAST_FRAMES  # noqa: E402
from visavis.video.rolling import SCHEDULE, STARTS, Rolling  # noqa: E402
from visavis.video.weights import read_networks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def plan(latents: Path, base: Path, tmp_path: Path) -> task.Plan:
    """Three steps, the discriminator there from the first on."""
    return task.Plan(latents, base, tmp_path, steps=3, batch=60, calm=0.0, turn=1, save_every=3)


def drawn(plan: task.Plan, frames: int = 14, count: int = 3) -> dict:
    """A batch of ``frames`` new frames."""
    return LatentClips(plan.data).draw(np.random.default_rng(0), count, frames)


@pytest.mark.parametrize("begin", STARTS)
def test_three_steps_leave_networks_and_how_to_roll_them(plan: task.Plan, begin: str) -> None:
    plan = dataclasses.replace(plan, begin=begin, strength=0.8)
    task.run(plan)
    row = json.loads((plan.out / "log.jsonl").read_text())
    assert row["step"] == 3
    assert np.isfinite(list(row.values())).all()
    assert {"path", "anchor", "judge", "adversarial", "rolled_like", "plain_seam"} <= set(row)
    how = Rolling(**json.loads((plan.out / "rolling.json").read_text()))
    assert how == Rolling(1, begin, 1.0 if begin == "noise" else 0.8, plan.context)
    state = torch.load(plan.out / "state.pt", weights_only=True)
    networks = read_networks(plan.out / "networks.safetensors")
    assert all(torch.equal(v, state["average"][k]) for k, v in networks.state_dict().items())


def test_a_killed_run_goes_on_exactly(plan: task.Plan) -> None:
    draws = shared.Draws(plan, LatentClips(plan.data), task.draw_length)
    work = task.begin(plan)
    for step in range(2):
        task.learn(plan, work, draws[step])
    task.save(plan, work, {"step": 2}, plan.how)
    again = task.begin(dataclasses.replace(plan, resume=True))
    assert task.learn(plan, work, draws[2]) == task.learn(plan, again, draws[2])
    for name, part in work.parts().items():
        if isinstance(part, torch.nn.Module):
            other = again.parts()[name].state_dict()
            assert all(torch.equal(v, other[k]) for k, v in part.state_dict().items())


def test_windows_of_a_batch() -> None:
    along = torch.arange(20.0)
    batch = dict.fromkeys(("change", "mouth", "eyes"), along[None, None, :, None, None])
    batch |= dict.fromkeys(("speech", "phase", "emotion"), along[None]) | {"heard": torch.ones(1)}
    part = task.window(batch, 5, 7)
    for name, value in part.items():
        expected = torch.ones(1) if name == "heard" else along[5:12]
        assert torch.equal(value.flatten(), expected), name


def test_the_past_is_true_or_of_the_students_own_making(plan: task.Plan) -> None:
    work, batch = task.begin(plan), drawn(plan)
    true, kept = task.past_of(plan, work, batch, is_own=False)
    assert torch.equal(true, batch["change"][:, :, :PAST_FRAMES])
    assert torch.equal(kept["change"], batch["change"][:, :, :-8])
    own, left = task.past_of(plan, work, batch, is_own=True)
    assert torch.equal(left["change"], batch["change"][:, :, 8:])
    assert torch.equal(left["speech"], batch["speech"][:, 8:])
    assert own.shape == true.shape
    assert not torch.allclose(own, left["change"][:, :, :PAST_FRAMES], atol=1e-3)
    short = drawn(plan, 4)  # too short for a past of its own
    assert torch.equal(
        task.past_of(plan, work, short, is_own=True)[0], short["change"][:, :, :PAST_FRAMES]
    )


def test_the_past_is_made_as_rolling_makes_it(plan: task.Plan) -> None:
    """Seeds apart: the same noise gives the frames that rolling shows."""
    work, batch = task.begin(plan), drawn(plan)
    seen = []

    def noted(denoise, past, memory, noises, how):
        seen.append((denoise, past, how))
        return made(denoise, past, memory, noises, how)

    made, rolling.sampled = rolling.sampled, noted
    try:
        task.past_of(plan, work, batch, is_own=True)
        state = rolling.opened(batch["change"][:, :, :PAST_FRAMES])
        first = task.window(batch, 0, PAST_FRAMES + 8)
        rolling.drawn(shared.speaker(work.slow, first), state, (1, 2, 3), 8, plan.how)
    finally:
        rolling.sampled = made
    (train, past, how), (use, before, same) = seen
    assert how == same == plan.how
    assert torch.equal(past, before)
    x, time = torch.randn(3, 4, 12, 4, 4), torch.rand(3, 12)
    with torch.no_grad():
        assert torch.equal(train(x, time), use(x, time))


@pytest.mark.parametrize("begin", STARTS)
def test_a_call_begins_as_rolling_begins_it(plan: task.Plan, begin: str) -> None:
    plan = dataclasses.replace(plan, begin=begin, strength=0.8)
    past, right = torch.randn(2, 4, PAST_FRAMES, 4, 4), torch.randn(2, 4, 5, 4, 4)
    torch.manual_seed(3)
    first = task.beginning(plan, past, right, plan.grid)
    torch.manual_seed(3)
    noise = torch.randn_like(right)
    assert torch.equal(first, rolling.started(past, noise, plan.how))
    torch.manual_seed(3)
    later = task.beginning(plan, past, right, 3)
    expected = SCHEDULE.add_noise(right, noise, task.passed(plan, 3)[0])
    torch.testing.assert_close(later, expected)


def test_a_walk_passes_times_from_the_strength_down(plan: task.Plan) -> None:
    plan = dataclasses.replace(plan, begin="previous", strength=0.8, grid=4, reach=2)
    expected = [0.8 * t for t in cosine_times(4)]
    assert task.passed(plan, 4) == pytest.approx(expected[:3], abs=1e-6)
    assert task.passed(plan, 2) == pytest.approx(expected[2:], abs=1e-6)
    assert task.passed(plan, 1) == pytest.approx([expected[3], 0.0, 0.0], abs=1e-6)


def test_the_aim_begins_where_the_past_ends_and_ends_at_the_truth() -> None:
    change = torch.randn(2, 4, PAST_FRAMES + 30, 2, 2)
    true = change[:, :, :PAST_FRAMES]
    assert torch.equal(task.aim(true, change), change[:, :, PAST_FRAMES:])
    aim = task.aim(true + 1.0, change)
    off = (aim - change[:, :, PAST_FRAMES:])[0, 0, :, 0, 0]
    assert float(off[0]) == pytest.approx(task.BLEND, abs=1e-5)
    assert (off.diff() <= 1e-6).all()
    assert float(off[-1]) < 1e-3


@pytest.mark.parametrize("begin", ["previous", "reference"])
def test_rolled_clips_come_to_look_like_the_truth(plan: task.Plan, begin: str) -> None:
    plan = dataclasses.replace(
        plan,
        begin=begin,
        steps=30,
        batch=60,
        rate=3e-3,
        average=0.9,
        adversarial=0.0,
        anchor=0.5,
        speech=1.0,
    )
    clips = LatentClips(plan.data)
    work, draws = task.begin(plan), shared.Draws(plan, clips, task.draw_length)
    batch = drawn(plan, sum(task.ROLLED))
    before = task.marks("x", work.average, batch, plan.how)
    found = [task.learn(plan, work, draws[step]) for step in range(plan.steps)]
    after = task.marks("x", work.average, batch, plan.how)
    first, last = (np.mean([f["anchor"] for f in part]) for part in (found[:8], found[-8:]))
    assert last < 0.85 * first
    assert after["x_far"] < 0.7 * before["x_far"]
    assert after["x_like"] > 0.85
    assert after["x_like"] > after["x_other_like"] + 0.2


def test_fewer_held_out_frames_are_rolled_as_far_as_they_go() -> None:
    for frames, expected in ((28, [4, 8, 8, 8]), (40, [4, 8, 8, 8]), (15, [4, 8, 3]), (2, [2])):
        assert task.lengths_of({"change": torch.zeros(1, 1, PAST_FRAMES + frames)}) == expected


def test_lengths_leave_room_for_a_past() -> None:
    rng = np.random.default_rng(0)
    lengths = [task.draw_length(rng) for _ in range(500)]
    assert (min(lengths), max(lengths)) == (2 + task.OWN, 32 + task.OWN)


def test_the_command_line() -> None:
    given = ["--data", "d", "--base", "b/state.pt", "--out", "o", "--start", "s/state.pt"]
    plan = task.arguments([*given, "--begin", "reference", "--strength", "0.7", "--own", "1"])
    assert plan.how == Rolling(1, "reference", 0.7, 0.05)
    assert (plan.start, plan.own) == (Path("s/state.pt"), 1.0)
    assert task.arguments([*given, "--begin", "noise"]).how == Rolling(context=0.05)
    assert task.arguments([*given, "--gpu"]).batch == task.GPU["batch"]
