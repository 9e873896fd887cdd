"""The neural path from end to end on random weights: cut anyhow, the same frames."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import visavis
from visavis.animator import MotionAnimator, Prepared, spoken
from visavis.errors import InputError, ModelError, WeightsMismatch
from visavis.hub.catalog import CATALOG
from visavis.hub.folder import Record, Seen, write_record
from visavis.motion.controls import Controls, Timeline
from visavis.motion.ditto.model import DittoMotion
from visavis.motion.ditto.published import PublishedMotion
from visavis.neural import open_neural
from visavis.render.liveportrait.bridge import Bridge
from visavis.render.liveportrait.engine import Engine
from visavis.types import Audio, Frame, Portrait

SIZE = (96, 96)


@pytest.fixture(scope="module")
def sound(speech: np.ndarray) -> np.ndarray:
    return speech[8000:16_000]


def opened(folder: Path, portrait: Portrait, **options: object) -> tuple[MotionAnimator, Prepared]:
    animator = MotionAnimator(*open_neural(folder, **options))  # type: ignore[arg-type]
    return animator, animator.prepare(portrait, SIZE)


def played(
    animator: MotionAnimator, prepared: Prepared, sound: np.ndarray, cuts: list[int]
) -> list[Frame]:
    pieces = [(sound[a:b], None) for a, b in pairwise([0, *cuts, len(sound)])]
    asked = Timeline.steady(Controls(emotion="happy"))
    return list(spoken(animator, prepared, pieces, 3, asked))


def same(one: list[Frame], other: list[Frame]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", list(CATALOG))
def test_any_cutting_of_the_sound_gives_the_same_frames(
    tiny: dict[str, Path], portrait: Portrait, sound: np.ndarray, name: str
) -> None:
    animator, prepared = opened(tiny[name], portrait, steps=2 if name == "ditto" else 1)
    whole = played(animator, prepared, sound, [])
    assert len(whole) == 13
    assert whole[0].image.shape == (*SIZE, 3)
    assert len({frame.image.tobytes() for frame in whole}) > 1
    assert (whole[0].motion.keypoints is not None) == (name == "ditto")
    assert same(whole, played(animator, prepared, sound, [1, 700, 701, 3000, 7999]))


def test_live_frames_come_on_demand(
    tiny: dict[str, Path], portrait: Portrait, sound: np.ndarray
) -> None:
    animator, prepared = opened(tiny["ditto"], portrait, steps=1, live=True)
    ear, heard = animator.hear(animator.listen(), Audio(sound))
    state, motion = animator.move(animator.start(prepared, 1), heard, Timeline(), 5)
    state = animator.cut(state, 3)
    state, more = animator.move(state, None, Timeline(), 4)
    frames = animator.draw(prepared, motion[:3]) + animator.draw(prepared, more, 3)
    assert [frame.index for frame in frames] == list(range(7))


@pytest.mark.filterwarnings("ignore")  # of PyTorch's exporter
def test_converted_and_exported_networks_draw_the_same(
    tiny: dict[str, Path],
    portrait: Portrait,
    sound: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from visavis.neural.converting import convert

    monkeypatch.setitem(sys.modules, "openvino", None)  # ONNX Runtime is always there
    convert(tiny["ditto"], tmp_path / "ours")
    convert(tiny["ditto"], tmp_path / "exported", is_exported=True)
    theirs, ours, exported = (
        played(*opened(folder, portrait, steps=1, precision="float32"), sound[:3000], [])
        for folder in (tiny["ditto"], tmp_path / "ours", tmp_path / "exported")
    )
    for frame, *others in zip(theirs, ours, exported, strict=True):
        for other in others:  # to rounding
            assert np.abs(frame.image.astype(int) - other.image).max() <= 1


@pytest.mark.filterwarnings("ignore")
def test_exported_networks_are_checked(tiny: dict[str, Path], tmp_path: Path) -> None:
    from visavis.neural.checking import check
    from visavis.neural.converting import convert

    convert(tiny["liveportrait"], tmp_path, is_exported=True)
    assert all(found.is_ok for found in check(tmp_path))
    (tmp_path / "onnx/warping.onnx").write_bytes(b"half")
    wrong = [found for found in check(tmp_path) if not found.is_ok]
    assert [(found.network, found.file) for found in wrong] == [("warping", "onnx/warping.onnx")]


@pytest.mark.filterwarnings("ignore")
def test_exported_networks_need_no_pytorch(tiny: dict[str, Path], tmp_path: Path) -> None:
    from visavis.neural.converting import convert

    convert(tiny["ditto"], tmp_path / "ours", is_exported=True)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['openvino'] = None\n"
        "from visavis.neural import open_neural\n"
        f"print([type(part).__name__ for part in open_neural({str(tmp_path / 'ours')!r})])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "['HubertFeatures', 'DittoMotion', 'LivePortraitRenderer']\n", run.stderr


def test_a_name_opens_what_was_fetched(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="visavis models fetch ditto"):
        open_neural("ditto")
    folder = tmp_path / "ditto"
    shutil.copytree(tiny["ditto"], folder)
    sizes = {f.path: (folder / f.path).stat().st_size for f in CATALOG["ditto"].files}
    write_record(folder, Record(files={path: Seen(size, "") for path, size in sizes.items()}))
    _, motion, _ = open_neural("ditto")
    assert isinstance(motion, DittoMotion)


def test_motion_models_by_name(tiny: dict[str, Path]) -> None:
    _, motion, _ = open_neural(tiny["ditto"], motion_model="ditto_published")
    assert isinstance(motion, PublishedMotion)
    with pytest.raises(InputError, match="Use one of: ditto, ditto_published, diffused, rules"):
        open_neural(tiny["ditto"], motion_model="other")
    with pytest.raises(InputError, match="steps"):
        open_neural(tiny["ditto"], steps=0)
    with pytest.raises(ModelError, match="no motion network of Ditto's"):
        open_neural(tiny["liveportrait"], motion_model="ditto")
    with pytest.raises(InputError, match="no such device|cannot use the device"):
        open_neural(tiny["ditto"], device="abacus")


def test_the_bridge_is_fitted_once(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visavis.neural import opening

    folder = Path(shutil.copytree(tiny["liveportrait"], tmp_path / "model"))
    (folder / opening.BRIDGE_FILE).unlink(missing_ok=True)
    fitted: list[Engine] = []

    def fit(engine: Engine, portraits: list[Portrait]) -> Bridge:
        fitted.append(engine)
        return Bridge(np.ones((52, 63), np.float32))

    monkeypatch.setattr(opening, "fit_bridge", fit)
    for _ in range(2):
        open_neural(folder, motion_model="rules")
    assert len(fitted) == 1
    folder.joinpath(opening.BRIDGE_FILE).write_bytes(b"broken")
    with pytest.raises(WeightsMismatch, match="or no bridge"):
        open_neural(folder)


def test_without_pytorch_it_says_what_to_install(tiny: dict[str, Path]) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from visavis.errors import MissingExtra\n"
        "from visavis.neural import open_neural\n"
        f"try: open_neural({str(tiny['liveportrait'])!r})\n"
        "except MissingExtra as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "visavis[neural]"' in run.stdout


def test_motion_files_of_keypoints_come_with_a_warning(
    tiny: dict[str, Path], portrait: Portrait, tmp_path: Path
) -> None:
    given = (np.zeros(640, np.float32), 16_000)
    curves = tmp_path / "a.csv"
    said = visavis.animate(
        portrait, given, tmp_path / "a.mp4", size=64, model=tiny["ditto"], motion_out=curves
    )
    assert any("a.csv holds the head alone" in warning for warning in said.warnings)


@pytest.mark.slow
def test_published_sizes_draw(true_size: Path, portrait: Portrait, sound: np.ndarray) -> None:
    frames = played(*opened(true_size, portrait, steps=1), sound[:1280], [])
    assert len(frames) == 2
    assert all(frame.image.std() > 1 for frame in frames)


def test_a_driven_portrait_needs_no_bridge(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny["liveportrait"], folder, ignore=shutil.ignore_patterns("bridge*"))
    open_neural(folder, is_driven=True)
    assert not list(folder.rglob("bridge*"))
