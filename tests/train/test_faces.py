"""Every face task builds, learns for two steps, saves, resumes and exports a file that runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from visavis.faces.topology import canonical

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from visavis.train.loop import Plan, rate_at, run  # noqa: E402
from visavis.train.tasks.detector import Detector  # noqa: E402
from visavis.train.tasks.landmarks import Landmarks  # noqa: E402
from visavis.train.tasks.matte import Matte  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own future


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `face_data` and `matte_data` write it: eight grey pictures with made-up faces."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    face = canonical() * [1, -1, -1]
    crops = rng.integers(0, 256, (8, 256, 256, 3)).astype(np.uint8)
    np.save(folder / "crops.npy", crops)
    np.save(folder / "points.npy", np.repeat((face * 7.1 + [128, 128, 0])[None], 8, 0))
    np.save(folder / "frames.npy", rng.integers(0, 256, (8, 320, 320, 3)).astype(np.uint8))
    np.save(folder / "frame_points.npy", np.repeat((face * 6 + [160, 150, 0])[None], 8, 0))
    np.save(folder / "frame_sizes.npy", np.full((8, 2), 320))
    np.save(folder / "matte_crops.npy", rng.integers(0, 256, (8, 448, 448, 3)).astype(np.uint8))
    np.save(folder / "mattes.npy", np.full((8, 448, 448, 3), 255, np.uint8))
    rows = [{"name": f"{n}{'#1' * (n % 2)}", "validation": n > 5} for n in range(8)]
    for name in ("index.json", "matte_index.json"):
        (folder / name).write_text(json.dumps(rows))
    return folder


@pytest.mark.parametrize(
    ("kind", "size", "outputs"),
    [(Detector, 160, ["hypotheses"]), (Landmarks, 144, ["points", "presence"]),
     (Matte, 256, ["logits"])],
)  # fmt: skip
def test_two_steps_and_a_file(
    kind: type, size: int, outputs: list[str], data: Path, tmp_path: Path
) -> None:
    import onnxruntime

    task = kind(data)
    run(task, Plan(tmp_path, steps=1, batch_size=2))
    run(task, Plan(tmp_path, steps=2, batch_size=2, resume=True))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2]
    assert np.isfinite([v for r in rows for v in r.values()]).all()
    assert (tmp_path / "model.onnx").stat().st_size < 4.2e6
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = session.run(outputs, {"image": np.zeros((1, 3, size, size), np.float32)})
    assert all(np.isfinite(f).all() for f in found)


def test_a_seed_fixes_the_batches(data: Path) -> None:
    task = Landmarks(data)
    first, second = (task.batch(np.random.default_rng(4), 3)["image"] for _ in range(2))
    assert torch.equal(first, second)


def test_rate_rises_then_falls() -> None:
    plan = Plan(Path(), steps=1000, rate=1.0)
    rates = [rate_at(plan, s) for s in (0, 199, 200, 600, 999)]
    assert rates == pytest.approx([0.005, 1.0, 1.0, 0.505, 0.01], abs=1e-3)
