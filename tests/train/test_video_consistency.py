"""Stage 1 walks the base model's path, leaves the past alone, learns, goes on after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.diffusion.samplers import cosine_times, sample_multistep  # noqa: E402
from visavis.train import video_exam  # noqa: E402
from visavis.train import video_student as shared  # noqa: E402
from visavis.train.latent_clips import LatentClips  # noqa: E402
from visavis.train.tasks import video_consistency as task  # noqa: E402
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST  # noqa: E402
from visavis.video.rolling import SCHEDULE, Rolling, guided  # noqa: E402
from visavis.video.weights import read_networks  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def plan(latents: Path, base: Path, tmp_path: Path) -> task.Plan:
    """Three steps, the discriminator there from the first on."""
    return task.Plan(
        latents, base, tmp_path, steps=3, batch=30, grid=4, reach=2, calm=0.0, turn=1, save_every=3
    )


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out clips are few and sampled in few steps."""
    for module in (video_exam, task):
        monkeypatch.setattr(module, "SAMPLED", 2)
    monkeypatch.setattr(video_exam, "TWENTY", Rolling(steps=5, context=0.1))


def drawn(plan: task.Plan, frames: int = 6):
    """The work before its first step, a batch, and what the base network is told of it."""
    work = task.begin(plan)
    batch = LatentClips(plan.data).draw(np.random.default_rng(0), 3, frames)
    with torch.no_grad():
        return work, batch, video_exam.seen(work.teacher, batch)


@pytest.mark.parametrize(("reach", "adversarial"), [(4, 0.01), (1, 0.0)])
def test_three_steps_leave_networks_and_marks(plan: task.Plan, reach, adversarial) -> None:
    task.run(dataclasses.replace(plan, reach=reach, adversarial=adversarial))
    row = json.loads((plan.out / "log.jsonl").read_text())
    assert row["step"] == 3
    assert np.isfinite(list(row.values())).all()
    assert {
        "path",
        "anchor",
        "one_far",
        "two_like",
        "four_moves",
        "one_apart",
        "twenty_far",
    } <= set(row)
    assert ("judge" in row) == ("adversarial" in row) == (adversarial > 0)
    state = torch.load(plan.out / "state.pt", weights_only=True)
    networks = read_networks(plan.out / "networks.safetensors")
    assert all(torch.equal(v, state["average"][k]) for k, v in networks.state_dict().items())
    base = torch.load(plan.base, weights_only=True)
    assert torch.equal(state["ratio"], base["ratio"])
    assert any((v != base["average"][k]).any() for k, v in state["net"].items())
    assert Rolling(**json.loads((plan.out / "rolling.json").read_text())) == Rolling()


def test_a_killed_run_goes_on_exactly(plan: task.Plan) -> None:
    draws = shared.Draws(plan, LatentClips(plan.data), task.draw_length)
    work = task.begin(plan)
    for step in range(2):
        task.learn(plan, work, draws[step])
    task.save(plan, work, {"step": 2}, Rolling())
    again = task.begin(dataclasses.replace(plan, resume=True))
    assert again.step == 2
    assert task.learn(plan, work, draws[2]) == task.learn(plan, again, draws[2])
    for name, part in work.parts().items():
        if isinstance(part, torch.nn.Module):
            other = again.parts()[name].state_dict()
            assert all(torch.equal(v, other[k]) for k, v in part.state_dict().items())


def test_another_run_begins_with_the_average_and_its_discriminator(plan: task.Plan) -> None:
    work = task.begin(plan)
    task.learn(plan, work, LatentClips(plan.data).draw(np.random.default_rng(0), 3, 4))
    task.save(plan, work, {"step": 1}, Rolling())
    begun = task.begin(dataclasses.replace(plan, start=plan.out / "state.pt"))
    assert begun.step == 0
    for net in (begun.student, begun.slow, begun.average):
        expected = work.average.state_dict()
        assert all(torch.equal(v, expected[k]) for k, v in net.state_dict().items())
    judge = work.judge.state_dict()
    assert all(torch.equal(v, judge[k]) for k, v in begun.judge.state_dict().items())


