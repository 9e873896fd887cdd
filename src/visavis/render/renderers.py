"""The packaged renderer, put together as asked."""

from __future__ import annotations

from visavis.render.background import Background, BackgroundRenderer, backdrop_by, is_photo
from visavis.render.base import Renderer
from visavis.render.dub import DubRenderer
from visavis.render.inset import InsetRenderer
from visavis.render.mesh_warp import MeshWarpRenderer
from visavis.render.quality import DEFAULT_QUALITY, touch_for


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
    return DubRenderer(cutout if backdrop is None else BackgroundRenderer(cutout, backdrop))
