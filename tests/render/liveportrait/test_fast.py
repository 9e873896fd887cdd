"""The faster W and G say what the plain ones say, and what upstream's say."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from golden import TOLERANCE, load, relative_error, rs, rule_network, thinned, true_network  # noqa: E402
from visavis.faces.implicit import POINTS  # noqa: E402
from visavis.render.liveportrait.config import LivePortraitConfig  # noqa: E402
from visavis.render.liveportrait.fast import FastDecoder, FastWarp  # noqa: E402

TINY = LivePortraitConfig.tiny()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def halved(name: str, shape: tuple[int, ...]):
    return torch.from_numpy(rs(name, shape)).half().float()


@pytest.mark.parametrize("by_products", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_tiny_networks_say_the_same(by_products, batch):
    torch.manual_seed(0)
    slow, painter = rule_network("warping", TINY), rule_network("decoder", TINY)
    volume = torch.randn(batch, TINY.volume_channels, TINY.volume_depth, 64, 64)
    source = torch.randn(batch, POINTS, 3) * 0.3
    driving = source + torch.randn(batch, POINTS, 3) * 0.1
    fast = FastWarp(slow, by_products=by_products)
    features = slow(volume, source, driving)
    found = fast(volume, fast.source(volume), source, driving)
    assert relative_error(found, features) <= TOLERANCE
    picture = FastDecoder(painter, by_products=by_products)(features)
    assert relative_error(picture, painter(features)) <= TOLERANCE


def test_channels_are_filled_up_with_zeros():
    torch.manual_seed(0)
    slow = rule_network("warping", TINY)
    volume = torch.randn(1, TINY.volume_channels, TINY.volume_depth, 64, 64)
    source, driving = torch.randn(2, 1, POINTS, 3) * 0.3
    fast = FastWarp(slow, multiple=8)
    assert fast.hourglass.downs[0].conv.in_channels % 8 == 0
    assert fast.mask.out_channels == 24
    found = fast(volume, fast.source(volume), source, driving)
    assert relative_error(found, slow(volume, source, driving)) <= TOLERANCE


def test_the_plain_networks_stay_as_they_were():
    slow, painter = rule_network("warping", TINY), rule_network("decoder", TINY)
    before = copy.deepcopy({**slow.state_dict(), **painter.state_dict()})
    FastWarp(slow, by_products=True)
    FastDecoder(painter, by_products=True)
    after = {**slow.state_dict(), **painter.state_dict()}
    assert all(torch.equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("by_products", [False, True])
def test_w_equals_upstream(by_products):
    golden = load("warp_network")
    fast = FastWarp(true_network("warping"), by_products=by_products)
    volume = halved("feature_3d", (1, 32, 16, 64, 64))
    points = [torch.from_numpy(golden[name]) for name in ("kp_source", "kp_driving")]
    found = fast(volume, fast.source(volume), *points)
    assert relative_error(thinned(found, golden["out_s4"]), golden["out_s4"]) <= TOLERANCE


def test_g_equals_upstream():
    golden = load("decoder")
    fast = FastDecoder(true_network("decoder"), by_products=True)
    found = fast(halved("decoder_feature", (1, 256, 64, 64)))
    assert relative_error(thinned(found, golden["out_s4"]), golden["out_s4"]) <= TOLERANCE
