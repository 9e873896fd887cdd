import numpy as np
import pytest

from visavis.motion.conditions import gaze_of, group
from visavis.motion.controls import Controls
from visavis.motion.layout import INDEX, ROTATION, SIZE
from visavis.motion.shaping import aimed, held, limited, rest, shaped, turned


def some_motion(frames: int = 40) -> np.ndarray:
    """A face that moves its mouth and brows, nods and looks about."""
    rng, t = np.random.default_rng(4), np.arange(frames)[:, None] / 25
    values = np.tile(rest(), (frames, 1))
    columns = group("jaw") + group("lips") + group("brows") + group("head")[:3]
    wave = np.sin(2 * np.pi * (rng.uniform(0.3, 2, len(columns)) * t + rng.random(len(columns))))
    values[:, columns] = 0.2 + 0.2 * wave
    values[:, ROTATION] = 6.0 * wave[:, -3:]
    values[:, INDEX["eyeLookInLeft"]] = values[:, INDEX["eyeLookOutRight"]] = 0.1
    values[:, INDEX["eyeLookDownLeft"]] = values[:, INDEX["eyeLookDownRight"]] = 0.05
    return values.astype(np.float32)


def done(frames: int) -> np.ndarray:
    return np.zeros((frames, 3), np.float32)


def asked(wish: Controls, values: np.ndarray | None = None) -> np.ndarray:
    values = some_motion() if values is None else values
    return shaped(values, [wish] * len(values), done(len(values)))


def test_the_default_changes_no_bit() -> None:
    values = some_motion()
    values[:, INDEX["headPitch"]] = 90.0
    assert np.array_equal(asked(Controls(), values), values)
    assert np.array_equal(turned(values, [Controls()] * len(values)), values)


def test_gain_and_offset_are_exact_and_monotone() -> None:
    jaw = INDEX["jawOpen"]
    for gain in (0.0, 0.5, 1.3):
        made = asked(Controls(gain={"jawOpen": gain}))
        assert np.allclose(made[:, jaw], gain * some_motion()[:, jaw], atol=1e-6)
        assert np.array_equal(np.delete(made, jaw, 1), np.delete(some_motion(), jaw, 1))
    means = [asked(Controls(offset={"jawOpen": x}))[:, jaw].mean() for x in (-1, -0.1, 0, 0.2, 1)]
    assert (np.diff(means) > 0).all()
    assert means[0] == 0.0
    assert means[-1] == 1.0
    wide = asked(Controls(gain={"headScale": 3.0}, offset={"headYaw": 10.0}))
    assert np.array_equal(wide[:, INDEX["headScale"]], some_motion()[:, INDEX["headScale"]])
    assert wide[:, INDEX["headYaw"]].mean() > 5.0


@pytest.mark.parametrize("region", ["brows", "lids", "gaze", "mouth", "head"])
def test_a_frozen_region_rests_and_nothing_else_does(region: str) -> None:
    made = asked(Controls(freeze=frozenset({region}), gain={"jawOpen": 2.0}, energy=1.5))
    columns = [
        i for name in ({"mouth": ["jaw", "lips"]}.get(region, [region])) for i in group(name)
    ]
    assert (made[:, columns] == rest()[columns]).all()
    moving = set(np.flatnonzero(np.ptp(some_motion(), 0))) - set(columns)
    assert all(np.ptp(made[:, i]) > 0 for i in moving)


def test_what_is_held_is_held_exactly_and_over_time() -> None:
    wishes = [Controls(hold={"mouthPucker": 0.01 * i, "headYaw": -4.0}) for i in range(40)]
    fixed = held(wishes)
    assert np.isnan(fixed).sum() == 40 * (SIZE - 2)
    made = shaped(some_motion(), wishes, done(40))
    assert np.allclose(made[:, INDEX["mouthPucker"]], 0.01 * np.arange(40))
    assert (made[:, INDEX["headYaw"]] == -4.0).all()


