"""Layers: the moving person over a still background.

The person's matte is widened by a narrow rim, so that every wisp of hair travels with the head, and
what the head uncovers is filled in once from its surroundings. Where nothing moves, the layers add
up to the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from visavis.render.geometry import fill_outside, smoothstep
from visavis.types import FloatArray, ImageArray, Portrait

_RIM = 0.018  # of the face height: background that travels with the hair
_SOFT = 0.03  # of the face height: width of the soft edge outside the rim


@dataclass(frozen=True)
class Layers:
    """``plate`` (h, w, 3) uint8 background without the person's rim; ``alpha`` (h, w) float32."""

    plate: ImageArray
    alpha: FloatArray


def make_layers(portrait: Portrait, face_height: float) -> Layers:
    """Split ``portrait`` into a still background plate and the alpha of what moves."""
    person = (portrait.matte > 0.4).astype(np.uint8)
    distance = cv2.distanceTransform(1 - person, cv2.DIST_L2, 5) / face_height
    alpha = smoothstep(distance, _RIM + _SOFT, _RIM)
    background = (distance > _RIM).astype(np.float32)
    image = portrait.image.astype(np.float32)
    filled = fill_outside(image, cv2.erode(background, np.ones((3, 3), np.uint8)))
    keep = background[..., None]
    plate = np.clip(image * keep + filled * (1 - keep), 0, 255).astype(np.uint8)
    return Layers(plate, alpha)


def over(front: ImageArray, back: ImageArray, alpha: FloatArray) -> ImageArray:
    """Return ``front`` over ``back`` (h, w, 3) with coverage ``alpha`` (h, w) in [0, 1]."""
    return cv2.blendLinear(front, back, alpha, 1 - alpha)
