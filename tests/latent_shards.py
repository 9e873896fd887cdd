"""Shards of latents for tests of the video trainings: a cell goes up and down with the sound."""

from pathlib import Path

import numpy as np

from visavis.train.shards import ShardWriter
from visavis.train.video_data import VideoClip, to_fields

PERSONS = ("sitter-0", "sitter-1", "neutral-00000")
"""Two to learn from, and one of the validation split."""
MOUTH = np.float32([0.25, 0.5, 0.75, 1.0])


def latent_clip(name: str, person: str, frames: int = 40, side: int = 4) -> VideoClip:
    """Return a clip whose lower middle cells follow the loudness (column 0 of the speech)."""
    rng = np.random.default_rng(len(name) + sum(map(ord, person)))
    still = rng.standard_normal((4, side, side)).astype(np.float32)
    loud = np.sin(np.arange(frames) * rng.uniform(0.4, 0.9) + rng.uniform(0, 6))
    latents = np.tile(still, (frames, 1, 1, 1))
    latents[:, :, side // 2 :, side // 4 : -side // 4] += loud[:, None, None, None]
    speech = np.zeros((frames, 4, 45), np.float32)
    speech[:, :, :8] = loud[:, None, None]
    boxes = np.tile(np.float32([0.1, 0.1, 0.9, 1.0]), (frames, 3, 1))
    boxes[:, 1], boxes[:, 2] = MOUTH, (0.25, 0.25, 0.75, 0.5)
    nothing = np.zeros((0, 0, 3), np.uint8)
    return VideoClip(
        name, person, "animated", nothing[None][:0], nothing, speech, np.arange(frames) % 3,
        np.full(frames, 8), boxes, latents.astype(np.float32), still, is_heard="mute" not in name,
    )  # fmt: skip


def write_shards(folder: Path, **sizes: int) -> Path:
    """Write a clip of each of PERSONS to ``folder`` and return it."""
    with ShardWriter(folder) as writer:
        for i, person in enumerate(PERSONS):
            writer.write(f"clip-{i}", to_fields(latent_clip(f"clip-{i}", person, **sizes)))
    return folder
