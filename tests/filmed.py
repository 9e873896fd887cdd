"""A small clip of a talking head, made on the spot: tests of clips need nobody's video."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from visavis.render.mesh_warp import MeshWarpRenderer, resized
from visavis.types import ARKIT_NAMES, ImageArray, Motion, Portrait

JAW = ARKIT_NAMES.index("jawOpen")
SIDE, LENGTH = 224, 24


def nodding(portrait: Portrait, length: int = LENGTH) -> list[ImageArray]:
    """Return pictures of a head that turns while its mouth opens and closes every eight of them."""
    renderer = MeshWarpRenderer()
    appearance = renderer.prepare(resized(portrait, (SIDE, SIDE)), (SIDE, SIDE))
    motion, t = Motion.rest(length), np.arange(length)
    motion.coefficients[:, JAW] = np.clip(np.sin(t * (2 * np.pi / 8)), 0, 1) * 0.6
    motion.rotation[:, 1] = 8 * np.sin(t * (2 * np.pi / 24))
    return [renderer.draw(appearance, motion[i : i + 1]) for i in range(length)]


def write_clip(
    path: Path, images: list[ImageArray], fps: int = 25, stamps: Sequence[int] | None = None
) -> Path:
    """Write ``images`` as H.264, shown at ``stamps`` frames from the start."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        stream.width, stream.height = images[0].shape[1::-1]
        stream.pix_fmt = "yuv420p"
        for n, image in zip(stamps or range(len(images)), images, strict=True):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(image))
            frame.pts, frame.time_base = n, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
