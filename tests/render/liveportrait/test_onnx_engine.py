"""The engine without PyTorch says what the plain one says, in both runtimes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import (  # noqa: E402
    TOLERANCE,
    load,
    picture,
    relative_error,
    rs,
    rule_network,
    thinned,
    true_network,
)
from visavis.errors import InputError, MissingExtra, ModelError  # noqa: E402
from visavis.faces.implicit import POINTS  # noqa: E402
from visavis.nn import openvino  # noqa: E402
from visavis.nn.export import export  # noqa: E402
from visavis.render.liveportrait.config import LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.eager import TorchEngine  # noqa: E402
from visavis.render.liveportrait.export import export_engine  # noqa: E402
from visavis.render.liveportrait.fast import FastWarp  # noqa: E402
from visavis.render.liveportrait.onnx_engine import FILES, OnnxEngine  # noqa: E402
from visavis.render.liveportrait.weights import NETWORKS  # noqa: E402

TINY = LivePortraitConfig.tiny()
FEATURES = (1, 256, 64, 64)
HERE = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]


def halved(name, shape):
    """Return a random input as the golden data has it, through float16."""
    return rs(name, shape).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def networks():
    return {name: rule_network(name, TINY) for name in NETWORKS}


@pytest.fixture(scope="module")
def folder(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    paths = export_engine(networks, folder)
    assert sorted(folder.iterdir()) == sorted(paths)
    return folder


@pytest.fixture(scope="module", params=HERE)
def engine(folder, request):
    return OnnxEngine(folder, request.param, "float32", threads=1)


@pytest.fixture(scope="module")
def plain(networks):
    return TorchEngine(networks)


@pytest.fixture(scope="module")
def image():
    return picture()[0].transpose(1, 2, 0) / np.float32(255)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform(-0.3, 0.3, (3, POINTS, 3)).astype(np.float32)


def test_what_pictures_say(engine, plain, image):
    found, expected = (
        engine.read(np.stack([image, image[::-1]])),
        plain.read(np.stack([image, image[::-1]])),
    )
    for name in ("kp", "exp", "pitch", "yaw", "roll", "t", "scale"):
        assert relative_error(getattr(found, name), getattr(expected, name)) <= TOLERANCE


def test_pictures(engine, plain, image, points):
    found = list(engine.draw(engine.volume(image), points[0], points))
    expected = list(plain.draw(plain.volume(image), points[0], points))
    assert relative_error(found, expected) <= TOLERANCE


def test_points(engine, plain, points):
    stitched = engine.stitch(points[:1], points)
    assert relative_error(stitched, plain.stitch(points[:1], points)) <= TOLERANCE
    for which, columns in (("eyes", 66), ("lips", 65)):
        rows = np.random.default_rng(1).standard_normal((4, columns)).astype(np.float32)
        found = engine.retarget(which, rows)
        assert relative_error(found, plain.retarget(which, rows)) <= TOLERANCE


@pytest.mark.skipif("openvino" not in HERE, reason="OpenVINO is not installed")
def test_halves_are_near(folder, plain, image, points):
    engine = OnnxEngine(folder, "openvino", threads=1)
    found = list(engine.draw(engine.volume(image), points[0], points))
    expected = list(plain.draw(plain.volume(image), points[0], points))
    spread = np.std(np.subtract(found, expected)) / np.std(expected)
    assert 1e-6 < spread <= 0.1  # tiny networks average over few channels


@pytest.mark.slow
@pytest.mark.skipif("openvino" not in HERE, reason="OpenVINO is not installed")
def test_halves_of_the_true_size_are_within_a_hundredth(image, tmp_path):
    export_engine({name: true_network(name) for name in NETWORKS}, tmp_path)
    engine = OnnxEngine(tmp_path, "openvino", "bfloat16")
    golden, volume = load("warp_network"), halved("feature_3d", (1, 32, 16, 64, 64))
    with torch.inference_mode():
        thin = FastWarp(true_network("warping")).source(torch.from_numpy(volume)).numpy()
    points = {"source": golden["kp_source"], "driving": golden["kp_driving"]}
    (features,) = engine._networks["warping"]({"volume": volume, "thin": thin, **points})
    assert relative_error(thinned(features, golden["out_s4"]), golden["out_s4"]) <= 1e-2
    golden = load("decoder")
    (painted,) = engine._networks["decoder"]({"features": halved("decoder_feature", FEATURES)})
    assert relative_error(thinned(painted, golden["out_s4"]), golden["out_s4"]) <= 1e-2
    golden = load("e2e_frame")
    (frame,) = engine.draw(engine.volume(image), golden["x_s_3"][0], golden["x_d_3"])
    apart = thinned(frame, golden["render_s4_3"]) - golden["render_s4_3"]
    assert 20 * np.log10(255 / np.sqrt(np.mean(apart**2))) > 40  # decibels


def test_ditto_has_neither_eyes_nor_lips(folder, tmp_path):
    for name in FILES:
        shutil.copy(folder / f"{name}.onnx", tmp_path)
    with pytest.raises(ModelError, match="no network to retarget eyes"):
        OnnxEngine(tmp_path, "onnxruntime").retarget("eyes", np.zeros((1, 66), np.float32))


@pytest.mark.parametrize(
    ("runtime", "precision", "said"),
    [
        ("abacus", None, "no runtime 'abacus'.*onnxruntime, openvino"),
        ("onnxruntime", "bfloat16", "onnxruntime does not run in 'bfloat16'"),
        ("openvino", "int3", "openvino does not run in 'int3'"),
    ],
)
def test_what_cannot_be_run(folder, runtime, precision, said):
    with pytest.raises(InputError, match=said):
        OnnxEngine(folder, runtime, precision)


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match=f"no {FILES[0]}.onnx.*visavis models convert"):
        OnnxEngine(tmp_path)


def test_openvino_is_an_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match="pip install openvino"):
        openvino.OpenVinoNetwork(folder / "motion.onnx")


def test_it_needs_no_pytorch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None; "
        "import visavis.render.liveportrait.onnx_engine"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_too_large_for_a_file(tmp_path):
    with torch.device("meta"):
        module = torch.nn.Linear(2**15, 2**15)
    with pytest.raises(ModelError, match="do not fit into one ONNX file"):
        export(module, tmp_path / "large.onnx", {"x": torch.zeros(1)}, ("y",))
    assert not list(tmp_path.iterdir())
