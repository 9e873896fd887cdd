"""The portraits of benchmarks/look.py, chosen by eye, and the moments in which they are drawn.

No renderer was trained on these persons: synthetic ones have numbers that end in 0, clips are those
of ``visavis.data.people.TEST_PERSONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from visavis.audio.phones import PHONES
from visavis.faces.framing import cut, head_and_shoulders
from visavis.media.image import read_image
from visavis.media.read import VideoReader
from visavis.motion import visemes
from visavis.opening import open_portrait
from visavis.render.mesh_warp import resized
from visavis.types import ARKIT_NAMES, ImageArray, Motion, Portrait

PER_PAGE = 4
STRONG = 1.2
"""Mouth shapes of the moments, over those of motion/visemes.py: a lively speaker's."""


@dataclass(frozen=True)
class Sitter:
    """``what`` it is for; ``path`` in shared/data; ``frame`` of a clip; ``filter`` or ""."""

    what: str
    path: str
    frame: int = 0
    filter: str = ""


def _clip(what: str, path: str, frame: int) -> Sitter:
    return Sitter(what, f"talking/{path}.mp4", frame)


def _made(what: str, kind: str, number: int, look: str = "") -> Sitter:
    return Sitter(what, f"portraits/{kind}/{number:05d}.webp", filter=look)


SITTERS = (
    _made("closed lips, lipstick", "neutral", 1420),
    _made("stubble", "neutral", 40),
    _made("glasses", "neutral", 1400),
    _made("child", "neutral", 2330),
    _made("smile, grey beard, bald", "neutral", 2150),
    _made("smile, glasses, curls", "neutral", 1160),
    _made("dark skin, light from behind", "neutral", 770),
    _clip("black beard, 224 px", "voxceleb/00067", 82),
    _made("child, open mouth", "open", 390),
    _made("beard, open mouth, turned", "open", 760),
    _made("old, laughing", "open", 630),
    _made("sunglasses", "neutral", 1370),
    _made("old, white beard", "neutral", 1340),
    _made("old, wrinkles, glasses", "neutral", 1120),
    _made("old, dark glasses", "neutral", 370),
    _made("full beard, turned, eyes averted", "neutral", 1010),
    _made("strong side light", "neutral", 1390),
    _made("dim light, hair over brows", "neutral", 160),
    _made("black and white", "neutral", 880, "grey"),
    _made("painting", "neutral", 1620, "painting"),
    _clip("real, woman", "hdtf/RD_Radio2_000", 2),
    _clip("real, glasses", "hdtf/WDA_AndyKim_000_6642_6722", 3),
    _clip("real, long hair", "ditto-trainset/Clip+eynXzhySluI+P0+C0+F20600-20730", 68),
    _clip("drawing", "silent/b", 1),
)  # fmt: skip

_BOTH = ("Left", "Right")
MOMENTS: tuple[tuple[str, str, dict[str, float], float], ...] = (
    ("p b m, yaw -20", "M", {"mouthClose": 0.06, "jawOpen": 0.06, "mouthPress": 0.2}, -20.0),
    ("f v", "F", {"mouthRollLower": 0.5, "mouthClose": 0.03}, 0.0),
    ("th l, tongue", "TH", {"tongueOut": 0.25, "jawOpen": 0.2}, 0.0),
    ("ee, smile", "IY", {"mouthSmile": 0.55, "cheekSquint": 0.35, "eyeSquint": 0.2}, 0.0),
    ("ah, surprise", "AA", {"browInnerUp": 0.8, "browOuterUp": 0.7, "eyeWide": 0.6,
                            "jawOpen": 0.55}, 0.0),
    ("oo", "UW", {}, 0.0),
    ("s sh, yaw +20", "S", {}, 20.0),
    ("blink", "SIL", {"eyeBlink": 1.0}, 0.0),
)  # fmt: skip
"""Name, phone, coefficients set beside the phone's, yaw in degrees."""


def moments() -> Motion:
    """Return the moments as frames of motion."""
    motion = Motion.rest(len(MOMENTS))
    shapes = visemes.targets() @ visemes.spreading() * np.float32(STRONG)
    for i, (_, phone, others, yaw) in enumerate(MOMENTS):
        motion.coefficients[i] = shapes[PHONES.index(phone)]
        for name, value in others.items():
            for full in (name, *(name + side for side in _BOTH)):
                if full in ARKIT_NAMES:
                    motion.coefficients[i, ARKIT_NAMES.index(full)] = value
        motion.rotation[i, 1] = yaw
    return motion


def seated(sitter: Sitter, shared: Path, size: int) -> Portrait:
    """Return the portrait of ``sitter``: head and shoulders at ``size`` px."""
    portrait = open_portrait(_picture(sitter, shared / "data"))
    return resized(cut(portrait, head_and_shoulders(portrait)), (size, size))


def _picture(sitter: Sitter, data: Path) -> ImageArray:
    path = data / sitter.path
    if path.suffix == ".webp":
        return _filtered(read_image(path), sitter.filter)
    with VideoReader(path) as reader:
        return next(image for i, (image, _) in enumerate(reader) if i == sitter.frame)


def _filtered(image: ImageArray, how: str) -> ImageArray:
    """Return ``image`` as it is, in grey, or smoothed to areas of colour like a painting."""
    if how == "grey":
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.repeat(grey[..., None], 3, axis=2)
    if how == "painting":
        return np.asarray(cv2.stylization(image, sigma_s=40, sigma_r=0.35), np.uint8)
    return image