@pytest.mark.parametrize("target", [(0.0, 0.0), (22.0, -8.0), (-10.0, 5.0)])
def test_eyes_aim_where_asked_whatever_the_head_does(target: tuple[float, float]) -> None:
    for wish in (Controls(gaze=target), Controls(gaze=target, head_range=2.0, energy=1.3)):
        made = asked(wish)
        assert made[:, ROTATION].std(0).min() > 2.0
        eyes = made[:, group("gaze")].max(1)
        assert (eyes < 1.0).mean() > 0.8  # at 1 the eye turns no further
        assert np.abs(gaze_of(made) - target)[eyes < 1.0].max() < 1.01
    frozen = asked(Controls(gaze=target, freeze=frozenset({"head"})))
    assert np.abs(gaze_of(frozen) - target).max() < 1.01


def test_eyes_turn_together_and_lids_follow_them_down() -> None:
    values = some_motion()
    low = aimed(values, gaze_of(values) + np.array([12.0, -14.0], np.float32))
    shift = low - values
    left = shift[:, INDEX["eyeLookOutLeft"]] - shift[:, INDEX["eyeLookInLeft"]]
    right = shift[:, INDEX["eyeLookInRight"]] - shift[:, INDEX["eyeLookOutRight"]]
    assert np.allclose(left, 12 / 35, atol=1e-5)
    assert np.allclose(right, 12 / 35, atol=1e-5)
    assert np.allclose(shift[:, INDEX["eyeBlinkLeft"]], 0.6 * 14 / 35, atol=1e-5)
    assert np.abs(gaze_of(low) - gaze_of(values) - [12.0, -14.0]).max() < 1e-3


def test_liveliness_scales_movement_and_keeps_the_gaze() -> None:
    spans = [asked(Controls(head_range=x))[:, ROTATION].std() for x in (0.0, 0.4, 1.0, 1.6, 2.0)]
    assert spans[0] < 1e-4
    assert (np.diff(spans) > 0.3).all()
    assert np.abs(gaze_of(asked(Controls(head_range=1.5))) - gaze_of(some_motion())).max() < 0.01
    mouths = [asked(Controls(energy=x))[:, INDEX["jawOpen"]].std() for x in (0.5, 0.8, 1.0, 1.5)]
    assert (np.diff(mouths) > 0.005).all()
    tended = asked(Controls(head=(0.0, 8.0, 0.0), head_range=0.0))
    assert np.allclose(tended[:, ROTATION], [0.0, 8.0, 0.0], atol=1e-4)


def test_what_a_model_was_asked_already_is_not_done_twice() -> None:
    wish = Controls(energy=1.5)
    row = np.log2([1.5**0.5, 1.5, 1.5]).astype(np.float32)
    made = shaped(some_motion(), [wish] * 40, np.tile(row, (40, 1)))
    assert np.allclose(made, some_motion(), atol=1e-5)


def test_a_model_without_a_wish_for_the_head_gets_it_turned() -> None:
    values = some_motion()
    made = turned(values, [Controls(head=(3.0, -6.0, 1.0))] * len(values))
    assert np.allclose(made[:, ROTATION] - values[:, ROTATION], [3.0, -6.0, 1.0], atol=1e-5)
    assert np.abs(gaze_of(made) - gaze_of(values)).max() < 1e-3


def test_limits_leave_the_usual_alone_and_stop_the_rest_gently() -> None:
    usual = some_motion()
    assert np.allclose(limited(usual), usual)
    far = np.tile(rest(), (50, 1))
    far[:, INDEX["headYaw"]] = np.linspace(-60, 60, 50)
    far[:, INDEX["headX"]] = np.linspace(-3, 3, 50)
    far[:, INDEX["jawOpen"]] = np.linspace(-1, 2, 50)
    made = limited(far)
    assert (np.diff(made[:, INDEX["headYaw"]]) >= 0).all()
    assert np.abs(made[:, INDEX["headYaw"]]).max() <= 24.0
    assert np.abs(made[:, INDEX["headX"]]).max() <= 0.6
    assert made[:, INDEX["jawOpen"]].min() == 0.0
    assert made[:, INDEX["jawOpen"]].max() == 1.0
