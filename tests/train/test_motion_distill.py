"""Distillation walks the teacher's path, leaves given entries alone, learns, resumes, exports."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from visavis.data.people import split_of  # noqa: E402
from visavis.diffusion.samplers import cosine_times, sample_multistep  # noqa: E402
from visavis.motion.coarticulation import silence  # noqa: E402
from visavis.train.motion_data import MotionData  # noqa: E402
from visavis.train.motion_nets import INPUTS, PRESETS, WIDTHS, Denoiser  # noqa: E402
from visavis.train.tasks import motion_distill as task  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips as train.motion_data writes them: smooth noise, half of them the mouth alone."""
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    people = {split_of(f"p{i}"): f"p{i}" for i in range(99)}
    for i in range(6):
        t = 60 + 20 * i
        rows = np.repeat(silence(4 * t)[None], 2, 0) + rng.normal(0, 0.1, (2, 4 * t, 45))
        source, person = ("speech", "talking")[i % 2], people["validation" if i > 3 else "train"]
        facts = (person, source, "0", "", "0.0", "True")
        walk = np.cumsum(rng.normal(0, 0.05, (t, 58)), 0)
        np.savez(
            folder / f"c{i}.npz", motion=np.abs(walk).astype(np.float32),
            known=np.arange(58) > 23 * (1 - i % 2), speech=rows.astype(np.float16),
            other=silence(4 * t).astype(np.float16), facts=np.array(facts, str),
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def plan(data: Path, tmp_path_factory: pytest.TempPathFactory) -> task.Plan:
    """A plan with a teacher of random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    net = Denoiser(PRESETS["tiny"])
    facts = {"mean": torch.full((58,), 0.1), "std": torch.full((58,), 0.5)}
    torch.save({"average": net.state_dict(), **facts}, folder / "state.pt")
    return task.Plan(
        data, folder / "state.pt", folder / "out", "tiny", steps=3, batch=8, grid=4, reach=4,
        calm=0.0, save_every=3,
    )  # fmt: skip


def drawn(plan: task.Plan):
    """The work before its first step, a window, its starts and noise."""
    work, rng = task.begin(plan), np.random.default_rng(3)
    window, points = task.draw_window(plan, work, MotionData(plan.data), rng)
    return work, window, points, torch.randn(window.clean.shape)


@pytest.mark.parametrize("reach", [4, 1])
def test_three_steps_and_a_file(plan: task.Plan, reach: int, tmp_path: Path) -> None:
    import onnxruntime

    plan = dataclasses.replace(plan, out=tmp_path, reach=reach, fresh=reach / 4)
    task.run(plan)
    row = json.loads((tmp_path / "log.jsonl").read_text())
    assert row["step"] == 3
    assert np.isfinite(list(row.values())).all()
    assert {"train_path", "train_anchor", "train_judge", "path_one", "gap_many"} <= set(row)
    net = Denoiser(PRESETS["tiny"])
    net.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True)["average"])
    inputs = {k: torch.rand(2, 5, w) for k, w in zip(INPUTS, WIDTHS, strict=True)}
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(["clean"], {k: v.numpy() for k, v in inputs.items()})[0]
    np.testing.assert_allclose(found, net(*inputs.values()).detach().numpy(), atol=0.01)


def test_a_killed_run_goes_on_exactly(plan: task.Plan, tmp_path: Path) -> None:
    plan = dataclasses.replace(plan, out=tmp_path)
    data, work = MotionData(plan.data), task.begin(plan)
    for _ in range(2):
        task.learn(plan, work, data)
    task.save(plan, work, {"step": 2})
    again = task.begin(dataclasses.replace(plan, resume=True))
    assert again.step == 2
    started = task.begin(dataclasses.replace(plan, start=tmp_path / "state.pt"))
    assert started.step == 0
    assert torch.equal(started.student.exit.weight, again.average.exit.weight)
    assert task.learn(plan, work, data) == task.learn(plan, again, data)
    for name, part in work.parts().items():
        if isinstance(part, torch.nn.Module):
            other = again.parts()[name].state_dict()
            assert all(torch.equal(v, other[k]) for k, v in part.state_dict().items())


def test_the_path_is_the_teachers_own_sampling(plan: task.Plan) -> None:
    work, window, points, noise = drawn(plan)
    stops, end = task.walk(plan, work, window, points, noise)
    times = [window.at(torch.tensor(t)) for t in cosine_times(4)]
    teach = task.speaker(work.teacher, window.facts)
    torch.testing.assert_close(end, sample_multistep(teach, stops[0][0], times, task.SCHEDULE))
    assert torch.equal(stops[0][0][window.free], noise[window.free])


def test_a_skipping_step_asks_the_slow_copy(plan: task.Plan) -> None:
    plan = dataclasses.replace(plan, reach=1, fresh=0.0)
    work, window, points, noise = drawn(plan)
    with torch.no_grad():
        work.slow.exit.weight.zero_()
        work.slow.exit.bias.fill_(7.0)
    stops, end = task.walk(plan, work, window, points, noise)
    assert len(stops) == 1
    last = (points == 1)[:, None, None] & window.free
    far = (points > 1)[:, None, None] & window.free
    assert far.any()
    assert ((end - 7).abs()[far] < 0.05).all()
    assert ((end - 7).abs()[last] > 0.05).all()  # the teacher's answer itself


def test_given_entries_stay_as_they_are(plan: task.Plan) -> None:
    work, window, points, noise = drawn(dataclasses.replace(plan, fresh=0.5, reach=2))
    stops, _ = task.walk(plan, work, window, points, noise)
    (first, level), *_, (last, later) = stops
    held = ~window.free
    assert held.any()
    assert torch.equal(first[held], last[held])
    assert torch.equal(level[held], later[held])
    assert (level[held] <= 0.12).all()
    assert (first != last)[window.free].any()


def test_what_is_not_known_is_made_up_to_fit(plan: task.Plan) -> None:
    """Windows start from recorded motion where there is any, or from the student's alone."""
    _, window, *_ = drawn(dataclasses.replace(plan, own=0.0))
    known = window.facts["known"][:, None].expand_as(window.true)
    assert torch.equal(window.clean[known], window.true[known])
    assert not known.all()
    assert (window.clean != window.true)[~known].all()
    _, window, *_ = drawn(dataclasses.replace(plan, own=1.0))
    assert (window.clean != window.true).all()


def test_guidance_of_one_is_the_plain_teacher_and_of_nought_knows_nothing(plan: task.Plan) -> None:
    work, window, _, noise = drawn(plan)
    level, facts = torch.ones_like(noise), window.facts
    plain = task.speaker(work.teacher, facts)(noise, level)
    for weights in ((1.0, 1.0), (1.0, 1.0 + 1e-9), (1.0 + 1e-9, 1.0)):
        same = task.guided(work.teacher, facts, weights)(noise, level)
        torch.testing.assert_close(same, plain, atol=0.02, rtol=0.02)
    nothing = {k: torch.zeros_like(v) for k, v in facts.items()}
    nothing["other"] = facts["other"]
    blind = task.speaker(work.teacher, nothing)(noise, level)
    none = task.guided(work.teacher, facts, (0.0, 0.0))(noise, level)
    torch.testing.assert_close(none, blind, atol=0.02, rtol=0.02)


def test_one_call_of_the_student_comes_to_say_what_the_path_says(plan: task.Plan) -> None:
    plan = dataclasses.replace(
        plan, steps=50, rate=5e-3, grid=10, reach=10, adversarial=0.0, anchor=0.0
    )
    data, work = MotionData(plan.data), task.begin(plan)
    judged, units = MotionData(plan.data, "validation"), (work.mean, work.std, task.lip_rows())
    exam = task.set_exam(work.teacher, judged, units, (1.0, 1.0), 4)
    say, teach = (task.speaker(net, exam.facts) for net in (work.student, work.teacher))
    times = [torch.full_like(exam.noise, t) for t in cosine_times(10)]
    with torch.no_grad():
        end = sample_multistep(teach, exam.noise, times, task.SCHEDULE)

    def off() -> float:
        with torch.no_grad():
            return float((say(exam.noise, torch.ones_like(exam.noise)) - end).abs().mean())

    before = off()
    for _ in range(plan.steps):
        task.learn(plan, work, data)
    assert off() < 0.4 * before


def test_rate_rises_then_falls(plan: task.Plan) -> None:
    plan = dataclasses.replace(plan, steps=1000, rate=1.0)
    rates = [task.rate_at(plan, s) for s in (0, 49, 50, 525, 999)]
    assert rates == pytest.approx([0.02, 1.0, 1.0, 0.51, 0.02], abs=1e-3)
