"""Clips of latents as the video denoiser learns from them, held in memory.

The denoiser works on *changes*: ``(latents - the reference's) * ratio``, of deviation about 1, so
that no change is the reference itself. Any frame of a clip may be the reference: half of the time
it is the portrait, else another frame, so that the network cannot cling to one pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.errors import InputError
from visavis.train.video_data import VideoData
from visavis.types import FloatArray
from visavis.video.conditions import Conditions
from visavis.video.denoiser import PAST_FRAMES
from visavis.video.inputs import AFTER, BEFORE, speech_tokens
from visavis.video.places import EYES, FACE, MOUTH, coverage

STARTS = 0.2
"""Share of the clips that begin a session: all they know of the past is their reference."""
PORTRAITS = 0.5
"""Share of the other clips whose reference is the portrait."""
MOST_MARGIN = 0.15
"""By how much the place of the face is widened at most, in shares of the side: it will move."""
MEASURED = 400
"""Clips of which the deviation of changes is taken."""


@dataclass(frozen=True)
class _Held:
    """One clip: its arrays as in ``video_data.VideoClip``, latents and speech in half precision."""

    latents: NDArray[np.float16]
    still: NDArray[np.float16]
    speech: NDArray[np.float16]
    boxes: FloatArray
    phase: NDArray[np.int64]
    emotion: NDArray[np.int64]
    is_heard: bool

    def __len__(self) -> int:
        return len(self.phase)


class LatentClips:
    """The clips of one split whose latents are known; what is drawn depends on the draws alone."""

    def __init__(
        self, folder: Path, split: str | None = "train", ratio: FloatArray | None = None
    ) -> None:
        """Read the clips of ``split`` in the shards in ``folder``.

        ``ratio`` (c, 1, 1), the codec's; without one it is measured on these clips.

        Raises:
            InputError: there is no clip of the split, or it lacks latents.
        """
        data = VideoData(folder, split, 1 + 1)
        self._clips = [_held(data, i) for i in range(len(data))]
        self.sizes: tuple[int, int, int] = self._clips[0].still.shape
        """Channels, height and width of a latent."""
        self.ratio = change_ratio(self._clips) if ratio is None else ratio
        if self.ratio.shape != (self.sizes[0], 1, 1):
            raise InputError(
                f"The codec's latents have {len(self.ratio)} channels, those in {folder} "
                f"{self.sizes[0]}. Give the codec that they were made with (--codec)"
            )

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._clips)

    @property
    def longest(self) -> int:
        """New frames that the longest clip has, one going before."""
        return max(len(clip) for clip in self._clips) - 1

    def draw(
        self, rng: np.random.Generator, count: int, frames: int, past: int = PAST_FRAMES
    ) -> dict[str, Tensor]:
        """Return ``count`` clips of ``frames`` new frames after ``past`` ones, t together.

        ``change`` (b, c, t, h, w); ``reference`` (b, c, h, w) absolute latents; ``speech``
        (b, t, 5, 196); ``phase`` and ``emotion`` (b, t); ``face`` (b, 1, h, w) where the face may
        be; ``mouth`` and ``eyes`` (b, 1, t, h, w) shares of the cells; ``heard`` (b,) False where
        speech says nothing; ``is_start`` (b,): the past is the reference ``past`` times over. No
        more frames are given than the longest clip has.
        """
        frames = min(frames, self.longest)
        able = [i for i, clip in enumerate(self._clips) if len(clip) > frames]
        made = [self._one(self._clips[int(i)], frames, past, rng) for i in rng.choice(able, count)]
        return {name: torch.from_numpy(np.stack([m[name] for m in made])) for name in made[0]}

    def _one(self, clip: _Held, frames: int, past: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return one clip of a batch, without its axis."""
        is_start = bool(rng.random() < STARTS) or len(clip) < past + frames
        least = 1 if is_start else past
        first = int(rng.integers(least, len(clip) - frames + 1))
        new = np.arange(first, first + frames)
        rows = np.concatenate(
            [np.full(past, first - 1) if is_start else first - past + np.arange(past), new]
        )
        reference, box = clip.still, np.median(clip.boxes[:, FACE], 0)
        if is_start or rng.random() >= PORTRAITS:
            other = first - 1 if is_start else int(rng.integers(len(clip)))
            reference, box = clip.latents[other], clip.boxes[other, FACE]
        reference = reference.astype(np.float32)
        side = self.sizes[1]
        part = coverage(clip.boxes[rows], side)[:, :, None]
        return {
            "change": ((clip.latents[rows] - reference) * self.ratio).swapaxes(0, 1),
            "reference": reference,
            "speech": _tokens(clip.speech, rows),
            "phase": clip.phase[rows],
            "emotion": clip.emotion[rows],
            "face": face_place(box, side, float(rng.uniform(0, MOST_MARGIN))),
            "mouth": part[:, MOUTH].swapaxes(0, 1),
            "eyes": part[:, EYES].swapaxes(0, 1),
            "heard": np.bool_(clip.is_heard),
            "is_start": np.bool_(is_start),
        }


def _held(data: VideoData, number: int) -> _Held:
    facts = data.facts(number)
    latents, still, speech = (
        data.array(number, name).astype(np.float16) for name in ("latents", "still", "speech")
    )
    return _Held(
        latents, still, speech, data.boxes(number), np.array(facts["phase"]),
        np.array(facts["emotion"]), bool(facts["is_heard"]),
    )  # fmt: skip


def change_ratio(clips: list[_Held]) -> FloatArray:
    """Return what makes changes of deviation 1 of differences from the portrait (c, 1, 1)."""
    step = max(1, len(clips) // MEASURED)
    squares = [
        np.square(c.latents.astype(np.float32) - c.still.astype(np.float32)).mean((0, 2, 3))
        for c in clips[::step]
    ]
    spread = np.sqrt(np.mean(squares, axis=0)).clip(1e-3)
    return (1 / spread).astype(np.float32)[:, None, None]


def _tokens(speech: NDArray[np.float16], rows: NDArray[np.int64]) -> FloatArray:
    """Return the tokens (t, 5, 196) of frames ``rows``, with the neighbours they have in a clip."""
    low = max(0, int(rows.min()) - BEFORE)
    high = min(len(speech), int(rows.max()) + 1 + AFTER)
    near = speech[low:high].astype(np.float32)
    return speech_tokens(near.reshape(-1, near.shape[-1]))[rows - low]


def face_place(box: FloatArray, side: int, margin: float) -> FloatArray:
    """Return where the face of the reference in ``box`` (4,) is (1, side, side), 0 to 1 by cell.

    The box is widened by ``margin`` on all sides.
    """
    grown = box + np.array([-margin, -margin, margin, margin], np.float32)
    return coverage(grown[None], side)


def told(batch: dict[str, Tensor]) -> Conditions:
    """Return what a batch of ``LatentClips.draw`` tells, but for the portrait."""
    heard = batch["heard"].float()
    known = torch.stack([torch.ones_like(heard), heard, torch.ones_like(heard)], dim=1)
    return Conditions(
        speech=batch["speech"], phase=batch["phase"], emotion=batch["emotion"],
        face=batch["face"], known=known,
    )  # fmt: skip
