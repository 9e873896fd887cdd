"""The discriminator hears wrong sound, takes any length, and looks only at what is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from visavis.motion import conditions  # noqa: E402
from visavis.train.discriminator import (  # noqa: E402
    MOUTH,
    Discriminator,
    discriminator_loss,
    generator_loss,
    mismatched,
)
from visavis.train.motion_nets import SPEECH  # noqa: E402


def dubbed(count: int, frames: int, seed: int):
    """Motion whose mouth follows two columns of the sound; its facts."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(count, frames, SPEECH, generator=generator)
    speech = 0.5 * (steps + steps.roll(1, 1))
    motion = torch.randn(count, frames, 58, generator=generator)
    motion[..., MOUTH] = speech[..., :1] + 0.1 * motion[..., MOUTH]
    controls = torch.zeros(count, frames, conditions.SIZE)
    controls[..., conditions.HAS_SPEECH] = 1
    known = torch.ones(count, 58, dtype=torch.bool)
    return motion, {"known": known, "speech": speech, "controls": controls}


@pytest.mark.parametrize("frames", [2, 3, 100])
def test_any_length(frames: int) -> None:
    motion, facts = dubbed(2, frames, 0)
    net = Discriminator()
    scores = net(motion, facts["known"], facts["speech"], facts["controls"])
    assert scores.temporal.shape == scores.audio.shape == (2, frames, 2)
    lies = mismatched(facts["speech"], np.random.default_rng(0))
    loss = discriminator_loss(net, motion, motion + 1, facts, lies)
    assert torch.isfinite(loss + generator_loss(net, motion, facts))


def test_it_is_small() -> None:
    assert sum(p.numel() for p in Discriminator().parameters()) < 1_000_000


def test_unknown_values_are_not_looked_at() -> None:
    motion, facts = dubbed(2, 9, 0)
    facts["known"][0, 30:] = False
    other = motion.clone()
    other[0, :, 30:] += 5
    net = Discriminator()
    first, second = (
        net(m, facts["known"], facts["speech"], facts["controls"]) for m in (motion, other)
    )
    assert torch.equal(first.temporal, second.temporal)
    assert torch.equal(first.audio, second.audio)


def test_lies_are_other_or_moved_sound_where_that_is_heard() -> None:
    _, facts = dubbed(64, 40, 1)
    speech = facts["speech"]
    speech[::2, :20] = 0  # silence agrees with silence
    wrong, audible = mismatched(speech, np.random.default_rng(0))
    assert (wrong != speech).flatten(1).any(1).all()
    assert torch.equal(audible, (wrong - speech).abs().mean(-1) > 0.02)
    next_clip = (wrong == speech.roll(-1, 0)).flatten(1).all(1)
    assert 16 < int(next_clip.sum()) < 48
    short, _ = mismatched(speech[:, :3], np.random.default_rng(0))
    assert torch.equal(short, speech[:, :3].roll(-1, 0))


def test_it_learns_to_hear_dubbing() -> None:
    """After some steps on unseen windows: true sound scores above sound moved or of others."""
    torch.manual_seed(0)
    net, rng = Discriminator(width=32), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for step in range(60):
        motion, facts = dubbed(16, 32, step)
        lies = mismatched(facts["speech"], rng)
        loss = discriminator_loss(net, motion, torch.randn_like(motion), facts, lies)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    motion, facts = dubbed(32, 32, 999)
    wrong, _ = mismatched(facts["speech"], rng)
    true, false = (
        net(motion, facts["known"], s, facts["controls"]).audio.mean((1, 2))
        for s in (facts["speech"], wrong)
    )
    assert float((true > false).float().mean()) > 0.9


def test_unheard_clips_do_not_teach_the_ear() -> None:
    motion, facts = dubbed(4, 20, 0)
    facts["controls"][..., conditions.HAS_SPEECH] = 0
    net = Discriminator()
    lies = mismatched(facts["speech"], np.random.default_rng(0))
    discriminator_loss(net, motion, motion + 1, facts, lies).backward()
    assert all(float(p.grad.abs().sum()) == 0 for p in net.audio.parameters())
    assert any(float(p.grad.abs().sum()) > 0 for p in net.temporal.parameters())
