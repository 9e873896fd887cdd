"""Clips that follow one another: starts, noise of frames, both kinds of arrays, held statistics."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.diffusion.samplers import cosine_times, sample_multistep
from visavis.errors import InputError
from visavis.video import rolling
from visavis.video.rolling import (
    SCHEDULE,
    STARTS,
    Rolling,
    after,
    anchored,
    drawn,
    guided,
    noise_of,
    opened,
    sampled,
    started,
)

PAST, SHAPE = 4, (3, 2, 2)


def by_frame(frames, times):
    """A denoiser to which every frame is its own matter."""
    return frames * 0.5 + times[:, None, :, None, None]


def carrying(frames, times):
    """One for which the past counts: new frames go on from the mean of those shown."""
    return frames * 0.3 + 0.7 * frames[:, :, :PAST].mean(2)[:, :, None] + 0.1


def past(count: int = 2, seed: int = 0) -> np.ndarray:
    """Clean frames of the past."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, SHAPE[0], PAST, *SHAPE[1:])).astype(np.float32)


def rolled(lengths, how, denoise=by_frame, seeds=(1, 2), begin=None):
    """All frames of clips of ``lengths`` from the portrait on."""
    state, parts = opened(np.zeros_like(past(len(seeds))) if begin is None else begin), []
    for frames in lengths:
        state, shown = after(state, drawn(denoise, state, seeds, frames, how), how)
        parts.append(shown)
    return state, np.concatenate(parts, 2)


def test_the_step_where_clips_meet_is_eased_over():
    before, made = past(seed=1), past(seed=2)
    state = opened(before)
    plain, eased = (after(state, made, Rolling(ease=share))[1] for share in (0.0, 0.5))
    step = before[:, :, -1] - made[:, :, 0]
    np.testing.assert_array_equal(plain, made)
    np.testing.assert_allclose(eased[:, :, 0] - made[:, :, 0], 0.5 * step, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eased[:, :, 2] - made[:, :, 2], 0.18 * step, rtol=1e-4, atol=1e-6)
    _, first = after(state, made[:, :, :2], Rolling(ease=0.5))
    np.testing.assert_array_equal(first, eased[:, :, :2])


@pytest.mark.parametrize("steps", [1, 2, 4, 20])
@given(cuts=st.lists(st.integers(1, 7), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_the_noise_of_a_frame_is_the_same_in_any_clip(steps: int, cuts: list[int]) -> None:
    how = Rolling(steps)
    whole, frames = rolled([sum(cuts)], how)
    state, pieces = rolled(cuts, how)
    np.testing.assert_array_equal(frames, pieces)
    assert (state.frame, state.clip) == (sum(cuts), len(cuts))
    tail = np.concatenate([np.zeros_like(past()), frames], 2)[:, :, -PAST:]
    np.testing.assert_array_equal(state.past, tail)
    np.testing.assert_array_equal(whole.past, tail)


def test_noise_is_of_seed_channel_and_frame_alone() -> None:
    both = noise_of((5, 6), 7, 0, 9, SHAPE)
    assert both.shape == (2, 3, 9, 2, 2)
    np.testing.assert_array_equal(both[1:, :, 4:6], noise_of((6,), 7, 4, 2, SHAPE))
    for other in (noise_of((6, 5), 7, 0, 9, SHAPE), noise_of((5, 6), 8, 0, 9, SHAPE)):
        assert (other != both).all()
    early = noise_of((5,), 7, -PAST, PAST, SHAPE)
    assert abs(float(noise_of((5,), 7, 0, 2000, SHAPE).std()) - 1) < 0.02
    assert (early != both[:1, :, :PAST]).all()


@pytest.mark.parametrize("start", STARTS)
def test_what_a_clip_begins_from(start: str) -> None:
    how = Rolling(start=start, strength=1.0 if start == "noise" else 0.7)
    before, noise = past(), noise_of((1, 2), 0, 0, 5, SHAPE)
    first = started(before, noise, how)
    source = {"noise": 0, "previous": before[:, :, -1:], "reference": 0}[start]
    alpha = 0 if start == "noise" else SCHEDULE.alpha(0.7)
    sigma = 1 if start == "noise" else SCHEDULE.sigma(0.7)
    np.testing.assert_allclose(first, alpha * source + sigma * noise, rtol=1e-5, atol=1e-6)
    assert first.dtype == np.float32


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [0.8]), (2, [0.8, 0.4]), (4, [0.8, 0.6, 0.4, 0.2])]
)
def test_the_network_is_told_the_noise_of_past_and_new_frames(steps, expected) -> None:
    seen = []

    def denoise(frames, times):
        seen.append(times)
        return frames

    how = Rolling(steps, "previous", 0.8, context=0.1)
    drawn(denoise, opened(past()), (1, 2), 3, how)
    assert [list(t[0, :PAST]) for t in seen] == [[np.float32(0.1)] * PAST] * steps
    np.testing.assert_allclose([t[:, PAST:] for t in seen], np.ones((steps, 2, 3)) *
                               np.array(expected)[:, None, None], rtol=1e-6)  # fmt: skip


