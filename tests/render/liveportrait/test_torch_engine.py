"""The fast engine in PyTorch draws what the plain one draws, in any batches and for anybody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import TOLERANCE, picture, relative_error, rule_network  # noqa: E402
from visavis.errors import InputError  # noqa: E402
from visavis.faces.implicit import POINTS  # noqa: E402
from visavis.render.liveportrait.config import LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.eager import TorchEngine  # noqa: E402
from visavis.render.liveportrait.torch_engine import FastTorchEngine, Job, together  # noqa: E402
from visavis.render.liveportrait.weights import NETWORKS  # noqa: E402

TINY = LivePortraitConfig.tiny()

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def networks():
    return {name: rule_network(name, TINY) for name in NETWORKS}


@pytest.fixture(scope="module")
def image():
    return picture()[0].transpose(1, 2, 0) / np.float32(255)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).uniform(-0.3, 0.3, (3, POINTS, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def plain(networks):
    return TorchEngine(networks)


@pytest.fixture(scope="module")
def expected(plain, image, points):
    return list(plain.draw(plain.volume(image), points[0], points))


@pytest.mark.parametrize(("batch", "how"), [(1, "eager"), (2, "graph")])
def test_pictures(networks, image, points, expected, batch, how):
    engine = FastTorchEngine(networks, how=how, batch=batch)
    found = list(engine.draw(engine.volume(image), points[0], points))
    assert relative_error(found, expected) <= TOLERANCE


def test_several_portraits_in_one_batch(networks, plain, image, points):
    engine = FastTorchEngine(networks, batch=2)
    jobs = [
        Job(engine.volume(image), points[0], points[1]),
        Job(engine.volume(1 - image), points[1], points[2]),
    ]
    for job, drawn, original in zip(
        jobs, engine.draw_together(jobs), (image, 1 - image), strict=True
    ):
        (alone,) = plain.draw(plain.volume(original), job.start, job.driving[None])
        assert relative_error(drawn, alone) <= TOLERANCE


def test_threads_of_several_sessions_draw_together(networks, image, points, expected, monkeypatch):
    engine, sizes = FastTorchEngine(networks, batch=2), []
    launched = FastTorchEngine._launched
    monkeypatch.setattr(
        FastTorchEngine, "_launched", lambda e, jobs: sizes.append(len(jobs)) or launched(e, jobs)
    )
    volume = engine.volume(image)
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda p: list(engine.draw(volume, points[0], p[None])), [*points] * 2)
    for (found,), right in zip(drawn, [*expected] * 2, strict=True):
        assert relative_error(found, right) <= TOLERANCE
    assert max(sizes) == 2


@pytest.mark.parametrize(("waiting", "most", "count"), [(1, 4, 1), (3, 4, 2), (9, 4, 4), (5, 3, 2)])
def test_how_many_go_together(waiting, most, count):
    assert together(waiting, most) == count


def test_halves_are_near(networks, image, points, expected):
    engine = FastTorchEngine(networks, precision="bfloat16")
    found = list(engine.draw(engine.volume(image), points[0], points))
    spread = np.std(np.subtract(found, expected)) / np.std(expected)
    assert 1e-6 < spread <= 0.1  # tiny networks average over few channels


def test_nothing_to_draw(networks, image, points):
    engine = FastTorchEngine(networks)
    assert not list(engine.draw(engine.volume(image), points[0], points[:0]))


def test_an_unknown_way(networks):
    with pytest.raises(InputError, match="no way 'hope'.*eager, graph, compile, compile.graph"):
        FastTorchEngine(networks, how="hope")