def test_the_path_is_the_base_models_own_sampling(plan: task.Plan) -> None:
    plan = dataclasses.replace(plan, reach=4, speech=1.5)
    work, batch, known = drawn(plan)
    start, levels = task.begun(plan, batch["change"], torch.full((3,), 4))
    stop = task.walk(plan, work, start, levels, known)
    assert (levels[0][:, PAST_FRAMES:] == 1).all()
    assert (levels[-1][:, PAST_FRAMES:] == 0).all()
    teach = guided(shared.hearing(work.teacher), known, 1.0, 1.5)
    old = levels[0][:, :PAST_FRAMES]

    def new(x, time):
        both = torch.cat([start[:, :, :PAST_FRAMES], x], 2)
        level = torch.cat([old, torch.full((3, x.shape[2]), time)], 1)
        return teach(both, level)[:, :, PAST_FRAMES:]

    with torch.no_grad():
        expected = sample_multistep(new, start[:, :, PAST_FRAMES:], cosine_times(4), SCHEDULE)
    torch.testing.assert_close(stop[:, :, PAST_FRAMES:], expected, atol=1e-3, rtol=1e-3)


def test_past_frames_stay_as_they_are(plan: task.Plan) -> None:
    work, batch, known = drawn(plan)
    start, levels = task.begun(plan, batch["change"], torch.tensor([1, 3, 4]))
    stop = task.walk(plan, work, start, levels, known)
    old = slice(0, PAST_FRAMES)
    assert torch.equal(start[:, :, old], stop[:, :, old])
    assert all(torch.equal(levels[0][:, old], level[:, old]) for level in levels)
    assert (levels[0][:, old] <= task.MOST_PAST_NOISE).all()
    assert (levels[-1] < levels[0])[:, PAST_FRAMES:].all()
    assert (levels[-1][:2, -1] > 0).tolist() == [False, True]
    assert len(levels) == plan.reach + 1


def test_clips_begin_as_noise_alone_or_with_noise_over_them(plan: task.Plan) -> None:
    change = torch.full((2, 4, PAST_FRAMES + 5, 4, 4), 7.0)
    start, levels = task.begun(plan, change, torch.tensor([4, 1]))
    new = start[:, :, PAST_FRAMES:]
    assert abs(float(new[0].mean())) < 0.3  # not 0.001 times 7 more, but that is nothing
    assert float(new[1].mean()) == pytest.approx(
        7.0 * SCHEDULE.alpha(float(levels[0][1, -1])), rel=0.1
    )


def test_a_stretch_to_the_end_is_its_own_target_and_another_asks_the_slow_copy(plan) -> None:
    work, batch, known = drawn(plan)
    with torch.no_grad():
        for points, is_end in ((1, True), (4, False)):
            start, levels = task.begun(plan, batch["change"], torch.full((3,), points))
            stop = task.walk(plan, work, start, levels, known)
            end = shared.speaker(work.slow, batch)(stop, levels[-1])
            new = (end - stop)[:, :, PAST_FRAMES:]
            assert (new.abs().max() < 1e-5) == is_end


def test_one_call_comes_to_say_what_the_path_says(plan: task.Plan) -> None:
    """And a clip made in one call then goes with the sound, as the base model's does."""
    plan = dataclasses.replace(
        plan, steps=40, batch=40, rate=3e-3, grid=3, reach=3, fresh=1.0, adversarial=0.0,
        average=0.9, speech=1.0,
    )  # fmt: skip
    clips = LatentClips(plan.data)
    work, draws = task.begin(plan), shared.Draws(plan, clips, task.draw_length)
    exam = task.set_exam(plan, work, clips)
    before = task.take(work, exam)
    paths = [task.learn(plan, work, draws[step])["path"] for step in range(plan.steps)]
    after = task.take(work, exam)
    assert np.mean(paths[-10:]) < 0.85 * np.mean(paths[:5])
    assert after["one_apart"] < 0.9 * before["one_apart"]
    assert after["one_like"] > 0.6
    assert after["one_like"] > after["one_other_like"] + 0.2


