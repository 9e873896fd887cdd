"""Ditto's distillation walks the teacher's path, learns, resumes, and hands out a student."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from sitting import WIDTH, prepared  # noqa: E402
from visavis.errors import InputError, ModelError  # noqa: E402
from visavis.motion.controls import Timeline  # noqa: E402
from visavis.motion.ditto.conditions import EXPRESSION  # noqa: E402
from visavis.motion.ditto.config import LmdmConfig  # noqa: E402
from visavis.motion.ditto.model import DittoMotion  # noqa: E402
from visavis.motion.ditto.opening import ditto_motion, open_denoiser  # noqa: E402
from visavis.motion.ditto.sampler import SCHEDULE  # noqa: E402
from visavis.motion.ditto.weights import PUBLISHED_FILE, rule_state, write_published  # noqa: E402
from visavis.train import ditto_data  # noqa: E402
from visavis.train.ditto_data import Material, gather  # noqa: E402
from visavis.train.tasks import ditto_distill as task  # noqa: E402
from visavis.types import Features  # noqa: E402

CONFIG = LmdmConfig.tiny(condition=WIDTH + 79)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def material() -> Material:
    rng = np.random.default_rng(0)
    sounds = [rng.standard_normal((t, WIDTH)).astype(np.float32) for t in (30, 200)]
    return Material(tuple(sounds), tuple(prepared(n).sitter for n in (1, 2)))


@pytest.fixture
def plan(tmp_path: Path) -> task.Plan:
    """A plan with a teacher of random weights."""
    write_published(tmp_path / "model" / PUBLISHED_FILE, rule_state(CONFIG))
    return task.Plan(
        tmp_path / "data", str(tmp_path / "model"), tmp_path / "out", steps=3, batch=4, grid=3,
        save_every=2,
    )  # fmt: skip


def test_windows_are_told_what_sessions_tell(material: Material) -> None:
    told, portraits = material.asked(np.random.default_rng(1), 9, felt=0.5)
    assert told.shape == (9, 80, WIDTH + 79)
    assert portraits.shape == (9, 265)
    emotions = told[:, 0, WIDTH : WIDTH + 8]
    np.testing.assert_allclose(emotions.sum(1), 1, atol=1e-5)
    assert 0 < (emotions[:, 4] > 0.99).sum() < 9


def test_the_walk_is_the_teachers_way(plan: task.Plan, material: Material) -> None:
    work = task.begin(plan, material)
    windows = task.drawn(plan, material, 3, work.last)
    stops, end = task.walk(plan, work.teacher, windows)
    assert len(stops) == 3
    torch.testing.assert_close(stops[0], windows.noise)
    last = torch.full((4,), float(task.times_of(plan)[2]))
    guess = [
        work.teacher(stops[2], windows.before, windows.told, last, torch.full((4,), told))
        for told in (1.0, 0.0)
    ]
    torch.testing.assert_close(end, guess[1] + 2 * (guess[0] - guess[1]), atol=1e-5, rtol=1e-4)
    signal = SCHEDULE.alpha(task.times_of(plan)[2])
    assert 0.4 < signal < 0.9
    follows = (windows.before[:, None] == work.last[None])[..., :EXPRESSION].all(-1).any(-1)
    assert 0 < follows.sum() <= 4


def test_it_learns(plan: task.Plan, material: Material) -> None:
    plan = dataclasses.replace(plan, steps=25, rate=3e-3, average=0.5)
    work = task.begin(plan, material)
    exam = task.drawn(plan, material, 99, work.last)
    _, end = task.walk(plan, work.teacher, exam)
    before = task.judged(plan, work, exam, end)
    teacher = [p.clone() for p in work.teacher.parameters()]
    while work.step < plan.steps:
        losses = task.learn(plan, work, material)
    assert set(losses) == set(task.PARTS)
    after = task.judged(plan, work, exam, end)
    assert sum(after.values()) < 0.8 * sum(before.values())
    assert all(torch.equal(a, b) for a, b in zip(teacher, work.teacher.parameters(), strict=True))


def test_a_run_resumes_and_its_student_is_asked_once(
    plan: task.Plan, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "gather", lambda *_: material)
    task.run(plan)
    task.run(dataclasses.replace(plan, steps=4, resume=True))
    rows = [json.loads(line) for line in (plan.out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 3, 4]
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    denoiser = open_denoiser(plan.out / "lmdm.safetensors")
    assert denoiser.config == dataclasses.replace(CONFIG, is_student=True)
    model = ditto_motion(denoiser)
    assert isinstance(model, DittoMotion)
    state = model.start(0, prepared())
    _, motion = model.step(state, Features(material.sounds[1][:20], 25), Timeline(), final=True)
    assert motion.keypoints.shape == (20, 21, 3)


def test_a_teacher_without_a_motion_network(plan: task.Plan, material: Material) -> None:
    (Path(plan.teacher) / PUBLISHED_FILE).unlink()
    with pytest.raises(ModelError, match="no motion network"):
        task.begin(plan, material)


class TestGathering:
    def test_rows_and_recordings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from visavis.audio.hubert import TOKENS, HubertFeatures
        from visavis.hub import ASSETS

        def encode(window: np.ndarray) -> np.ndarray:
            return np.repeat(window[: TOKENS * 320 : 320, None], 3, axis=1)

        class Looking:
            def __init__(self, *_: object) -> None: ...

            def prepare(self, *_: object) -> object:
                return prepared()

        monkeypatch.setattr(ditto_data, "_ear", lambda _: HubertFeatures(encode, normalize=False))
        monkeypatch.setattr(ditto_data, "open_engine", lambda *_: None)
        monkeypatch.setattr(ditto_data, "LivePortraitRenderer", Looking)
        (tmp_path / "data").mkdir()
        np.save(tmp_path / "data/a.npy", np.ones((7, 3)))
        sound = ASSETS / "demo_speech.flac"
        (tmp_path / "data/b.flac").write_bytes(sound.read_bytes())
        found = gather(tmp_path / "data", tmp_path, None, tmp_path / "rows")
        assert [rows.shape[1] for rows in found.sounds] == [3, 3]
        assert len(found.sounds[1]) > 100
        assert len(found.sitters) == 1
        assert (tmp_path / "rows/b.flac.npy").is_file()

    def test_nothing_to_hear_or_to_see(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no sounds"):
            gather(tmp_path, tmp_path, None, tmp_path)
        (tmp_path / "a.npy").write_bytes(b"")
        np.save(tmp_path / "a.npy", np.ones((7, 3)))
        (tmp_path / "none").mkdir()
        with pytest.raises(InputError, match="no photographs"):
            gather(tmp_path, tmp_path, tmp_path / "none", tmp_path / "rows")
        (tmp_path / "a.wav").write_bytes(b"")
        with pytest.raises(ModelError, match="no speech encoder"):
            gather(tmp_path, tmp_path, None, tmp_path / "rows")
