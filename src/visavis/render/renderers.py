"""The packaged renderer, put together as asked."""

from __future__ import annotations

from typing import Any

from visavis.errors import InputError
from visavis.faces.film import FilmPortrait
from visavis.render.background import Background, BackgroundRenderer, backdrop_by, is_photo
from visavis.render.base import Renderer
from visavis.render.dub import DubRenderer
from visavis.render.inset import InsetRenderer
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.render.quality import DEFAULT_QUALITY, touch_for
from visavis.types import ImageArray, Motion, Portrait


class PhotographRenderer:
    """Draws photographs before another background with ``still``, and refuses clips."""

    def __init__(self, still: Renderer) -> None:
        """Leave photographs to ``still``."""
        self._still = still

    def prepare(self, portrait: Portrait, size: tuple[int, int]) -> Any:
        """Return the appearance of ``portrait`` for frames of ``size`` (width, height) pixels.

        Raises:
            InputError: it is a clip.
        """
        if isinstance(portrait, FilmPortrait):
            raise clip_refused()
        return self._still.prepare(portrait, size)

    def draw(self, appearance: Any, motion: Motion) -> ImageArray:
        """Return the frame (h, w, 3 or 4) uint8 for the single motion frame in ``motion``."""
        return self._still.draw(appearance, motion)

    def rough(self, appearance: Any) -> Any:
        """Return ``appearance`` to be drawn with the least work."""
        return self._still.rough(appearance)


def clip_refused() -> InputError:
    """Return the error that clips have no other background than their own."""
    return InputError("A clip keeps its own background. Leave the background at 'photo'.")


def renderer_by(background: Background = "photo", quality: str = DEFAULT_QUALITY) -> Renderer:
    """Return what draws photographs and clips, photographs before ``background``.

    Raises:
        InputError: there is no such background or quality.
    """
    touch = touch_for(quality)
    if is_photo(background):
        still = InsetRenderer(MeshWarpRenderer(touch=touch))
        return DubRenderer(still, touch_for(quality, eyes=False))
    backdrop = backdrop_by(background)
    cutout = InsetRenderer(MeshWarpRenderer(touch=touch, is_cutout=True), is_cutout=True)
    return PhotographRenderer(cutout if backdrop is None else BackgroundRenderer(cutout, backdrop))
