"""Clips of latents and a base model that tests of what is distilled from it share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of clips a part of which goes up and down with the sound."""
    pytest.importorskip("torch")
    from latent_shards import write_shards

    return write_shards(tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="session")
def base(latents: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state.pt of a small base model that has learnt something of them."""
    import torch

    from visavis.train.latent_clips import LatentClips
    from visavis.train.tasks import video

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("base")
    plan = video.Plan(
        latents, out, preset="test", steps=80, batch=40, rate=5e-3, average=0.95, fixed=0.5
    )
    clips = LatentClips(latents)
    work = video.begin(plan, clips)
    for draw in video.drawn(plan, clips, 0):
        video.learn(plan, work, draw)
    torch.save(work.state(), out / "state.pt")
    return out / "state.pt"
