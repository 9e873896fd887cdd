"""A small base model of latent video for tests of what is distilled from it."""

from pathlib import Path

import torch

from visavis.train.latent_clips import LatentClips
from visavis.train.tasks import video


def trained_base(data: Path, out: Path, steps: int) -> Path:
    """Train on the shards in ``data``; return the state.pt in ``out``."""
    torch.set_num_threads(1)
    plan = video.Plan(
        data, out, preset="test", steps=steps, batch=40, rate=5e-3, average=0.95, fixed=0.5
    )
    clips = LatentClips(data)
    work = video.begin(plan, clips)
    for draw in video.drawn(plan, clips, 0):
        video.learn(plan, work, draw)
    torch.save(work.state(), out / "state.pt")
    return out / "state.pt"
