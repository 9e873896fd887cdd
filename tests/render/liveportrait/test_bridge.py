"""ARKit coefficients over a linear bridge to expressions, and back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posed import motion as posed_motion
from stub_engine import StubEngine
from visavis.errors import WeightsMismatch
from visavis.faces.implicit import head_rotations, placed
from visavis.nn.rule import normal
from visavis.render.liveportrait.bridge import (
    Bridge,
    _asked,
    fit_bridge,
    read_bridge,
    solved,
    write_bridge,
)
from visavis.render.liveportrait.renderer import LivePortraitRenderer

PLANTED = normal("planted", (52, 63)).astype(np.float32) * 0.05


class Planted(StubEngine):
    """Reads expressions that are a linear function of what the fit is known to ask for."""

    def __init__(self, mixed):
        super().__init__()
        asked = _asked(np.random.default_rng(0), mixed)
        self.answers = asked @ PLANTED + normal("relaxed", (63,)) * 0.1
        self.inputs = []

    def read(self, images):
        first = len(self.inputs)
        self.inputs.extend(images)
        read = super().read(images)
        rows = self.answers[first : first + len(images)]
        read.exp[:] = rows.reshape(-1, 21, 3)
        return read


def test_a_planted_matrix_is_found(portrait):
    engine = Planted(mixed=6)
    bridge = fit_bridge(engine, [portrait], "draft", mixed=6)
    assert np.abs(bridge.matrix - PLANTED).max() < 0.03 * np.abs(PLANTED).max()
    assert bridge.explained > 0.8
    pictures = np.stack(engine.inputs)
    assert len(pictures) == 1 + 104 + 6
    assert np.abs(pictures[1:53] - pictures[0]).max((1, 2, 3)).min() > 0.02  # each shows something


def test_everybody_has_his_own_relaxed_face():
    rng = np.random.default_rng(1)
    asked = np.concatenate([_asked(rng, 60), _asked(rng, 60)])
    person = np.repeat([0, 1], len(asked) // 2)
    own = normal("own", (2, 63))
    seen = asked @ PLANTED + own[person] + 0.001 * rng.standard_normal((len(asked), 63))
    bridge = solved(asked, seen, person)
    assert np.abs(bridge.matrix - PLANTED).max() < 0.01
    assert bridge.explained > 0.97


def test_networks_that_see_nothing_explain_nothing():
    rng = np.random.default_rng(2)
    asked = _asked(rng, 60)
    noise = rng.standard_normal((len(asked), 63))
    assert solved(asked, noise, np.zeros(len(asked), np.int64)).explained < 0.1


@given(st.lists(st.integers(0, 51), min_size=1, max_size=5, unique=True), st.floats(0.2, 0.9))
def test_expressions_are_read_as_coefficients(chosen, value):
    bridge = Bridge(PLANTED)
    coefficients = np.zeros((1, 52), np.float32)
    coefficients[0, chosen] = value
    expression = bridge.expression(coefficients)
    found = bridge.coefficients(expression)
    assert found.shape == (1, 52)
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.abs(found - coefficients).max() < 0.2
    assert np.abs(bridge.expression(found) - expression).max() < 0.1 * np.abs(expression).max()


def test_keypoints_are_read_as_coefficients(portrait):
    bridge = Bridge(PLANTED)
    engine = StubEngine()
    looks = LivePortraitRenderer(engine, bridge).prepare(portrait, (256, 256))
    own, asked = looks.source, posed_motion((4, -6, 3), jawOpen=0.6, mouthSmileLeft=0.4)
    exp = looks.rest + bridge.expression(asked.coefficients)
    turned = own.rotation @ head_rotations(asked.rotation)
    points = placed(own.kp, turned, exp, own.t + np.float32(0.1), own.scale)
    read = bridge.named(looks, replace(asked, coefficients=np.zeros((1, 52)), keypoints=points))
    assert np.abs(read.coefficients - asked.coefficients).max() < 0.1
    assert bridge.named(looks, asked) is asked


def test_files(tmp_path):
    path = tmp_path / "bridge.npz"
    write_bridge(path, Bridge(PLANTED, 0.7))
    back = read_bridge(path)
    assert np.array_equal(back.matrix, PLANTED)
    assert back.explained == pytest.approx(0.7)


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_files(tmp_path, content):
    path = tmp_path / "bridge.npz"
    if content is None:
        np.savez(path, matrix=np.zeros((3, 3)), names=np.array(["a"]), explained=1.0)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsMismatch, match=r"bridge\.npz .* it is fitted again"):
        read_bridge(path)


def test_missing_file(tmp_path):
    with pytest.raises(WeightsMismatch, match="fitted again"):
        read_bridge(tmp_path / "none.npz")
