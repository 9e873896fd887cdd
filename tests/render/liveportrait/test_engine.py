"""The plain engine: pictures in, keypoints and pictures out, equal to upstream's chain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import TOLERANCE, load, picture, relative_error, rule_network, thinned, true_network  # noqa: E402
from visavis.errors import InputError, ModelError  # noqa: E402
from visavis.faces.implicit import POINTS, Implicit, place  # noqa: E402
from visavis.render.liveportrait.config import OUTPUT, LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.eager import TorchEngine  # noqa: E402
from visavis.render.liveportrait.engine import Engine, stitched, stitching_rows  # noqa: E402
from visavis.render.liveportrait.weights import NETWORKS  # noqa: E402

TINY = LivePortraitConfig.tiny()

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def networks():
    return {name: rule_network(name, TINY) for name in NETWORKS}


@pytest.fixture(scope="module")
def engine(networks) -> Engine:
    return TorchEngine(networks)


@pytest.fixture(scope="module")
def true_engine() -> Engine:
    return TorchEngine({name: true_network(name) for name in NETWORKS})


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return picture()[0].transpose(1, 2, 0) / np.float32(255)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (3, POINTS, 3)).astype(np.float32)


class TestGolden:
    def test_a_frame_from_the_picture_to_the_picture(self, true_engine, image) -> None:
        golden = load("e2e_frame")
        volume = true_engine.volume(image)
        frame = next(true_engine.draw(volume, golden["x_s_3"][0], golden["x_d_3"]))
        assert relative_error(thinned(frame, golden["render_s4_3"]), golden["render_s4_3"]) <= (
            TOLERANCE
        )
        assert relative_error(frame.mean(axis=(0, 1)), golden["render_mean_3"]) <= TOLERANCE

    def test_stitching(self, true_engine) -> None:
        golden = load("stitch_retarget")
        found = true_engine.stitch(golden["kp_source"], golden["kp_driving"])
        assert relative_error(found, golden["kp_stitched"]) <= TOLERANCE

    @pytest.mark.parametrize(("which", "theirs"), [("eyes", "eye"), ("lips", "lip")])
    def test_retargeting(self, true_engine, which: str, theirs: str) -> None:
        golden = load("stitch_retarget")
        found = true_engine.retarget(which, golden[f"{theirs}_in"])
        assert found.shape == (4, POINTS, 3)
        assert relative_error(found.reshape(4, -1), golden[f"{theirs}_out"]) <= TOLERANCE

    def test_reading(self, true_engine, image) -> None:
        golden, read = load("motion_extractor"), true_engine.read(image[None])
        for name in ("kp", "exp", "pitch", "yaw", "roll", "t", "scale"):
            found = getattr(read, name).reshape(1, -1)
            assert relative_error(found, golden[name]) <= TOLERANCE


def test_pictures_are_read_one_like_many(engine, image) -> None:
    images = np.stack([image, image[::-1], image[:, ::-1]])
    many = engine.read(images)
    assert isinstance(many, Implicit)
    assert place(many).shape == (3, POINTS, 3)
    for i in range(3):
        one = engine.read(images[i : i + 1])
        assert np.array_equal(one.exp[0], many.exp[i])
        assert np.array_equal(one.pitch[0], many.pitch[i])


def test_frames_come_one_by_one_and_any_cutting_gives_the_same(engine, image, points) -> None:
    volume = engine.volume(image)
    frames = list(engine.draw(volume, points[0], points))
    assert len(frames) == 3
    for frame in frames:
        assert frame.shape == (OUTPUT, OUTPUT, 3)
        assert frame.dtype == np.float32
        assert 0 <= frame.min() < frame.max() <= 255
    assert not np.array_equal(frames[0], frames[1])
    cut = [*engine.draw(volume, points[0], points[:1]), *engine.draw(volume, points[0], points[1:])]
    assert all(np.array_equal(a, b) for a, b in zip(frames, cut, strict=True))


def test_nothing_is_drawn_before_it_is_asked_for(networks, image, points) -> None:
    engine = TorchEngine(networks)
    volume = engine.volume(image)
    endless = np.broadcast_to(points[:1], (10**6, POINTS, 3))
    first, second = itertools.islice(engine.draw(volume, points[0], endless), 2)
    assert np.array_equal(first, second)


def test_one_source_serves_many_rows(engine, points) -> None:
    many = engine.stitch(points[:1], points)
    each = [engine.stitch(points[:1], points[i : i + 1])[0] for i in range(3)]
    assert np.allclose(many, each, atol=1e-6)
    assert many.dtype == np.float32


def test_stitching_shifts_points_and_all_of_them_in_the_plane(points) -> None:
    answer = np.zeros((3, 65), np.float32)
    answer[:, 4] = 0.5  # y of the second point
    answer[:, 63:] = (1, 2)
    moved = stitched(points, answer) - points
    assert np.allclose(moved[:, 0], (1, 2, 0), atol=1e-6)
    assert np.allclose(moved[:, 1], (1, 2.5, 0), atol=1e-6)
    rows = stitching_rows(points[:1], points)
    assert np.array_equal(rows[2], np.concatenate((points[0].ravel(), points[2].ravel())))


def test_bfloat16_is_close(networks, image, points) -> None:
    exact, rough = TorchEngine(networks), TorchEngine(networks, precision="bfloat16")
    frames = [next(e.draw(e.volume(image), points[0], points[1:2])) for e in (exact, rough)]
    assert frames[1].dtype == np.float32
    assert 0 < np.sqrt(np.square(frames[0] - frames[1]).mean()) < 255 / 10 ** (33 / 20)  # 33 dB


@pytest.mark.parametrize(
    ("device", "precision", "said"),
    [
        ("abacus", "float32", "cannot use the device 'abacus'"),
        ("cuda:77", "float32", "cannot use the device 'cuda:77'"),
        ("cpu", "float8", "no precision 'float8'.*float32, bfloat16, float16"),
        ("cpu", "float16", "bfloat16 or float32"),
    ],
)
def test_what_cannot_be_used_is_said(networks, device: str, precision: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        TorchEngine(networks, device, precision)


def test_weights_without_retargeting_say_so(networks) -> None:
    engine = TorchEngine({name: net for name, net in networks.items() if name != "eyes"})
    with pytest.raises(ModelError, match="retarget eyes.*liveportrait"):
        engine.retarget("eyes", np.zeros((1, 66), np.float32))


def test_the_protocol_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; import visavis.render.liveportrait.engine, visavis.nn.rule, "
        "visavis.render.liveportrait.config; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
