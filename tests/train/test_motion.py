"""The motion model's training: batches, losses, exact resume, and a real run of three steps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.data.clip import Clip, write_clip  # noqa: E402
from visavis.motion import conditions  # noqa: E402
from visavis.motion.layout import INDEX, SIZE  # noqa: E402
from visavis.motion.shaping import aimed  # noqa: E402
from visavis.nn.session import Network  # noqa: E402
from visavis.train import motion_data  # noqa: E402
from visavis.train.motion_nets import INPUTS, PRESETS, WIDTHS, Denoiser, export  # noqa: E402
from visavis.train.tasks import motion  # noqa: E402
from visavis.types import Phase  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future


def made_clip(name: str, source: str, phase: Phase, frames: int = 120) -> Clip:
    """Return a clip of plausible curves with a blink."""
    rng = np.random.default_rng(len(name))
    values = np.zeros((frames, SIZE), np.float32)
    values[:, 57] = 1
    t = np.arange(frames) / 25
    values[:, INDEX["jawOpen"]] = 0.2 + 0.15 * np.sin(20 * t)
    values[:, INDEX["headYaw"]] = 5 * np.sin(t)
    lid = np.exp(-(((t - 2) / 0.06) ** 2))
    values[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = lid[:, None]
    samples = (0.1 * rng.standard_normal(frames * 640)).astype(np.float32)
    other = samples[::-1].copy() if phase is Phase.LISTENING else np.zeros(0, np.float32)
    return Clip(name, name, source, values, np.ones(SIZE, bool), samples, other, phase=phase)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of features of a few made clips."""
    clips, out = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("features")
    for i in range(4):
        write_clip(clips, made_clip(f"speech-{i}", "speech", Phase.SPEAKING))
    for name in ("listening-0", "zz-validation-44", "listening-3"):
        write_clip(clips, made_clip(name, "listening", Phase.LISTENING))
    for name in ("idle-1", "idle-2"):
        write_clip(clips, made_clip(name, "idle", Phase.IDLE))
    motion_data.hear(clips, None, out, takes=1)
    return out