def test_past_frames_are_shown_with_their_noise() -> None:
    before, memory = past(), noise_of((1, 2), 1, 0, PAST, SHAPE)
    noise = noise_of((1, 2), 0, 0, 3, SHAPE)
    seen = []

    def denoise(frames, times):
        seen.append(frames)
        return 2.0 * frames

    how = Rolling(context=0.2)
    made = sampled(denoise, before, memory, [noise], how)
    np.testing.assert_array_equal(seen[0][:, :, :PAST], SCHEDULE.add_noise(before, memory, 0.2))
    np.testing.assert_array_equal(made, 2.0 * noise)
    clean = replace(how, context=0.0)
    sampled(denoise, before, memory, [noise], clean)
    np.testing.assert_array_equal(seen[1][:, :, :PAST], before)


def test_many_steps_are_those_of_the_multistep_solver() -> None:
    how, noise = Rolling(20), noise_of((3,), rolling._NEW, 0, 6, SHAPE)
    _, made = rolled([6], how, seeds=(3,))
    expected = sample_multistep(lambda x, t: 0.5 * x + t, noise, cosine_times(20), SCHEDULE)
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


def test_the_past_leads_on_and_can_be_led_back() -> None:
    begin = past() + 3
    _, plain = rolled([4, 4, 4, 4], Rolling(), carrying, begin=begin)
    often, back = rolled(
        [4, 4, 4, 4], Rolling(anchor_every=2, anchor_share=1.0), carrying, begin=begin
    )
    np.testing.assert_array_equal(plain[:, :, :8], back[:, :, :8])
    assert back[:, :, 8:12].mean() < plain[:, :, 8:12].mean() - 0.5
    how = Rolling(anchor_every=2, anchor_share=0.25)
    np.testing.assert_allclose(anchored(often, how), 0.75 * often.past)
    np.testing.assert_array_equal(anchored(replace(often, clip=3), how), often.past)
    np.testing.assert_array_equal(anchored(replace(often, clip=0), how), often.past)


@pytest.mark.parametrize("name", ["mean_limit", "power_limit"])
def test_what_runs_away_is_held_without_a_jump(name: str) -> None:
    def running(frames, times):
        last = frames[:, :, PAST - 1 : PAST]
        return 1.05 * last + 0.05 + 0.0 * frames

    lengths, how = [8] * 60, Rolling(context=0.0)
    _, free = rolled(lengths, how, running)
    _, held = rolled(lengths, replace(how, **{name: 0.5}), running)
    assert np.abs(free[:, :, -1]).max() > 3
    assert np.abs(held[:, :, -1]).max() < 1.5
    assert np.abs(np.diff(held, axis=2)).max() < 0.2


def test_what_stays_within_the_limits_is_not_touched() -> None:
    _, free = rolled([5, 9], Rolling(steps=2))
    _, held = rolled([5, 9], Rolling(steps=2, mean_limit=9, power_limit=9))
    np.testing.assert_array_equal(free, held)


