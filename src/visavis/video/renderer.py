"""Latents to pictures: the codec's decoder behind the renderer protocol (render/base.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from visavis.errors import InputError
from visavis.types import ImageArray, Motion, Portrait
from visavis.video.studio import LatentLooks, Net, Studio


class LatentRenderer:
    """Draws changes of a portrait's latents. Holds weights, never a conversation.

    A frame is made of its own change and of that of the frame before, both in ``Motion.latents``,
    so frames may be drawn in any order.
    """

    def __init__(self, decoder: Net, studio: Studio) -> None:
        """Draw by ``decoder`` what ``studio`` makes ready."""
        self._decoder = decoder
        self._studio = studio

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> LatentLooks:
        """Return the looks of ``portrait`` for pictures of ``size`` (width, height) pixels.

        Raises:
            InputError: it is a clip.
        """
        return self._studio.looks(portrait, size)

    def draw(self, appearance: LatentLooks, motion: Motion) -> ImageArray:
        """Return the picture (h, w, 3) RGB uint8 for the single motion frame in ``motion``.

        Raises:
            InputError: the motion has no latents.
        """
        if motion.latents is None:
            raise InputError(
                "This motion moves a face, and a latent model makes pictures of speech alone. "
                "Leave the model out to play motion files and driving videos."
            )
        change, before = np.ascontiguousarray(motion.latents[0])
        told = {"change": change[None], "before": before[None], **appearance.guide}
        frame, *flow = self._decoder(told)
        return appearance.canvas.put(as_picture(frame[0]), flow[0][0] if flow else None)

    def draw_many(self, appearances: Sequence[LatentLooks], motion: Motion) -> Iterator[ImageArray]:
        """Yield the pictures for the frames of ``motion``, each of the appearance beside it."""
        for i, appearance in enumerate(appearances):
            yield self.draw(appearance, motion[i : i + 1])

    def rough(self, appearance: LatentLooks) -> LatentLooks:
        """Return ``appearance``: there is no cheaper way to draw."""
        return appearance


def as_picture(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ImageArray:
    """Return ``values`` (3, h, w) in [-1, 1] as a picture (h, w, 3) uint8."""
    levels = np.clip(values * np.float32(127.5) + np.float32(128), 0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))
