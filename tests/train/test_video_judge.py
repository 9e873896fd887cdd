"""The avatar discriminator sees through the frozen network, any length, and hears wrong sound."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from visavis.train.video_judge import (  # noqa: E402
    Eye,
    VideoJudge,
    View,
    dubbed,
    judge_loss,
    student_loss,
)
from visavis.video.conditions import Conditions  # noqa: E402
from visavis.video.denoiser import VideoNetworks  # noqa: E402
from visavis.video.sizes import VideoConfig  # noqa: E402

CONFIG, PAST, SIDE = VideoConfig.smallest(), 2, 4

pytestmark = pytest.mark.usefixtures("one_thread")


def base(config: VideoConfig = CONFIG) -> VideoNetworks:
    """Frozen networks of random weights, none of them zero."""
    torch.manual_seed(0)
    networks = VideoNetworks(config).eval().requires_grad_(False)
    for weight in networks.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.2)
    return networks


def clips(frames: int, count: int = 3, seed: int = 0):
    """Clips a corner of which follows the sound, and the sound of them."""
    draw = torch.Generator().manual_seed(seed)
    change = torch.randn(count, CONFIG.latent, PAST + frames, SIDE, SIDE, generator=draw)
    loud = torch.randn(count, PAST + frames, 1, 1, generator=draw)
    change[..., :2, :2] = 2.0 * loud[:, None]
    return change, loud.expand(-1, -1, CONFIG.tokens, CONFIG.speech).contiguous()


def view(networks: VideoNetworks, change, speech, heard: bool = True) -> View:
    """A view of ``change`` as the networks are told of it."""
    count = len(change)
    with torch.no_grad():
        portrait = networks.appearance(torch.zeros(count, CONFIG.latent, SIDE, SIDE))
    told = Conditions(portrait, speech)
    return View.drawn(change, told, PAST, torch.full((count,), heard))


@pytest.mark.parametrize("frames", [2, 7, 32])
def test_any_length(frames: int) -> None:
    networks = base()
    eye, (change, speech) = Eye(networks), clips(frames)
    judge, seen = VideoJudge(eye.widths), view(networks, change, speech)
    scores = judge(eye(change, seen), PAST)
    assert [s.shape for s in scores.temporal] == [(3, frames, n) for n in (16, 4, 4)]
    assert [s.shape for s in scores.audio] == [(3, frames, 1)] * 3
    loss = judge_loss(judge, eye, (change, change + 1), seen, np.random.default_rng(0))
    assert torch.isfinite(loss + student_loss(judge, eye, change, seen))


def test_it_is_small_beside_the_networks() -> None:
    with torch.device("meta"):
        networks = VideoNetworks(VideoConfig.tiny(32))
        judge = VideoJudge(Eye(networks).widths)
    assert sum(p.numel() for p in judge.parameters()) < 500_000


def test_the_eye_shares_the_weights_and_leaves_the_network_as_it_was() -> None:
    networks, (change, speech) = base(), clips(3)
    seen = view(networks, change, speech)
    with torch.no_grad():
        before = networks(change, seen.time, seen.told)
        eye = Eye(networks)
        first = eye(change, seen)
        assert torch.equal(networks(change, seen.time, seen.told), before)
        networks.denoiser.net.stem.weight.mul_(2.0)
        second = eye(change, seen)
    assert len(first[0]) == len(first[1]) == 3
    assert not torch.equal(first[0][0], second[0][0])


def test_it_sees_what_the_network_sees() -> None:
    """The last temporal feature is that of the network's own middle."""
    networks, (change, speech) = base(), clips(3)
    seen, caught = view(networks, change, speech), []
    motion = networks.denoiser.net.middle[0].motion.block.norm_feed
    eye = Eye(networks)
    motion.register_forward_hook(lambda module, given, out: caught.append(out))
    noisy = eye_input(change, seen)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        networks(noisy, seen.time, seen.told)
        moved, _ = eye(change, seen)
    expected = caught[0].float().unflatten(0, (3, -1)).transpose(1, 2)
    torch.testing.assert_close(moved[-1], expected)


def eye_input(change, seen: View):
    """The noisy clip that the eye looks at."""
    from visavis.video.rolling import SCHEDULE

    return SCHEDULE.add_noise(change, seen.noise, seen.time[:, None, :, None, None])


def test_gradients_reach_the_student_and_the_heads_alone() -> None:
    networks, (change, speech) = base(), clips(4)
    eye, seen = Eye(networks), view(networks, change, speech)
    judge = VideoJudge(eye.widths)
    made = change.clone().requires_grad_(True)
    student_loss(judge, eye, made, seen).backward()
    assert float(made.grad.abs().sum()) > 0
    judge.zero_grad()
    judge_loss(judge, eye, (change, change + 1), seen, np.random.default_rng(0)).backward()
    assert all(p.grad is not None for p in judge.parameters())
    assert all(p.grad is None for p in networks.parameters())


def test_unheard_clips_do_not_teach_the_ear() -> None:
    networks, (change, speech) = base(), clips(4)
    eye, seen = Eye(networks), view(networks, change, speech, heard=False)
    judge = VideoJudge(eye.widths)
    judge_loss(judge, eye, (change, change + 1), seen, np.random.default_rng(0)).backward()
    assert all(float(p.grad.abs().sum()) == 0 for p in judge.audio.parameters())
    assert any(float(p.grad.abs().sum()) > 0 for p in judge.temporal.parameters())


def test_lies_are_other_sound_for_the_same_frames() -> None:
    networks, (change, speech) = base(), clips(20, 6)
    seen = view(networks, change, speech)
    lie, audible = dubbed(seen, np.random.default_rng(0))
    assert lie.told.speech.shape == speech.shape
    assert (lie.told.speech != speech).flatten(1).any(1).all()
    assert audible.shape == (6, 20)
    assert audible.mean() > 0.9  # two frames may be as loud as each other
    assert lie.told.portrait is seen.told.portrait


def test_it_learns_who_is_true_and_what_is_dubbed() -> None:
    """On unseen clips: true ones score above noise, true sound above that of others."""
    torch.manual_seed(1)
    networks, rng = base(), np.random.default_rng(0)
    eye = Eye(networks)
    judge = VideoJudge(eye.widths, 32)
    optimiser = torch.optim.AdamW(judge.parameters(), 3e-3)
    for step in range(40):
        change, speech = clips(10, 8, step)
        seen = view(networks, change, speech)
        loss = judge_loss(judge, eye, (change, torch.randn_like(change)), seen, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    change, speech = clips(10, 32, 999)
    seen = view(networks, change, speech)
    lie, _ = dubbed(seen, rng)
    with torch.no_grad():
        true, wrong, made = (
            judge(eye(frames, through), PAST)
            for frames, through in ((change, seen), (change, lie), (torch.randn_like(change), seen))
        )
    audio, other = (torch.cat(s.audio, -1).mean((1, 2)) for s in (true, wrong))
    assert float((audio > other).float().mean()) > 0.8
    temporal, noise = (torch.cat(s.temporal, -1).mean((1, 2)) for s in (true, made))
    assert float((temporal > noise).float().mean()) > 0.8