def test_the_discriminator_waits_for_its_time_and_takes_turns(plan: task.Plan) -> None:
    plan = dataclasses.replace(plan, steps=8, calm=0.5, turn=2)
    draws = shared.Draws(plan, LatentClips(plan.data), task.draw_length)
    work = task.begin(plan)
    judged = ["judge" in task.learn(plan, work, draws[step]) for step in range(8)]
    assert judged == [False] * 4 + [True, False, True, False]


def test_points_of_the_grid(plan: task.Plan) -> None:
    rng = np.random.default_rng(0)
    some = task.draw_points(dataclasses.replace(plan, fresh=0.5), rng, 4000)
    assert (some.min(), some.max()) == (1, 4)
    assert float((some == 4).float().mean()) == pytest.approx(0.625, abs=0.04)
    past = torch.full((1, PAST_FRAMES), 0.1)
    at = [float(task.levels(torch.tensor([i]), past, 4, 1)[0, -1]) for i in (4, 3, 2, 1, 0)]
    assert at == pytest.approx(cosine_times(4), abs=1e-6)
    assert (at[0], at[-1]) == (1.0, 0.0)
    lengths = [task.draw_length(rng) for _ in range(500)]
    assert (min(lengths), max(lengths)) == (SHORTEST, LONGEST)


def test_weights_of_cells_and_the_distance_of_clips() -> None:
    batch = {k: torch.zeros(1, 1, PAST_FRAMES + 3, 2, 2) for k in ("mouth", "eyes")}
    batch["mouth"][..., 1, 0] = 1.0
    weight = shared.cells(batch)
    assert weight.shape == (1, 1, 3, 2, 2)
    assert float(weight.mean()) == pytest.approx(1.0)
    assert float(weight[..., 1, 0].mean() / weight[..., 0, 0].mean()) == pytest.approx(4.0)
    batch |= {"heard": torch.tensor([True])}
    heard = shared.mouths(batch)
    assert heard[0, 0, 0].tolist() == [[0.0, 0.0], [4.0, 0.0]]
    assert not shared.mouths({**batch, "heard": torch.tensor([False])}).any()
    made, right = torch.ones(1, 2, 3, 2, 2), torch.zeros(1, 2, 3, 2, 2)
    assert float(shared.apart(right, right, weight, 1.0)) == 0.0
    still = float(shared.apart(made, right, weight, 0.0))
    assert still == pytest.approx(np.hypot(1, shared.SOFT) - shared.SOFT)
    assert float(shared.apart(made, right, weight, 1.0)) == pytest.approx(still * 4 / 3)


def test_the_discriminator_pulls_as_hard_as_it_is_asked_to() -> None:
    made = torch.randn(2, 3, requires_grad=True)
    other = torch.randn(2, 3)
    total, opinion = made.square().sum(), 1e5 * (made * other).sum()
    shared.pulled(total, opinion, made, 0.25).backward()
    ahead = 2 * made.detach()
    expected = ahead + 0.25 * ahead.norm() * other / other.norm()
    torch.testing.assert_close(made.grad, expected)


def test_the_command_line(tmp_path: Path) -> None:
    given = ["--data", "d", "--base", "b/state.pt", "--out", "o"]
    plan = task.arguments([*given, "--grid", "20", "--adversarial", "0", "--save-every", "7"])
    assert plan == task.Plan(Path("d"), Path("b/state.pt"), Path("o"), grid=20, adversarial=0.0,
                             save_every=7)  # fmt: skip
    plan = task.arguments([*given, "--gpu", "--rate", "1e-3", "--resume"])
    assert (plan.device, plan.rate, plan.resume) == ("cuda", 1e-3, True)
    assert plan.batch == task.GPU["batch"]
