"""The packaged renderer, put together as asked."""

from __future__ import annotations

from visavis.render.background import Background, BackgroundRenderer, backdrop_by, is_photo
from visavis.render.base import Renderer
from visavis.render.dub import DubRenderer
from visavis.render.inset import InsetRenderer
from visavis.render.mesh_warp import MeshWarpRenderer


def renderer_by(background: Background = "photo") -> Renderer:
    """Return what draws photographs and clips, photographs before ``background``.

    Raises:
        InputError: there is no such background.
    """
    if is_photo(background):
        return DubRenderer(InsetRenderer(MeshWarpRenderer()))
    backdrop = backdrop_by(background)
    cutout = InsetRenderer(MeshWarpRenderer(is_cutout=True), is_cutout=True)
    return DubRenderer(cutout if backdrop is None else BackgroundRenderer(cutout, backdrop))
