import numpy as np
import pytest

from visavis.eval import dynamics
from visavis.motion.layout import INDEX, SIZE

BROWS = dynamics.columns("brows")
PLAIN = dynamics.Metric(BROWS, np.eye(len(BROWS)))


def still(frames: int) -> np.ndarray:
    """Return a relaxed face that does nothing."""
    values = np.zeros((frames, SIZE), np.float32)
    values[:, INDEX["headScale"]] = 1.0
    return values


def swaying(frames: int, seed: int, reach: float = 1.0) -> np.ndarray:
    """Return a face whose every value wanders smoothly."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((frames + 20, SIZE))
    smooth = np.stack([noise[i : i + frames] for i in range(20)]).sum(axis=0) / np.sqrt(20)
    return (reach * smooth).astype(np.float32)


def talking(frames: int, hertz: float = 3.0, jaw: float = 0.4) -> np.ndarray:
    """Return a face whose jaw opens and shuts."""
    values = still(frames)
    values[:, INDEX["jawOpen"]] = jaw * (
        0.5 - 0.5 * np.cos(hertz * 2 * np.pi * np.arange(frames) / 25)
    )
    return values


def blinking(frames: int, starts: list[int], depth: float = 0.9, length: int = 5) -> np.ndarray:
    """Return a face that shuts its eyes from each of ``starts`` on."""
    values = still(frames)
    for start in starts:
        for side in ("Left", "Right"):
            values[start : start + length, INDEX["eyeBlink" + side]] = depth
    return values


def test_groups_are_disjoint_and_hold_every_value() -> None:
    parts = [dynamics.columns(n) for n in dynamics.MEASURED]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(SIZE))


def test_unknown_values_are_left_out() -> None:
    known = np.ones(SIZE, bool)
    known[INDEX["browInnerUp"]] = False
    assert INDEX["browInnerUp"] not in dynamics.columns("brows", known)
    assert len(dynamics.columns("brows", known)) == len(BROWS) - 1


def test_lip_points_move_with_the_mouth_alone() -> None:
    values = still(3)
    values[1, INDEX["jawOpen"]] = 0.5
    values[2, [INDEX["browInnerUp"], INDEX["headYaw"], INDEX["headPitch"]]] = 1.0, 20.0, 5.0
    points = dynamics.lip_points(values)
    assert np.abs(points[1] - points[0]).max() > 0.5  # cm: the jaw is half open
    assert np.abs(points[2] - points[0]).max() < 0.02


def test_lip_error_of_itself_is_nothing() -> None:
    error = dynamics.lip_error(talking(50), talking(50))
    assert error.mean_cm == error.worst_cm == error.speed_cm_s == 0.0
    assert error.fitted_cm == pytest.approx(0, abs=1e-9)
    assert error.amplitude == pytest.approx(1)


def test_fit_takes_out_amplitude_and_rest_and_nothing_else() -> None:
    real, soft = talking(100, jaw=0.4), talking(100, jaw=0.2)
    soft[:, INDEX["mouthSmileLeft"]] = 0.2
    error = dynamics.lip_error(soft, real)
    assert error.mean_cm > 0.05
    assert error.fitted_cm < 0.15 * error.mean_cm
    assert error.amplitude == pytest.approx(2.0, rel=0.15)
    other = dynamics.lip_error(talking(100, hertz=2.0), real)
    assert other.fitted_cm > 0.8 * np.abs(error.mean_cm)
    assert error.worst_cm >= error.mean_cm


def test_a_mouth_that_stays_shut_is_as_far_as_the_real_one_moves() -> None:
    real = talking(100)
    error = dynamics.lip_error(still(100), real)
    points = dynamics.lip_points(real)
    rest = np.linalg.norm(points - points.mean(0), axis=2).mean()
    assert error.fitted_cm == pytest.approx(rest, rel=1e-3)
    assert error.amplitude == 0.0


@pytest.mark.parametrize("name", ["brows", "mouth"])
def test_frechet_orders_like_frozen_and_wild_motion(name: str) -> None:
    clips = [swaying(150, seed) for seed in range(12)]
    others = [swaying(150, 50 + seed) for seed in range(12)]
    space = dynamics.make_space(others, dynamics.make_metric(others, name))
    here = dynamics.embed(space, clips)

    def distance(reach: float) -> float:
        made = [swaying(150, 100 + seed, reach) for seed in range(12)]
        return dynamics.frechet(dynamics.embed(space, made), here)

    alike, lame, wild = distance(1.0), distance(0.5), distance(2.0)
    assert dynamics.frechet(here, here) == pytest.approx(0, abs=1e-6)
    assert alike < 0.4 * lame
    assert lame < wild


def test_a_face_frozen_at_the_mean_is_one_away() -> None:
    clips = [swaying(300, seed) for seed in range(10)]
    space = dynamics.make_space(clips, PLAIN)
    mean = np.concatenate(clips).mean(axis=0)
    frozen = dynamics.embed(space, [np.tile(mean, (300, 1))] * 10)
    assert dynamics.frechet(frozen, dynamics.embed(space, clips)) == pytest.approx(1, abs=0.1)


def test_centred_windows_do_not_see_where_a_face_rests() -> None:
    clips = [swaying(150, seed) for seed in range(8)]
    raised = [c + np.float32(0.5) for c in clips]
    seen = {flag: dynamics.make_space(clips, PLAIN, is_centred=flag) for flag in (False, True)}
    apart = {
        flag: dynamics.frechet(dynamics.embed(s, raised), dynamics.embed(s, clips))
        for flag, s in seen.items()
    }
    assert apart[True] == pytest.approx(0, abs=1e-4)
    assert apart[False] > 0.1


def test_covariance_shrinks_less_the_more_is_known() -> None:
    rng = np.random.default_rng(3)
    true = np.diag([4.0, 1.0, 0.25])

    def off(n: int) -> float:
        rows = rng.standard_normal((n, 3)) @ np.sqrt(true)
        return float(np.abs(dynamics.shrunk_covariance(rows) - true).max())

    assert off(4000) < 0.4
    few = dynamics.shrunk_covariance(rng.standard_normal((6, 3)))
    assert np.linalg.eigvalsh(few)[0] > 0


def test_spectrum_finds_a_sine_and_its_power() -> None:
    values = still(1000)
    values[:, INDEX["headYaw"]] = 2.0 * np.sin(2 * np.pi * 3.0 * np.arange(1000) / 25)
    hertz, density = dynamics.spectrum([values], np.array([INDEX["headYaw"]]))
    assert hertz[np.argmax(density)] == pytest.approx(3.0, abs=0.2)
    assert density.sum() * hertz[1] == pytest.approx(2.0, rel=0.02)  # half the square of 2


def test_spectral_distance_in_decibels() -> None:
    clips = [swaying(300, 1)]
    hertz, density = dynamics.spectrum(clips, BROWS)
    assert dynamics.log_spectral_distance(hertz, density, density) == 0.0
    hertz, tenfold = dynamics.spectrum([10 * clips[0]], BROWS)
    assert dynamics.log_spectral_distance(hertz, tenfold, density) == pytest.approx(20, rel=1e-3)


def test_spectrum_of_clips_too_short_is_not_a_number() -> None:
    assert np.isnan(dynamics.spectrum([still(63)], BROWS)[1]).all()


def test_blinks_are_short_deep_and_of_both_eyes() -> None:
    values = blinking(300, [20, 100, 150]) + blinking(300, [200], depth=0.2)
    values += blinking(300, [230], length=40) + blinking(300, [290], length=1)
    values[60:65, INDEX["eyeBlinkLeft"]] = 0.5  # half a wink: not deep enough on average
    assert dynamics.blinks(values) == [(20, 25), (100, 105), (150, 155)]
    assert dynamics.blink_intervals_s([values]) == [3.2, 2.0]
    assert dynamics.per_minute(3, [values]) == pytest.approx(15)


def test_blinks_count_from_where_the_lids_rest() -> None:
    values = blinking(200, [50], depth=0.5)
    for side in ("Left", "Right"):
        values[:, INDEX["eyeBlink" + side]] += 0.3
    assert dynamics.blinks(values) == [(50, 55)]


def test_saccades_are_jumps_of_the_eyes_not_of_the_head() -> None:
    values = still(100)
    values[40:, INDEX["eyeLookOutRight"]] = values[40:, INDEX["eyeLookInLeft"]] = 0.3  # 10 degrees
    values[:, INDEX["headYaw"]] = 10 * np.sin(np.arange(100) / 3)
    assert dynamics.saccades(values) == [40]
    slow = still(100)
    slow[:, INDEX["eyeLookOutRight"]] = slow[:, INDEX["eyeLookInLeft"]] = np.linspace(0, 0.5, 100)
    assert dynamics.saccades(slow) == []


def test_a_blink_is_no_saccade() -> None:
    values = blinking(100, [40])
    for side in ("Left", "Right"):
        values[40:45, INDEX["eyeLookDown" + side]] = 0.4
    assert dynamics.saccades(values) == []


def test_head_speed_and_range() -> None:
    values = still(101)
    values[:, INDEX["headYaw"]] = np.linspace(0, 20, 101)
    assert dynamics.head_speed_deg_s(values) == pytest.approx(5.0, rel=1e-3)
    assert dynamics.head_range_deg(values) == pytest.approx([0, 18, 0], abs=1e-3)


def test_jitter_is_what_changes_from_frame_to_frame() -> None:
    values = still(1000)
    values[:, INDEX["headYaw"]] = 5 * np.sin(2 * np.pi * 0.5 * np.arange(1000) / 25)
    slow = dynamics.head_jitter_deg(values)
    assert slow == pytest.approx(5 * (2 * np.pi * 0.5 / 25) ** 2 / np.sqrt(2), rel=0.01)
    values[:, INDEX["headYaw"]] += np.random.default_rng(0).normal(0, 0.1, 1000)
    assert dynamics.head_jitter_deg(values) == pytest.approx(np.hypot(slow, 0.1 * 6**0.5), rel=0.1)


def test_variation_is_the_spread_between_clips() -> None:
    clips = [swaying(4000, seed, 0.3) for seed in range(4)]
    assert dynamics.variation(clips, PLAIN) == pytest.approx(0.3 * np.sqrt(len(BROWS)), rel=0.05)
    assert dynamics.variation([clips[0]] * 3, PLAIN) == 0.0
    shifted = [clips[0], clips[0] + np.float32(1)]
    assert dynamics.variation(shifted, PLAIN) == pytest.approx(0, abs=1e-6)
    absolute = dynamics.variation(shifted, PLAIN, is_centred=False)
    assert absolute == pytest.approx(np.sqrt(0.5 * len(BROWS)), rel=1e-6)


@pytest.mark.parametrize("name", dynamics.MEASURED)
def test_people_vary_by_one(name: str) -> None:
    clips = [swaying(600, seed, 0.2) for seed in range(10)]
    metric = dynamics.make_metric(clips, name)
    assert dynamics.variation(clips, metric) == pytest.approx(1, rel=0.1)


def test_shapes_that_look_alike_are_near() -> None:
    clips = [swaying(200, seed, 0.1) for seed in range(5)]
    metric = dynamics.make_metric(clips, "mouth")
    closed, shut, smile = still(50), still(50), still(50)
    shut[:, [INDEX["jawOpen"], INDEX["mouthClose"]]] = 0.2  # the lips hardly move
    smile[:, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.2

    def apart(other: np.ndarray) -> float:
        return dynamics.variation([closed, other], metric, is_centred=False)

    wide = still(50)
    wide[:, INDEX["jawOpen"]] = 0.2
    assert apart(shut) < 0.8 * apart(wide)
    assert apart(smile) > 0.1 * apart(wide)