@pytest.fixture
def everyone_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the few made persons be in every split."""
    monkeypatch.setattr(motion_data, "split_of", lambda person: "train")
    real = motion_data.MotionData
    monkeypatch.setattr(motion, "MotionData", lambda folder, split="train": real(folder))


def plan(features: Path, out: Path, steps: int) -> motion.Plan:
    return motion.Plan(features, out, preset="tiny", steps=steps, batch=2, save_every=1, fixed=0.5)


@pytest.mark.usefixtures("everyone_trains")
def test_three_steps_make_a_network_that_runs_without_torch(features: Path, tmp_path: Path) -> None:
    motion.run(plan(features, tmp_path, 3))
    rows = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3]
    network = Network(str(tmp_path / "model.onnx"))
    inputs = {k: np.zeros((2, 5, w), np.float32) for k, w in zip(INPUTS, WIDTHS, strict=True)}
    assert network(inputs)[0].shape == (2, 5, SIZE)


@pytest.mark.usefixtures("everyone_trains")
def test_a_killed_run_goes_on_exactly(features: Path, tmp_path: Path) -> None:
    whole, cut = plan(features, tmp_path / "whole", 4), plan(features, tmp_path / "cut", 4)
    motion.run(whole)
    data = motion.MotionData(features)
    cut.out.mkdir()
    teacher = motion.begin(cut, data)
    for draw, _ in zip(motion.drawn(cut, data, 0), range(2), strict=False):
        motion.learn(cut, teacher, draw)
    motion.save(cut, teacher, {})  # and then the process dies
    motion.run(replace(cut, resume=True))
    a, b = (torch.load(p.out / "state.pt", weights_only=True) for p in (whole, cut))
    assert a["step"] == b["step"] == 4
    for part in ("net", "average"):
        assert all(torch.equal(x, b[part][k]) for k, x in a[part].items())


def test_torch_and_onnx_agree(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Denoiser(PRESETS["tiny"]).eval()
    export(net, np.arange(SIZE), np.ones(SIZE), tmp_path / "net.onnx")
    network = Network(str(tmp_path / "net.onnx"))
    for count, frames in ((1, 2), (3, 41)):
        inputs = [torch.randn(count, frames, w) for w in WIDTHS]
        with torch.no_grad():
            expected = net(*inputs).numpy()
        got = network({k: x.numpy() for k, x in zip(INPUTS, inputs, strict=True)})[0]
        assert np.abs(got - expected).max() < 0.03 * expected.std() + 0.01  # weights in bytes
    assert json.loads(network.metadata["mean"])[3] == 3


@pytest.mark.usefixtures("everyone_trains")
def test_batches_name_what_they_show(features: Path) -> None:
    data = motion_data.MotionData(features)
    batch = data.batch(np.random.default_rng(0), 64, 50)
    assert batch["speech"].shape == (64, 50, conditions.SPEECH)
    controls, values = batch["controls"].numpy(), batch["motion"].numpy()
    asked = controls[:, 0, conditions.HAS_HEAD] > 0
    assert asked.any()
    head = values[asked][:, :, 52:55].mean(1)
    wished = controls[asked][:, 0, conditions.HEAD] * conditions.HEAD_UNIT_DEG
    np.testing.assert_allclose(head, wished, atol=1e-3)
    gazing = controls[:, 0, conditions.HAS_GAZE] > 0
    gaze = np.stack([np.median(conditions.gaze_of(v), 0) for v in values[gazing]])
    wished = controls[gazing][:, 0, conditions.GAZE] * conditions.GAZE_UNIT_DEG
    assert np.median(np.abs(gaze - wished)) < 1.0


def test_blinks_are_found_where_the_lids_meet() -> None:
    values = made_clip("x", "speech", Phase.SPEAKING).motion
    assert list(motion_data.blinks(values)) == [50]


def test_aimed_eyes_look_there_whatever_the_head_does() -> None:
    values = made_clip("x", "speech", Phase.SPEAKING).motion
    gaze = np.tile(np.array([[6.0, -4.0]], np.float32), (len(values), 1))
    np.testing.assert_allclose(conditions.gaze_of(aimed(values, gaze)), gaze, atol=1e-3)


def test_groups_that_lag_get_more_weight() -> None:
    weights = motion.GroupWeights(period=2)
    for k in range(6):
        losses = torch.full((len(motion.GROUPS),), 0.8**k)
        losses[1] = 1.0  # does not improve
        weights.weigh(losses)
    assert weights.weights[1] == max(weights.weights)
    assert sum(weights.weights) == pytest.approx(len(motion.GROUPS))


def test_perfect_motion_costs_nothing_and_open_lips_cost() -> None:
    clean = torch.zeros(1, 10, SIZE)
    free, units = torch.ones_like(clean), (torch.zeros(SIZE), torch.ones(SIZE))
    assert motion.group_losses(clean, clean, free, units).sum() == 0
    parted = clean.clone()
    parted[..., INDEX["jawOpen"]] = 0.05
    closed = parted.clone()
    closed[..., INDEX["mouthClose"]] = 0.05
    assert motion.lip_loss(parted, clean, units) > 4 * motion.lip_loss(closed, clean, units)


def test_context_and_unknown_entries_carry_their_own_noise() -> None:
    torch.manual_seed(0)
    clean, known = torch.ones(2, 6, SIZE), torch.ones(2, SIZE, dtype=torch.bool)
    known[:, 0] = False
    given = torch.zeros(2, 6, SIZE, dtype=torch.bool)
    given[:, :2] = True
    masks = motion.Masks(given, torch.zeros(2, 6, SIZE))
    time = torch.full((2, 1, 1), 0.5)
    values, level = motion.noisy(clean, known, masks, time, torch.randn(2, 6, SIZE))
    assert torch.equal(values[:, :2, 1:], clean[:, :2, 1:])
    assert (level[..., 0] == 1).all()
    assert (level[:, 2:, 1:] == 0.5).all()