def test_a_clip_cut_short_shows_what_it_showed() -> None:
    how = Rolling(mean_limit=0.01, power_limit=0.1)
    state, _ = rolled([8, 8], how)
    made = drawn(by_frame, state, (1, 2), 8, how)
    whole, shown = after(state, made, how)
    part, cut = after(state, made[:, :, :3], how)
    np.testing.assert_array_equal(cut, shown[:, :, :3])
    assert (part.frame, whole.frame) == (19, 24)
    assert (part.mean != whole.mean).any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "nothing"}, {"strength": 0.5}, {"ease": -0.1}, {"steps": 0}, {"context": 1.5},
        {"start": "previous", "strength": 0.0}, {"start": "previous", "strength": 1.1},
        {"anchor_every": -1}, {"mean_limit": -0.1}, {"anchor_share": 2.0},
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        Rolling(**wrong)


def test_no_torch_is_imported() -> None:
    code = "import sys, visavis.video.rolling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("how", [
    Rolling(), Rolling(2, "previous", 0.8), Rolling(4, "reference", 0.9),
    Rolling(6, mean_limit=0.2, power_limit=0.3, anchor_every=1),
])  # fmt: skip
def test_tensors_and_arrays_alike(how: Rolling) -> None:
    torch = pytest.importorskip("torch")
    begin, parts = past(), []
    state = opened(torch.from_numpy(begin))
    for frames in (3, 5):
        state, shown = after(state, drawn(carrying, state, (1, 2), frames, how), how)
        parts.append(shown)
    _, expected = rolled([3, 5], how, carrying, begin=begin)
    np.testing.assert_allclose(torch.cat(parts, 2).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_guidance_goes_on_from_knowing_less() -> None:
    class Told(frozenset):
        def without(self, *names: str) -> Told:
            return Told(self - set(names))

    asked = []

    def networks(frames, time, told):
        asked.append(set(told))
        return frames + 10.0 * ("phase" in told) + 100.0 * ("speech" in told)

    told, x = Told({"phase", "emotion", "speech", "face"}), np.zeros((1, 1, 2, 1, 1), np.float32)
    for weights, expected, calls in (
        ((1.0, 1.0), 110.0, 1), ((1.0, 2.0), 210.0, 2), ((3.0, 1.0), 130.0, 3),
        ((3.0, 2.0), 230.0, 3), ((1.0, 0.0), 10.0, 2),
    ):  # fmt: skip
        asked.clear()
        np.testing.assert_allclose(guided(networks, told, *weights)(x, None), expected)
        assert len(asked) == calls
        assert asked[-1] == set(told)
        assert all("face" in each for each in asked)


def test_the_networks_are_rolled() -> None:
    """The smallest networks go on from their own frames; guidance of 1 is the network itself."""
    torch = pytest.importorskip("torch")
    from visavis.video.conditions import Conditions
    from visavis.video.denoiser import PAST_FRAMES, VideoNetworks
    from visavis.video.sizes import VideoConfig

    torch.manual_seed(0)
    config = VideoConfig.smallest()
    networks = VideoNetworks(config).eval()
    torch.nn.init.normal_(networks.denoiser.out.weight, std=0.1)
    blank = torch.zeros(2, config.latent, PAST_FRAMES, 4, 4)
    frames = PAST_FRAMES + 5
    with torch.no_grad():
        told = Conditions(
            networks.appearance(torch.randn(2, config.latent, 4, 4)),
            torch.randn(2, frames, config.tokens, config.speech),
        )
        state = opened(blank)
        for how in (Rolling(), Rolling(20)):
            made = drawn(guided(networks, told), state, (1, 2), 5, how)
            assert made.shape == (2, config.latent, 5, 4, 4)
            assert torch.isfinite(made).all()
        louder = drawn(guided(networks, told, 1.0, 3.0), state, (1, 2), 5, Rolling(20))
    assert not torch.allclose(louder, made, atol=1e-4)
