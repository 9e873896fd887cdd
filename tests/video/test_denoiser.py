"""The latent video denoiser: any clip length, conditions that can be dropped, a clip learnt."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from visavis.audio.phones import LEVEL, PHONES  # noqa: E402
from visavis.diffusion.samplers import cosine_times, sample_consistency, sample_ddim  # noqa: E402
from visavis.errors import InputError  # noqa: E402
from visavis.motion.coarticulation import silence  # noqa: E402
from visavis.motion.visemes import SHAPES  # noqa: E402
from visavis.types import Phase  # noqa: E402
from visavis.video import denoiser as documented  # noqa: E402
from visavis.video.attention import MOST_ROWS, attended, grid, in_parts, waves  # noqa: E402
from visavis.video.blocks import Appearance  # noqa: E402
from visavis.video.conditions import (  # noqa: E402
    UNKNOWN_EMOTION,
    UNKNOWN_PHASE,
    Conditions,
)
from visavis.video.denoiser import LONGEST, PAST_FRAMES, SHORTEST, VideoNetworks  # noqa: E402
from visavis.video.inputs import PHASE_NUMBERS, speech_tokens  # noqa: E402
from visavis.video.sizes import EMOTIONS, PHASES, SPEECH_WIDTH, VideoConfig  # noqa: E402
from visavis.video.temporal import turned  # noqa: E402

BOTH = pytest.mark.parametrize("is_published", [False, True], ids=["tiny", "published"])
SIDE = 8

pytestmark = pytest.mark.usefixtures("one_thread")


def untrained(is_published: bool = False, seed: int = 0) -> VideoNetworks:
    """The smallest networks; layers that begin with zeros get weights, so that all count."""
    torch.manual_seed(seed)
    networks = VideoNetworks(VideoConfig.smallest(is_published))
    for weight in networks.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.2)
    return networks.eval()


def clip(frames: int, count: int = 1, seed: int = 0) -> tuple:
    """Noisy latents, times and everything that can be told of them."""
    draw = torch.Generator().manual_seed(seed)
    config = VideoConfig.smallest()
    latents = torch.randn(count, config.latent, frames, SIDE, SIDE, generator=draw)
    time = torch.rand(count, frames, generator=draw)
    conditions = Conditions(
        speech=torch.randn(count, frames, config.tokens, config.speech, generator=draw),
        phase=torch.randint(PHASES, (count, frames), generator=draw),
        emotion=torch.randint(EMOTIONS, (count, frames), generator=draw),
        face=(torch.rand(count, 1, SIDE, SIDE, generator=draw) > 0.5).float(),
    )
    return latents, time, conditions


def seen(networks: VideoNetworks, conditions: Conditions, count: int = 1) -> Conditions:
    """``conditions`` with a portrait for each of ``count`` clips."""
    draw = torch.Generator().manual_seed(7)
    portrait = torch.randn(count, networks.config.latent, SIDE, SIDE, generator=draw)
    return Conditions(**conditions.__dict__ | {"portrait": networks.appearance(portrait)})


@BOTH
@pytest.mark.parametrize("frames", [2, 3, 8, 32])
@torch.no_grad()
def test_any_clip_length(frames: int, is_published: bool) -> None:
    networks = untrained(is_published)
    latents, time, conditions = clip(frames, 2)
    guess = networks(latents, time, seen(networks, conditions, 2))
    assert guess.shape == latents.shape
    assert torch.isfinite(guess).all()


@torch.no_grad()
def test_a_frame_without_noise_is_its_own_guess() -> None:
    networks = untrained()
    latents, time, conditions = clip(6)
    time[:, :2] = 0.0
    guess = networks(latents, time, conditions)
    assert torch.equal(guess[:, :, :2], latents[:, :, :2])
    assert not torch.allclose(guess[:, :, 2:], latents[:, :, 2:], atol=0.1)


@BOTH
@torch.no_grad()
def test_padding_changes_nothing(is_published: bool) -> None:
    networks = untrained(is_published)
    latents, time, conditions = clip(9, 2)
    conditions = seen(networks, conditions, 2)
    real = torch.arange(9) < torch.tensor([[5], [9]])
    padded = networks(latents, time, conditions, real)
    both = conditions.portrait
    still = None if both.still is None else both.still[:1]
    short = Conditions(
        Appearance(tuple((k[:1], v[:1]) for k, v in both.kept), still),
        *(v[:1, :5] for v in (conditions.speech, conditions.phase, conditions.emotion)),
        conditions.face[:1],
    )
    alone = networks(latents[:1, :, :5], time[:1, :5], short)
    torch.testing.assert_close(padded[:1, :, :5], alone, atol=1e-5, rtol=1e-5)
    whole = networks(latents, time, conditions)
    torch.testing.assert_close(padded[1:], whole[1:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_frames_of_one_clip_see_each_other_and_no_other_clip() -> None:
    networks = untrained()
    latents, time, conditions = clip(4, 2)
    before = networks(latents, time, conditions)
    latents[0, :, 0] += 1.0
    changed = (networks(latents, time, conditions) - before).abs().amax(dim=(1, 3, 4))
    assert (changed[0] > 1e-4).all()
    assert (changed[1] == 0).all()


@BOTH
@pytest.mark.parametrize("name", ["portrait", "speech", "phase", "emotion", "face"])
@torch.no_grad()
def test_every_condition_counts_and_can_be_dropped(name: str, is_published: bool) -> None:
    networks = untrained(is_published)
    latents, time, conditions = clip(3, 2)
    conditions = seen(networks, conditions, 2)
    told = networks(latents, time, conditions)
    dropped = networks(latents, time, conditions.dropped({name: 1.0}))
    without = networks(latents, time, conditions.without(name))
    assert (told - without).abs().amax() > 1e-4
    torch.testing.assert_close(dropped, without, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_dropped_conditions_are_those_learnt_for_nothing() -> None:
    networks = untrained()
    latents, time, conditions = clip(3)
    conditions = seen(networks, conditions)
    names = ("portrait", "speech", "phase", "emotion", "face")
    nothing = networks(latents, time, Conditions())
    dropped = conditions.dropped(dict.fromkeys(names, 1.0))
    torch.testing.assert_close(networks(latents, time, dropped), nothing, atol=1e-5, rtol=1e-5)
    nets = networks.denoiser
    for learnt in (nets.speech.nothing, nets.face.nowhere, nets.nobody, nets.labels.phase.weight):
        learnt += torch.randn_like(learnt)
        moved = networks(latents, time, Conditions())
        assert not torch.allclose(moved, nothing, atol=1e-4)
        nothing = moved


def test_conditions_are_dropped_as_often_as_asked_and_clip_by_clip() -> None:
    _, _, conditions = clip(2, 1000)
    draw = torch.Generator().manual_seed(3)
    dropped = conditions.dropped({"speech": 0.3, "phase": 0.6}, draw)
    assert dropped.is_known("speech").mean().item() == pytest.approx(0.7, abs=0.05)
    assert dropped.is_known("face").all()
    unknown = dropped.phase == UNKNOWN_PHASE
    assert unknown.float().mean().item() == pytest.approx(0.6, abs=0.05)
    assert (unknown[:, 0] == unknown[:, 1]).all()
    assert (dropped.emotion != UNKNOWN_EMOTION).all()
    again = dropped.dropped({"face": 1.0}, draw)
    assert not again.is_known("face").any()
    assert torch.equal(again.is_known("speech"), dropped.is_known("speech"))


def test_conditions_refuse_what_they_cannot_do() -> None:
    with pytest.raises(ValueError, match="portrait"):
        Conditions().without("hat")
    with pytest.raises(ValueError, match="nothing to drop"):
        Conditions().dropped({"speech": 1.0})


@BOTH
@torch.no_grad()
def test_a_portrait_is_looked_at_once(is_published: bool) -> None:
    networks = untrained(is_published)
    latents, time, conditions = clip(3, 2)
    portrait = torch.randn(1, networks.config.latent, SIDE, SIDE)
    kept = networks.appearance(portrait)
    assert len(kept.kept) == len(list(networks.denoiser.net.transformers()))
    for frames in (1, 3):
        part = Conditions(kept, conditions.speech[:, :frames])
        anew = Conditions(networks.appearance(portrait), conditions.speech[:, :frames])
        both = Conditions(networks.appearance(portrait.repeat(2, 1, 1, 1)), part.speech)
        guess = networks(latents[:, :, :frames], time[:, :frames], part)
        assert torch.equal(guess, networks(latents[:, :, :frames], time[:, :frames], anew))
        for_each = networks(latents[:, :, :frames], time[:, :frames], both)
        torch.testing.assert_close(guess, for_each, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "sd15"])
def test_parameter_counts_are_the_documented_ones(name: str) -> None:
    with torch.device("meta"):
        networks = VideoNetworks(getattr(VideoConfig, name)())
    over_time = [p for key, p in networks.denoiser.named_parameters() if ".motion." in key]
    parts = (networks.denoiser, networks.reference, networks)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    for count in (*counts, sum(p.numel() for p in over_time)):
        assert f"{count:,}" in documented.__doc__
    assert name == "sd15" or counts[-1] <= 10_000_000


def test_a_frame_of_the_small_network_costs_what_is_documented() -> None:
    frames = 20
    with torch.device("meta"):
        networks = VideoNetworks(VideoConfig.tiny()).requires_grad_(False)
        appearance = networks.appearance(torch.zeros(1, 32, 8, 8))
        speech = torch.zeros(1, frames, 5, SPEECH_WIDTH)
        labels = torch.zeros(1, frames, dtype=torch.long)
        told = Conditions(appearance, speech, labels, labels, torch.zeros(1, 1, 8, 8))
        with FlopCounterMode(display=False) as counter:
            networks(torch.zeros(1, 32, frames, 8, 8), torch.zeros(1, frames), told)
    assert counter.get_total_flops() / frames == pytest.approx(0.378e9, rel=0.01)


@BOTH
@pytest.mark.parametrize("is_cast", [False, True], ids=["autocast", "cast"])
@torch.no_grad()
def test_half_precision_is_near(is_cast: bool, is_published: bool) -> None:
    networks = untrained(is_published)
    latents, time, conditions = clip(4, 2)
    exact = networks(latents, time, seen(networks, conditions, 2))
    if is_cast:
        networks = networks.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=not is_cast):
        near = networks(latents, time, seen(networks, conditions, 2))
    assert near.dtype == torch.float32
    assert (near - exact).std() < 0.03 * exact.std()


@torch.no_grad()
def test_turned_frames_are_told_apart_by_distance_only() -> None:
    places = torch.arange(40.0)
    query, key = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 40, 8)
    scores = turned(query, places) @ turned(key, places).transpose(-1, -2)
    for offset in (0, 1, 5):
        along = scores[0, 0].diagonal(offset)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-5, rtol=1e-5)
    assert torch.equal(waves(places, 16)[:32], waves(places[:32], 16))


def test_places_of_a_frame_are_told_apart() -> None:
    places = grid(4, 6, torch.zeros(1, 16))
    near = places @ places.T
    assert places.shape == (24, 16)
    assert (near.argmax(dim=1) == torch.arange(24)).all()
    assert (near[0, 1] > near[0, 2]) & (near[0, 6] > near[0, 12])


@torch.no_grad()
def test_attention_is_the_same_in_parts_and_written_out() -> None:
    query, key, value = torch.randn(3, 7, 2, 3, 4)
    mask = torch.rand(7, 1, 1, 3) > 0.3
    mask[..., 0] = True
    for told in (mask, None):
        whole = nn.functional.scaled_dot_product_attention(query, key, value, told)
        torch.testing.assert_close(in_parts(query, key, value, told, most=2), whole)
        torch.testing.assert_close(attended(query, key, value, told), whole)
    assert MOST_ROWS <= 65_535


def test_layers_computed_again_give_the_same_gradients() -> None:
    latents, time, conditions = clip(3, 2)
    grads = []
    for is_checkpointed in (False, True):
        networks = untrained()
        networks.denoiser.net.is_checkpointed = is_checkpointed
        networks.reference.net.is_checkpointed = is_checkpointed
        networks(latents, time, seen(networks, conditions, 2)).square().mean().backward()
        grads.append({k: p.grad for k, p in networks.named_parameters()})
    for key, plain in grads[0].items():
        assert plain is None or torch.allclose(plain, grads[1][key], atol=1e-6), key
    idle = {k.split(".")[-1] for k, g in grads[0].items() if g is None and "denoiser" in k}
    assert idle == {"nothing", "nowhere", "nobody"}


@pytest.mark.parametrize(
    ("shape", "times"),
    [((1, 3, 4, 8, 8), (1, 4)), ((1, 4, 4, 8, 7), (1, 4)), ((4, 4, 8, 8), (1, 4)),
     ((1, 4, 4, 8, 8), (1, 5)), ((1, 4, 4, 8, 8), (1,))],
)  # fmt: skip
def test_other_shapes_are_refused(shape: tuple, times: tuple) -> None:
    with pytest.raises(InputError, match="is needed"):
        untrained()(torch.zeros(shape), torch.zeros(times), Conditions())


def test_tokens_of_speech_are_the_frames_around() -> None:
    rows = np.zeros((12, 45), np.float32)
    rows[:, 0] = np.arange(12)
    rows[:, 42], rows[:, 43] = -60.0, 0.5
    tokens = speech_tokens(rows, before=2, after=1)
    assert tokens.shape == (3, 4, SPEECH_WIDTH)
    assert tokens[..., 0].tolist() == [[0, 0, 0, 4], [0, 0, 4, 8], [0, 4, 8, 8]]
    assert tokens[0, 0, 42] == -2.0
    assert tokens[0, 0, 43] == 1.0
    assert rows[0, 42] == -60.0
    loud = np.zeros((24, 45), np.float32)
    loud[:, PHONES.index("AA")], loud[:, LEVEL] = 1.0, 0.0
    loud[:8] = silence(8)
    mouths = speech_tokens(loud)[:, :, -len(SHAPES) :]
    assert (mouths == mouths[:, :1]).all()
    opening = mouths[:, 0, SHAPES.index("jawOpen")]
    assert opening[0] < 0.1 < 0.5 < opening[-1]
    part = speech_tokens(loud[4:], 3, 1)[3:-1]
    np.testing.assert_array_equal(part, speech_tokens(loud)[4:-1])  # no more than is around counts
    assert [PHASE_NUMBERS[p] for p in Phase] == list(range(PHASES))


def lesson(networks: VideoNetworks) -> tuple:
    """A clip of a portrait whose lower half moves as the speech says."""
    draw = torch.Generator().manual_seed(1)
    config = networks.config
    portrait = torch.randn(1, config.latent, SIDE, SIDE, generator=draw)
    loud = torch.tensor([0.0, 1.0, -1.0, 0.5, 1.5, -0.5, 0.0, 1.0])
    mouth = torch.randn(1, config.latent, 1, SIDE, SIDE, generator=draw)
    mouth[..., : SIDE // 2, :] = 0.0
    latents = portrait[:, :, None] + mouth * loud[None, None, :, None, None]
    speech = loud[None, :, None, None].expand(-1, -1, config.tokens, config.speech)
    return portrait, latents, speech


def test_a_clip_is_learnt() -> None:
    torch.manual_seed(0)
    networks = VideoNetworks(VideoConfig.smallest())
    portrait, latents, speech = lesson(networks)
    schedule = networks.denoiser.schedule
    steps, rate = 140, 5e-3
    optimiser = torch.optim.AdamW(networks.parameters(), rate)
    draw = torch.Generator().manual_seed(2)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1.0 - step / steps) + 1e-4
        time = torch.rand(4, 1, generator=draw).expand(4, 8).clone()
        past = torch.rand(4, generator=draw) < 0.5
        time[past, :2] = 0.1 * torch.rand(1, generator=draw)
        level = time[:, None, :, None, None]
        noise = torch.randn(4, *latents.shape[1:], generator=draw)
        noisy = schedule.add_noise(latents, noise, level)
        told = Conditions(networks.appearance(portrait), speech.expand(4, -1, -1, -1))
        loss = (networks(noisy, time, told) - latents).square().mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 5

    with torch.no_grad():
        told = Conditions(networks.appearance(portrait), speech)

        def guess(x, t):
            return networks(x, torch.full((1, 8), float(t)), told)

        start = torch.randn(latents.shape, generator=draw)
        power = latents.square().mean()
        sampled = sample_ddim(guess, start, cosine_times(8), schedule)
        assert (sampled - latents).square().mean() < 0.3 * power
        one_step = sample_consistency(guess, [start], (1.0, 0.0), schedule)
        assert (one_step - latents).square().mean() < 0.15 * power


def test_clip_lengths_are_those_of_the_task() -> None:
    assert (PAST_FRAMES, SHORTEST, LONGEST) == (4, 2, 32)
